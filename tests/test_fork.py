"""Processes that are started after threads computed: they end, and give the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("fork_program.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("ways", ["os.fork fork thread fit", "spawn", "forkserver", "joblib"])
def test_processes_that_are_started_after_threads_computed_give_the_same_bits(ways):
    if ways == "joblib":
        pytest.importorskip("joblib")
    found = subprocess.run([sys.executable, PROGRAM, *ways.split()], capture_output=True, text=True, timeout=100,
                           cwd=PROGRAM.parents[1])
    assert found.returncode == 0 and found.stdout.strip() == "same bits", found.stderr[-2000:]
