"""Faults put into the CUDA sources one at a time, and the build of small.py that must notice each."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CUDA = HERE.parents[1] / "spconv_cy" / "cuda"
ORDERS = {"plain": ["fwd", "rev", "1"], "asan": ["fwd"], "tsan": ["fwd"]}
# name, the build that notices it, what stands in a source (once), what it becomes
SWAPS = [
    ("rows beyond the last", "asan", "p < n_out ? order[p]", "p <= n_out ? order[p]"),
    ("channels beyond the last", "asan", "from >= 0 && ch + s < c", "from >= 0 && ch + s <= c"),
    ("a vector beyond the last channel", "asan", "wide && from >= 0 && ch < c", "wide && from >= 0 && ch <= c"),
    ("stride of x in groups", "plain", "(i64)from * row_x", "(i64)from * (row_x / groups)"),
    ("stride of w in groups", "plain", "((u64)k * groups + group)", "((u64)k + group)"),
    ("stride of the table", "plain", "r >= 0 ? table[(u64)r * K + k]", "r >= 0 ? table[(u64)r * K]"),
    ("stride of the masks", "plain", "rows[r] * words + word", "rows[r] + word"),
    ("words of the masks", "plain", "words = (K + 31) / 32", "words = K / 32"),
    ("the mask word is not made anew", "asan", "present[~word & 1] = 0", "present[word & 1] = 0"),
    ("shared memory out of step for vectors", "asan", "LA = BM + 4", "LA = BM + 3"),
    ("one half of shared memory alone", "tsan", "half ^= 1", "half ^= 0"),
    ("columns beyond the last", "plain", "if (n < o) {", "if (n <= o) {"),
    ("stride of y in groups", "plain", "(u64)r * row_y", "(u64)r * (row_y / groups)"),
    ("bias of another group", "plain", "bias[group * o + n]", "bias[n]"),
    ("slope on the wrong side", "plain", "has_slope && v < 0.f", "has_slope && v > 0.f"),
    ("one pair too many", "asan", "As[r][s] = p < high", "As[r][s] = p <= high"),
    ("chunks that overlap", "plain", "min(starts[k + 1], low + chunk)", "min(starts[k + 1], low + chunk + 1)"),
    ("a shared tile too small", "asan", "float Ds[STEP][SIDE + 1]", "float Ds[STEP - 1][SIDE + 1]"),
    ("the last of equals wins", "plain", "best < 0 || here > v || here != here) { v = here; best = from",
     "best < 0 || here >= v || here != here) { v = here; best = from"),
    ("the ground beats its equals", "plain", "best < 0 || g > v", "best < 0 || g >= v"),
    ("the first output gives no gradient", "plain", "to >= 0 &&", "to > 0 &&"),
    ("the first input is not summed", "plain", "if (from >= 0) v +=", "if (from > 0) v +="),
    ("numbers beyond the last", "asan", "e < (u64)n_in * c", "e <= (u64)n_in * c"),
    ("one row too many", "plain", "i < starts[s + 1]; i++) v +=", "i <= starts[s + 1]; i++) v +="),
    ("rows of products out of their place", "plain", "y[(i64)rows[e / c] * c + e % c]", "y[(i64)e / c * c + e % c]"),
    ("products that replace", "plain", "+ e % c] += part[e]", "+ e % c] = part[e]"),
    ("a row of the next chunk", "plain", "end = min(n, (s + 1) * chunk)", "end = min(n, (s + 1) * chunk + 1)"),
    ("an order that is not read", "plain", "has_order ? order[i] : i", "i"),
    ("a chunk's second sum of another chunk", "plain", "part[s * 2 * c + c + ch] = product",
     "part[s * c + c + ch] = product"),
    ("squares of another chunk", "plain", "part[s * 2 * c + c + ch] = square", "part[s * c + c + ch] = square"),
]
BARRIER = "__syncthreads();"


def barriers():
    """List a fault for each barrier: it is not there."""
    found = []
    for path in sorted(CUDA.glob("*.cu")):
        text = path.read_text()
        for i, match in enumerate(re.finditer(re.escape(BARRIER), text)):
            # From the line before to the line after, so that the place is named by what stands around it.
            low, high = text.rfind("\n", 0, text.rfind("\n", 0, match.start())), text.find("\n", match.end() + 1)
            before = text[low:high]
            found.append((f"barrier {i + 1} of {path.name} missing", "tsan", before, before.replace(BARRIER, "")))
    return found


def run(mode, fault=None, what="verbs"):
    """Run small.py over verbs or layers on a build; return its finished process."""
    env = {**os.environ, "SHIM_MODE": mode, "OMP_WAIT_POLICY": "passive", "ASAN_OPTIONS": "detect_leaks=0",
           "TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
    env.pop("SHIM_FAULT", None)
    if fault:
        env["SHIM_FAULT"] = json.dumps(fault)
    names = {"asan": ["libasan.so", "libstdc++.so"], "tsan": ["libtsan.so"]}.get(mode, [])
    if names:
        env["LD_PRELOAD"] = " ".join(subprocess.run(["g++", f"-print-file-name={name}"], check=True, text=True,
                                                    stdout=subprocess.PIPE).stdout.strip() for name in names)
    return subprocess.run([sys.executable, str(HERE / "small.py"), what, *ORDERS[mode]], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=500)


def caught(fault):
    """Return the build that notices a fault, or None."""
    _, mode, before, after = fault
    texts = [path.read_text().count(before) for path in CUDA.glob("*.cu")]
    if sum(texts) != 1:
        raise ValueError(f"{fault[0]}: {before!r} stands {sum(texts)} times in the sources; once fits")
    for one in dict.fromkeys(["plain", mode] if mode == "tsan" else [mode]):
        done = run(one, (before, after))
        if done.returncode:
            if "CalledProcessError" in done.stdout and "'g++'" in done.stdout:
                raise ValueError(f"{fault[0]}: the fault does not compile\n{done.stdout[-2000:]}")
            return one
    return None
