"""The folder of CUDA sources can go, and all else stands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", "build", "dist", ".venv*", "*.egg-info", "__pycache__", ".*_cache")


@pytest.mark.slow
def test_without_the_cuda_folder_everything_else_passes(tmp_path):
    if not list((ROOT / "spconv_cy").glob("_core*.so")):
        pytest.skip("needs a build in place")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
    shutil.rmtree(tree / "spconv_cy" / "cuda")
    # An installation in place would look for what is not in the tree in the folder that it was made of.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.meta_path[:] = [f for f in sys.meta_path if not f.__module__.startswith('__editable__')]\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{tree}"}
    said = subprocess.run([sys.executable, "-c", "import spconv_cy; spconv_cy.use('cuda')"], cwd=tree, env=env,
                          text=True, stderr=subprocess.PIPE).stderr
    assert "cuda backend: expected its modules, got No module named 'spconv_cy.cuda" in said
    assert 'use("cpu") works' in said
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", "-m", "not slow and not gpu"]
    done = subprocess.run(tests, cwd=tree, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-4000:]
