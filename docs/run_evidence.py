"""Run what the first table of docs/numbers.md is made of: experiments and baselines, two at a time.

At most 60 minutes on two cores, one thread each. Results that are kept in build/experiments are not computed again;
experiments whose data are missing say so and are left out. Afterwards `python docs/write_numbers.py` writes the pages.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
COMMANDS = (                                            # the longest first; those of one record follow one another
    ("kanji.py",), ("lidar.py",), ("shapes.py",), ("mnist.py",),
    ("baselines.py",), ("defaults.py",), ("unseen_writers.py",),
    tuple(f"handwriting.py{how} --seed {seed}" for how in ("", " --random") for seed in range(3)),
    ("same_log.py --other docs/experiments/neon_log.json", "digit_model.py --judge"))


def main():
    """Run all; the exit status is 1 if one failed."""
    with ThreadPoolExecutor(2) as two:
        failed = [name for names in two.map(run, COMMANDS) for name in names]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def run(commands):
    """Run commands one after another, say how long each took, and return those that failed."""
    failed = []
    for command in commands:
        began, (script, *arguments) = time.perf_counter(), command.split()
        done = subprocess.run([sys.executable, EXPERIMENTS / script, *arguments], cwd=EXPERIMENTS.parent,
                              env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                              capture_output=True, text=True)
        ended = "done" if not done.returncode else f"status {done.returncode}"
        last = (done.stdout.strip().splitlines() or [""])[-1]
        print(f"== {command}: {ended}, {time.perf_counter() - began:.0f} s: {last[:100]}", flush=True)
        missing = done.returncode == 2 and "wanted" in done.stdout + done.stderr or "make mnist" in done.stdout
        if done.returncode and not missing:
            print(done.stderr[-2000:], file=sys.stderr)
            failed.append(command)
    return failed


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()    # it takes none; --help runs nothing
    main()
