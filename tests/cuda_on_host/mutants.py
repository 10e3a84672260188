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
# For each source: name, the build that notices it, what stands in the source (once), what it becomes.
SWAPS = {"conv.cu": [
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
], "pool.cu": [
    ("the last of equals wins", "plain", "best < 0 || here > v || here != here) { v = here; best = from",
     "best < 0 || here >= v || here != here) { v = here; best = from"),
    ("the ground beats its equals", "plain", "best < 0 || g > v", "best < 0 || g >= v"),
    ("the first output gives no gradient", "plain", "to >= 0 &&", "to > 0 &&"),
    ("the first input is not summed", "plain", "if (from >= 0) v +=", "if (from > 0) v +="),
    ("numbers beyond the last", "asan", "e < (u64)n_in * c", "e <= (u64)n_in * c"),
], "rows.cu": [
    ("one row too many", "plain", "i < starts[s + 1]; i++) v +=", "i <= starts[s + 1]; i++) v +="),
    ("rows of products out of their place", "plain", "y[(i64)rows[e / c] * c + e % c]", "y[(i64)e / c * c + e % c]"),
    ("products that replace", "plain", "+ e % c] += part[e]", "+ e % c] = part[e]"),
    ("a row of the next chunk", "plain", "end = min(n, (s + 1) * chunk)", "end = min(n, (s + 1) * chunk + 1)"),
    ("an order that is not read", "plain", "has_order ? order[i] : i", "i"),
    ("a chunk's second sum of another chunk", "plain", "part[s * 2 * c + c + ch] = product",
     "part[s * c + c + ch] = product"),
    ("squares of another chunk", "plain", "part[s * 2 * c + c + ch] = square", "part[s * c + c + ch] = square"),
], "conv_mma.cu": [
    ("rows of a", "plain", "lane / 4 + i % 2 * 8", "lane / 4 + i / 2 * 8"),
    ("words of a", "plain", "lane % 4 + i / 2 * 4", "lane % 4 + i % 2 * 4"),
    ("columns of b", "plain", "return lane / 4; }", "return lane % 8; }"),
    ("words of b", "plain", "lane % 4 + i * 4", "lane % 4 * 2 + i"),
    ("rows of d", "plain", "lane / 4 + i / 2 * 8", "lane / 4 + i % 2 * 8"),
    ("columns of d", "plain", "lane % 4 * 2 + i % 2", "lane % 4 + i % 2 * 4"),
    ("registers of a", "plain", '"r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));\n#else\n#pragma',
     '"r"(a[0]), "r"(a[2]), "r"(a[1]), "r"(a[3]), "r"(b[0]), "r"(b[1]));\n#else\n#pragma'),
    ("copies that nobody waits for", "plain", 'asm volatile("cp.async.wait_all;" : : : "memory");', ""),
    ("rows that are not there are not zero", "plain", '"r"(there ? 16 : 0)', '"r"(16)'),
    ("rows beyond the last", "asan", "p < n_out ? order[p]", "p <= n_out ? order[p]"),
    ("a vector beyond the last channel", "asan", "from >= 0 && ch < c", "from >= 0 && ch <= c"),
    ("weights beyond the last column", "asan", "col0 + n < o && ch < c", "col0 + n <= o && ch < c"),
    ("a vector that is not made zero", "plain", "if (v / 2 * 2 * VECTOR < coming) {\n            const int from",
     "if (v * VECTOR < coming) {\n            const int from"),
    ("stride of x in groups", "plain", "(i64)from * groups * c", "(i64)from * c"),
    ("stride of w in groups", "plain", "((u64)k * groups + group) * o * c", "((u64)k + group) * o * c"),
    ("stride of the table", "plain", "table[(u64)rows[r] * K + k]", "table[(u64)rows[r] * K]"),
    ("stride of the masks", "plain", "rows[r] * words + word", "rows[r] + word"),
    ("the mask word is not made anew", "asan", "present[~word & 1] = 0", "present[word & 1] = 0"),
    ("copies into what is read", "plain", "copy(&As[buffer ^ 1]", "copy(&As[buffer]"),
    ("one buffer of the tile alone", "plain", "buffer ^= 1;\n    }\n    __sync", "buffer ^= 0;\n    }\n    __sync"),
    ("one buffer of the gradient alone", "tsan", "buffer ^= 1;\n  }\n#pragma", "buffer ^= 0;\n  }\n#pragma"),
    ("rows that are not there are written", "asan", "r < 0 || n >= o", "n >= o"),
    ("columns beyond the last", "asan", "r < 0 || n >= o", "r < 0 || n > o"),
    ("stride of y in groups", "plain", "((u64)r * groups + group) * o + n", "((u64)r + group) * o + n"),
    ("bias of another group", "plain", "bias[group * o + n]", "bias[n]"),
    ("slope on the wrong side", "plain", "has_slope && v < 0.f", "has_slope && v > 0.f"),
    ("one pair too many", "plain", "p < high && ch < wide", "p <= high && ch < wide"),
    ("a vector beyond the last of a pair", "asan", "p < high && ch < wide", "p < high && ch <= wide"),
    ("chunks that overlap", "plain", "min(starts[k + 1], low + chunk)", "min(starts[k + 1], low + chunk + 1)"),
    ("halves of another pair", "plain", "u >> 16 | (v & 0xffff0000u)", "v >> 16 | (u & 0xffff0000u)"),
    ("lines of the gradient's tile", "plain", "(s + a_word(lane, f)) * EDGE", "(s + a_word(lane, f)) * SIDE"),
    ("a shared tile too small", "asan", "unsigned Ds[2][DEPTH * EDGE]", "unsigned Ds[2][DEPTH * SIDE]"),
    ("gradients beyond the last", "asan", "in < c && out < o", "in < c && out <= o"),
    ("TF32 that is cut, not rounded", "plain", "(sizeof(Real) == 4) asm", "(sizeof(Real) == 8) asm"),
]}
BARRIER = "__syncthreads();"


def faults():
    """List all faults: (name, build, source, what stands there, what it becomes)."""
    return [(f"{name}, {source}", mode, source, *change) for source, swaps in SWAPS.items()
            for name, mode, *change in swaps] + barriers()


def barriers():
    """List a fault for each barrier: it is not there."""
    found = []
    for path in sorted(CUDA.glob("*.cu")):
        text = path.read_text()
        for i, match in enumerate(re.finditer(re.escape(BARRIER), text)):
            # From the line before to the line after, so that the place is named by what stands around it.
            low, high = text.rfind("\n", 0, text.rfind("\n", 0, match.start())), text.find("\n", match.end() + 1)
            before = text[low:high]
            found.append((f"barrier {i + 1} of {path.name} missing", "tsan", path.name, before,
                          before.replace(BARRIER, "")))
    return found


def run(mode, fault=None, what="verbs"):
    """Run a part of small.py on a build; return its finished process.

    A fault is the first line of its source, what stands there, and what it becomes.
    """
    env = {**os.environ, "SHIM_MODE": "draft" if fault and mode == "plain" else mode, "OMP_WAIT_POLICY": "passive",
           "ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
    env.pop("SHIM_FAULT", None)
    if fault:
        env["SHIM_FAULT"] = json.dumps(fault)
    names = {"asan": ["libasan.so", "libstdc++.so"], "tsan": ["libtsan.so"]}.get(mode, [])
    if names:
        env["LD_PRELOAD"] = " ".join(subprocess.run(["g++", f"-print-file-name={name}"], check=True, text=True,
                                                    stdout=subprocess.PIPE).stdout.strip() for name in names)
    return subprocess.run([sys.executable, str(HERE / "small.py"), what, *ORDERS[mode]], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800)


def caught(fault):
    """Return the build that notices a fault, or None."""
    name, mode, source, before, after = fault
    text = (CUDA / source).read_text()
    if text.count(before) != 1:
        raise ValueError(f"{name}: {before!r} stands {text.count(before)} times in {source}; once fits")
    what = "verbs" if source != "conv_mma.cu" else "tf32" if "TF32" in name else "float16"
    for one in dict.fromkeys(["plain", mode] if mode == "tsan" else [mode]):
        done = run(one, (text.splitlines()[0], before, after), what)
        if done.returncode:
            if "CalledProcessError" in done.stdout and "'g++'" in done.stdout:
                raise ValueError(f"{name}: the fault does not compile\n{done.stdout[-2000:]}")
            return one
    return None
