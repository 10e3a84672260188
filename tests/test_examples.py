"""The examples run, and so does every Python block of the README and of the page on handwriting."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
HANDWRITING = (ROOT / "docs" / "handwriting.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README + HANDWRITING, re.M | re.S)


def run(folder, *arguments):
    # Threads that spin while they wait make such a run several times longer on a machine that is busy with tests.
    # The bar fits itself to the terminal's width.
    environment = {"OMP_WAIT_POLICY": "passive"} | os.environ | {"COLUMNS": "200"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_python_of_readme_and_handwriting_runs(block, tmp_path):
    done = run(tmp_path, "-c", block)
    assert done.returncode == 0, done.stderr


def test_the_readme_has_python_to_run_and_names_no_file_that_is_not_there():
    assert BLOCKS
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), f"README links {target}"
