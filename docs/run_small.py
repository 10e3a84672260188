"""Run the --small version of every experiment in turn, for the tables of docs/numbers.md."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


def main():
    """Run all experiments; the exit status is 1 if one failed. Results that are kept are not computed again."""
    failed = []
    for script in sorted(EXPERIMENTS.glob("*.py")):
        if "Experiment.parser" not in script.read_text():
            continue
        began = time.perf_counter()
        print(f"== {script.name} --small", flush=True)
        if subprocess.run([sys.executable, script, "--small"], check=False, cwd=EXPERIMENTS.parent).returncode:
            failed.append(script.name)
        print(f"== {script.name}: {time.perf_counter() - began:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()            # it takes none; --help runs nothing
    main()
