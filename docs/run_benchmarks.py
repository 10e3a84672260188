"""Run benchmarks and keep their output for docs/numbers.md: python docs/run_benchmarks.py [NAME ...].

The machine should be idle. Afterwards `python docs/write_numbers.py` writes the page.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "benchmarks"
COMMANDS = {
    "import": "bench_import.py",
    "conv": "bench_conv.py",
    "net": "bench_net.py",
    "peers": "bench_peers.py",
    "converted": "bench_converted.py",
    "latency": "bench_latency.py",
    "scaling": "bench_scaling.py",
    "rules": "bench_rules.py",
    "windows": "bench_rules.py --rules",
    "regions": "bench_regions.py",
    "order": "bench_order.py --rounds 3",
    "algebra": "bench_algebra.py",
    "strokes": "bench_strokes.py --rounds 3",
    "batches": "bench_batches.py --digits 3000 --repeats 3",
    "batches_signature": "bench_batches.py --digits 1500 --repeats 3 --encoding log-signature4",
    "dropout": "bench_dropout.py",
    "checkpointing": "bench_checkpointing.py",
    "paper": "on_paper.py",
}
OTHERS = ("peers", "converted", "latency")              # need other libraries
RECORDED = ("net", "peers", "scaling")                  # these also write a .json of all figures and a picture


def main():
    """Run the named benchmarks, by default all without other libraries, which `make bench-peers` installs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"of {', '.join(COMMANDS)}; by default all but {' and '.join(OTHERS)}")
    options = parser.parse_args()
    wrong = set(options.names) - set(COMMANDS)
    if wrong:
        parser.error(f"expected names of {', '.join(COMMANDS)}, got {', '.join(sorted(wrong))}")
    KEPT.mkdir(exist_ok=True)
    for name in options.names or [name for name in COMMANDS if name not in OTHERS]:
        keep(name)


def keep(name):
    """Run a benchmark from the root, print its output, and keep it if the benchmark succeeded."""
    script, *arguments = COMMANDS[name].split()
    record = ["--record", str(KEPT / f"{name}.json")] if name in RECORDED else []
    command = [sys.executable, f"benchmarks/{script}", *arguments, *record]
    lines = [f"$ python benchmarks/{COMMANDS[name]}\n"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if not line.startswith("wrote "):
                lines.append(line.rstrip() + "\n")
    if process.returncode:
        raise SystemExit(f"{COMMANDS[name]} ended with status {process.returncode}: nothing kept")
    tabular = [line for line in lines if line.startswith("|")]
    lines = lines[:1] + tabular if tabular else lines
    (KEPT / f"{name}.txt").write_text("".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
