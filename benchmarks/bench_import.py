"""Time of `import spconv_cy` over numpy's own: `python benchmarks/bench_import.py`."""

import statistics
import subprocess
import sys

PROGRAM = """
import time
import numpy
start = time.perf_counter()
import spconv_cy
print(time.perf_counter() - start)
"""


class Import:
    """Seconds from a process that has numpy to one that has spconv_cy."""

    def track_seconds_over_numpy(self, runs=9):
        times = [float(subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True).stdout)
                 for _ in range(runs + 1)][1:]                           # the first run fills the disk cache
        return statistics.median(times)


if __name__ == "__main__":
    print(f"import over numpy: {Import().track_seconds_over_numpy():.3f} s (goal: at most 0.10 s)")
