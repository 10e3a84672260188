"""Run what the first table of docs/numbers.md is made of: experiments and baselines, two at a time.

At most 60 minutes on two cores, one thread each. Results that are kept in build/experiments are not computed again;
experiments whose data are missing say so and are left out. The processor seconds of each command are kept in a record
of their own. Afterwards `python docs/write_numbers.py` writes the pages.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
sys.path[:0] = [str(EXPERIMENTS)]
from experiment import Experiment  # noqa: E402

COMMANDS = (                                            # the longest first; those of one record follow one another
    ("kanji.py",), ("lidar.py",), ("shapes.py",), ("mnist.py",),
    ("baselines.py",), ("defaults.py",), ("unseen_writers.py",),
    tuple(f"handwriting.py --random --seed {seed}" for seed in range(3)),
    ("same_log.py", "digit_model.py --judge"))


def main():
    """Run all; the exit status is 1 if one failed."""
    record, lock = Experiment("evidence"), Lock()
    with ThreadPoolExecutor(2) as two:
        failed = [name for names in two.map(lambda commands: run(commands, record, lock), COMMANDS) for name in names]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def run(commands, record, lock):
    """Run commands one after another, record what each cost, and return those that failed."""
    failed = []
    for command in commands:
        began, (script, *arguments) = time.perf_counter(), command.split()
        done, spent = finished([sys.executable, EXPERIMENTS / script, *arguments])
        ended = "done" if not done.returncode else f"status {done.returncode}"
        last = (done.stdout.strip().splitlines() or [""])[-1]
        print(f"== {command}: {ended}, {time.perf_counter() - began:.0f} s, {spent:.0f} of a processor: {last[:100]}",
              flush=True)
        with lock:
            record.figures[command] = round(record.figures.get(command, 0) + spent, 1)
            keep(record)
        missing = done.returncode == 2 and "wanted" in done.stdout + done.stderr or "make mnist" in done.stdout
        if done.returncode and not missing:
            print(done.stderr[-2000:], file=sys.stderr)
            failed.append(command)
    return failed


def finished(command):
    """Run a command on one thread, and return it with its output and the seconds of processors that it took."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, cwd=EXPERIMENTS.parent, stdout=out, stderr=err, text=True,
                                   env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said = [file.seek(0) or file.read() for file in (out, err)]
    return subprocess.CompletedProcess(command, process.returncode, *said), used.ru_utime + used.ru_stime


def keep(record):
    """Keep the table of processor seconds, a command a row."""
    rows = [[f"`python experiments/{command}`", f"{spent:,.0f}"] for command, spent in record.figures.items()]
    total = sum(record.figures.values())
    record.table("Processor seconds of `make evidence`", ["command", "processor seconds"],
                 [*rows, [f"all; {total / 120:.0f} minutes of two cores", f"{total:,.0f}"]])


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()    # it takes none; --help runs nothing
    main()
