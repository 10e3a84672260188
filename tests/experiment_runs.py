"""Experiments run as a user runs them, each in a process of its own, which is told of no folder of data."""

import json
import os
import subprocess
import sys
from pathlib import Path

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


def run(folder, script, *arguments):
    """Run an experiment in a folder; return its finished process."""
    # Threads that spin while they wait make such a run several times longer on a machine that is busy with tests.
    environment = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1"} | os.environ
    environment["PYTHONPATH"] = str(EXPERIMENTS.parent)
    environment.pop("SPCONV_CY_DATA", None)
    command = [sys.executable, str(EXPERIMENTS / script), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def tiny(folder, script, *arguments):
    """Run an experiment's tiny version, which must end well; return its process and the record, kept in folder/log."""
    done = run(folder, script, "--tiny", "--log", "log", *arguments)
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "log" / "record.json").read_text())


def rows(table):
    """Return the cells of a table of Markdown."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
