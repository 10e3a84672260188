"""What a checkout says before it is built: what is missing, how long it takes, how to build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "packaging" / "first_build.py"


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory):
    """Return a folder with the package's sources, not built, and the packages that it needs."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "spconv_cy", folder / "spconv_cy",
                    ignore=shutil.ignore_patterns("*.so", "*.pyd", "*.npz", "__pycache__", "kernels"))
    return folder


def run(folder, *arguments):
    code = ("import sys\nfrom importlib.machinery import PathFinder\n"          # no finder of an editable install
            "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
            "import runpy\nsys.argv = sys.argv[1:]\n")
    code += f"sys.path.insert(0, {str(folder)!r})\n" + arguments[0]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-c", code, *arguments[1:]],
                          cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("code", ["import spconv_cy as sp; sp.Tensor([1.0])",
                                  "import spconv_cy as sp; sp.SparseConvClassifier()",
                                  "runpy.run_module('spconv_cy', run_name='__main__')"],
                         ids=["a tensor", "a classifier", "the command"])
def test_python_in_a_checkout_that_is_not_built_says_how_to_build(code, unbuilt):
    done = run(unbuilt, code, "spconv-cy", "config")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"spconv_cy: expected compiled modules, got none in {unbuilt}; build them there by `make" in last
    if code.startswith("runpy"):
        assert done.stderr.count("\n") == 1


def test_the_tests_in_a_checkout_that_is_not_built_say_so(unbuilt):
    (unbuilt / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", unbuilt / "tests")
    done = run(unbuilt, "runpy.run_module('pytest', run_name='__main__')", "pytest", "tests")
    assert done.returncode == 4 and "ERROR: spconv_cy: expected compiled modules" in done.stdout + done.stderr


def script(**environment):
    return subprocess.run([sys.executable, SCRIPT], cwd=ROOT, env=os.environ | environment, capture_output=True,
                          text=True, timeout=60)


def compiler(folder, taken):
    """Write a stand-in for a compiler that takes what has a word in its text; return its path."""
    path = folder / "c++"
    path.write_text(f'#!/bin/sh\nfor file; do :; done\ngrep -q "{taken}" "$file"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(os.name != "posix", reason="a shell script as the compiler")
@pytest.mark.parametrize("taken, told, package", [
    (None, "a C++ compiler (c++, or the one that CXX names), got none", "g++"),
    ("nothing", "a compiler of C++17, got none", "g++"),
    ("constexpr", "Python's headers (Python.h), got none", "python3-dev")])
def test_make_names_what_is_missing_before_it_starts(taken, told, package, tmp_path):
    done = script(CXX=str(tmp_path / "none") if taken is None else compiler(tmp_path, taken))
    assert done.returncode == 1 and done.stdout == ""
    first, last = done.stderr.splitlines()
    assert first == f"first_build: expected {told}" and f"apt-get install {package};" in last


def test_make_says_how_long_it_takes(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import first_build

    monkeypatch.setattr(first_build, "VENV", tmp_path)
    text = first_build.announcement()
    files = len([*ROOT.glob("spconv_cy/**/*.pyx"), *ROOT.glob("spconv_cy/cpu/kernels/*.cpp")])
    assert f"compiling {files} files" in text and " min, longer on a busy machine" in text and "once" in text
    (tmp_path / "built").touch()
    assert "what has changed" in first_build.announcement()
    monkeypatch.setattr(first_build, "find_spec", lambda name: None)
    assert first_build.MODULES in first_build.missing()
    assert "python3-venv" in first_build.told([first_build.MODULES])
