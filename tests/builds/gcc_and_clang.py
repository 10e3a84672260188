"""Build with gcc and with clang out of tree and run the verbs' contract on each build: `make test-compilers`."""

import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from checkout import BUILD, copy_of_checkout, run, tools, want

OPENMP = "#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n"
PACKAGES = ["clang", "libomp-dev"]
# A thread's stack may be 16 KB: no function of a release takes more than half of it.
RELEASE = {"CXXFLAGS": "-Wframe-larger-than=8192 -Werror=frame-larger-than="}
# Traps need no library of the compiler, and pytest's faulthandler says where.
CHECKED = {"SPCONV_CY_SANITIZE": "alignment", "CXXFLAGS": "-fsanitize-undefined-trap-on-error"}
TESTS = ["tests/test_ops.py", "tests/test_bits.py", "tests/test_dense_equivalence.py"]
TRAINING = "import spconv_cy as sp, test_bits; print(test_bits.trained_bits())"


def main():
    began = time.monotonic()
    want(lambda: shutil.which("g++"), ["g++"], "g++ is")
    want(clangs, PACKAGES, "clang with OpenMP is")
    builds = [("gcc-alignment", ("gcc", "g++"), CHECKED)]
    for clang in clangs():
        pair = clang, clang.replace("clang", "clang++")
        builds += [(clang, pair, RELEASE), (f"{clang}-alignment", pair, CHECKED)]
    for name, compilers, flags in builds:
        folder = BUILD / "compilers" / name
        build(copy_of_checkout(folder), compilers, flags)
        print(f"[{time.monotonic() - began:4.0f} s] {name}: built; {check(folder)}", flush=True)
    print(f"compilers: {len(builds)} builds pass")


def clangs():
    """List the clangs that compile and link OpenMP, by the names of their C compilers."""
    names = {path.name for folder in os.get_exec_path() for path in Path(folder).glob("clang*")}
    found = [name for name in sorted(names) if re.fullmatch(r"clang(-\d+)?", name) and has_openmp(name)]
    return sorted({os.path.realpath(shutil.which(name)): name for name in found}.values())       # each once


def has_openmp(clang):
    """Tell whether a clang makes a program with threads, of C++."""
    compiler = shutil.which(clang.replace("clang", "clang++"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text(OPENMP)
        return compiler is not None and os.system(f"{compiler} -fopenmp {source} -o {folder}/probe 2>/dev/null") == 0


def build(folder, compilers, flags):
    """Build the extensions in a copy of the checkout."""
    run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", cwd=folder,
        env={**os.environ, "CC": compilers[0], "CXX": compilers[1], "PYTHONPATH": str(tools()), **flags})


def check(folder):
    """Run the verbs' contract and a training run of each instruction set on a build; say what passed."""
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_WAIT_POLICY": "passive"}
    where = run(sys.executable, "-c", "import spconv_cy; print(spconv_cy.__file__)", cwd=folder, env=env)
    assert where.startswith(str(folder)), where
    said = run(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS, cwd=folder, env=env)
    sets = run(sys.executable, "-c", "from spconv_cy import _core; print(*_core.isas())", cwd=folder, env=env).split()
    for name in sets:
        run(sys.executable, "-c", TRAINING, cwd=folder / "tests", env={**env, "SPCONV_CY_ISA": name})
    return f"{re.findall(r'[0-9]+ passed', said)[-1]}, trained on {', '.join(sets)}"


if __name__ == "__main__":
    main()
