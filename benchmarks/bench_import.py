"""Time of `import spconv_cy` over numpy's own: `python benchmarks/bench_import.py`."""

import statistics
import subprocess
import sys

PROGRAM = """
import time
import numpy
start, start_busy = time.perf_counter(), time.process_time()
import spconv_cy
print(time.perf_counter() - start, time.process_time() - start_busy)
"""


class Import:
    """Seconds from a process that has numpy to one that has spconv_cy, by the clock and of the processor."""

    def track_seconds_over_numpy(self, runs=9):
        times = [[float(word) for word in
                  subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True).stdout.split()]
                 for _ in range(runs + 1)][1:]                           # the first run fills the disk cache
        return tuple(map(statistics.median, zip(*times, strict=True)))


if __name__ == "__main__":
    clock, busy = Import().track_seconds_over_numpy()
    print(f"import over numpy: {clock:.3f} s, of which {busy:.3f} s of the processor (goal: at most 0.10 s)")
