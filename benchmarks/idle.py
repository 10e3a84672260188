"""Tells whether this machine is quiet enough for its times to be believed: python benchmarks/idle.py.

Each core in turn multiplies the same two matrices a few times. On a quiet machine all products of a core take the same
time, all cores are equally fast, and nothing else uses the processor meanwhile.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SIZE, REPEATS = 768, 12
MOST_SPREAD, MOST_APART, MOST_OTHERS = 0.1, 0.15, 0.25   # of the fastest product; of the fastest core; of a core
PROBE = """
import json, os, sys, time
import numpy as np
core, n, repeats = map(int, sys.argv[1:])
if core >= 0:
    os.sched_setaffinity(0, [core])
a, b = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
y, seconds = np.empty_like(a), []
np.matmul(a, b, out=y)
for _ in range(repeats):
    start = time.perf_counter()
    np.matmul(a, b, out=y)
    seconds.append(time.perf_counter() - start)
print(json.dumps([seconds, time.process_time()]))
"""


def measure():
    """Return what the cores did: {"spread": [part of a core's fastest product], "gflops": [...], "others": cores}.

    `spread` is how much longer the median product of a core took than its fastest, `others` how many cores other
    processes kept busy, None where /proc/stat is missing.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [-1]
    variables = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    began, busy, own, spread, gflops = time.perf_counter(), _busy(), 0.0, [], []
    for core in cores:
        answer = subprocess.run([sys.executable, "-c", PROBE, str(core), str(SIZE), str(REPEATS)], env=variables,
                                check=True, capture_output=True)
        seconds, used = json.loads(answer.stdout)
        best, median = min(seconds), sorted(seconds)[len(seconds) // 2]
        own += used
        spread.append(median / best - 1)
        gflops.append(2e-9 * SIZE**3 / best)
    others = None if busy is None else max(0.0, (_busy() - busy - own) / (time.perf_counter() - began))
    return {"spread": spread, "gflops": gflops, "others": others}


def is_quiet(found):
    """Return whether what `measure` found is a quiet machine."""
    slowest = min(found["gflops"]) / max(found["gflops"])
    return max(found["spread"]) <= MOST_SPREAD and slowest >= 1 - MOST_APART and (found["others"] or 0) <= MOST_OTHERS


def told(found):
    """Return one line about what `measure` found."""
    cores = ", ".join(f"{rate:.0f} GFLOP/s +-{spread:.0%}" for rate, spread in
                      zip(found["gflops"], found["spread"], strict=True))
    others = "" if found["others"] is None else f"; other processes use {found['others']:.2f} cores"
    verdict = "quiet" if is_quiet(found) else "NOT QUIET: do not believe the times of this run"
    return f"{verdict} (sgemm by core: {cores}{others})"


def _busy():
    """Return seconds that all cores were busy, or None."""
    try:
        ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return None
    return (sum(ticks[:3]) + sum(ticks[5:8])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    _found = measure()
    print(told(_found))
    sys.exit("--strict" in sys.argv and not is_quiet(_found))
