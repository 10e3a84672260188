"""Show that Python threads do not race in the compiled code; each line says what was shown: `make test-threads`.

The package is copied to build/threads and built there with ThreadSanitizer, and tests/test_threads.py runs under it:

- without OpenMP: what several Python threads do to each other while their calls compute without the GIL;
- with OpenMP, on LLVM's runtime and its tool Archer, which tell ThreadSanitizer how the threads of a call wait for each
  other (GNU's runtime does not, and would be reported itself): what the threads of one call do to each other;
- under a free-threaded Python, where there is one: python3.14t or python3.13t on the PATH, or the interpreter that
  SPCONV_CY_FREE_THREADED names. Debian has none; `./configure --disable-gil` builds one of CPython's source.

No report is suppressed. A control, a tensor that is overwritten while a layer reads it, must be reported.
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "threads"
BUILT_OF = ("spconv_cy", "tests", "setup.py", "pyproject.toml")
TOOLS = ("setuptools>=77.0.3", "cython>=3.1")
NEEDS = (*TOOLS, "numpy", "scipy", "tqdm", "pytest", "hypothesis")
REPORTED = 66                                                            # exit status of a program with a report
TSAN = f"exitcode={REPORTED}:history_size=4"
CONTROL = """
import ctypes, threading
import numpy as np, spconv_cy as sp
sites = np.c_[np.zeros(4096, int), np.indices((64, 64)).reshape(2, -1).T]
x = sp.SparseTensor.from_sites(sites, np.ones((4096, 16)), 64, ground=None)
start, size, over = ctypes.c_void_p(x.features.data.ctypes.data), x.features.data.nbytes, threading.Event()
def overwrite():
    while not over.is_set():
        ctypes.CDLL(None).memset(start, 0, size)
thread = threading.Thread(target=overwrite)
thread.start()
layer = sp.SubmanifoldConvolution(2, 16, 16, rng=0)
for _ in range(20):
    layer(x)
over.set()
thread.join()
"""
OPENMP_CONTROL = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.race()
"""
OPENMP_RACE = """
extern "C" int race() {
    int sum = 0;
    #pragma omp parallel for num_threads(4) schedule(static)
    for (int i = 0; i < 100000; ++i) sum += i;
    return sum;
}
"""


def main():
    began = time.monotonic()

    def said(text):
        print(f"[{time.monotonic() - began:4.0f} s] {text}", flush=True)

    libtsan = found_by_compiler("libtsan.so")
    if not libtsan:
        sys.exit("test-threads: the compiler g++ has no libtsan.so; Debian's package libtsan2 brings it")
    place = built("python-threads", environment(SPCONV_CY_SANITIZE="thread", SPCONV_CY_OPENMP="0"))
    under = environment(LD_PRELOAD=libtsan, TSAN_OPTIONS=TSAN, PYTHONMALLOC="malloc", OPENBLAS_NUM_THREADS="1")
    must_report(place, under, [sys.executable, "-c", CONTROL])
    said("ThreadSanitizer reports a tensor that is overwritten while a layer reads it, as it should")
    said(f"Python threads under ThreadSanitizer: {tested(place, under)}, no report")
    said(openmp_loops(libtsan))
    said(free_threaded())


def openmp_loops(libtsan):
    """Run the tests with threads inside each call; return what is to be said."""
    libomp, archer = runtime_of_llvm()
    if not archer:
        return ("threads inside a call: left out, no libomp with Archer was found; Debian's package libomp-14-dev "
                "brings both")
    place = built("openmp-threads", environment(SPCONV_CY_SANITIZE="thread"))
    # libomp answers to GNU's names too, so that what g++ compiled runs on it.
    under = environment(LD_PRELOAD=f"{libtsan} {libomp}", TSAN_OPTIONS=f"{TSAN}:ignore_noninstrumented_modules=1",
                        OMP_TOOL_LIBRARIES=str(archer), PYTHONMALLOC="malloc", OPENBLAS_NUM_THREADS="1")
    library = WORK / "race.so"
    subprocess.run(["g++", "-shared", "-fPIC", "-fopenmp", "-fsanitize=thread", "-O1", "-g", "-x", "c++", "-", "-o",
                    str(library)], input=OPENMP_RACE, text=True, check=True)
    must_report(place, under, [sys.executable, "-c", OPENMP_CONTROL, str(library)])
    files = ("test_threads.py", "test_bits.py", "test_ops.py")
    # Those of settings start processes of their own and count this runtime's threads.
    found = tested(place, under, files, options=("-k", "not settings"))
    return f"threads inside a call under ThreadSanitizer and Archer: {found}, no report"


def free_threaded():
    """Run the tests in a Python without the GIL; return what is to be said."""
    names = (os.environ.get("SPCONV_CY_FREE_THREADED", ""), "python3.14t", "python3.13t")
    python = next(filter(None, map(shutil.which, filter(None, names))), None)
    if python is None:
        return ("without the GIL: left out, no free-threaded Python was found; python3.14t or python3.13t on the PATH, "
                "or SPCONV_CY_FREE_THREADED=PATH, fits")
    bin_folder = WORK / "free-threaded" / "venv" / "bin"
    if not (bin_folder / "pytest").exists():
        subprocess.run([python, "-m", "venv", str(bin_folder.parent)], check=True)
        subprocess.run([str(bin_folder / "python"), "-m", "pip", "install", "--quiet", "--only-binary=:all:", *NEEDS],
                       check=True)
    inside = str(bin_folder / "python")
    place = built("free-threaded", environment(), inside, inside)
    asked = subprocess.run([inside, "-W", "error", "-c", "import sys, spconv_cy; print(sys._is_gil_enabled())"],
                           cwd=place, text=True, capture_output=True)
    if asked.stdout.strip() != "False":
        sys.exit(f"the import brought the GIL back, or failed: {asked.stdout}{asked.stderr}")
    return f"without the GIL, {Path(python).name}: {tested(place, environment(PYTHON_GIL='0'), python=inside)}"


def built(name, variables, python=sys.executable, tools=None):
    """Copy the package to build/threads/name and build it there; return that folder. What did not change is kept."""
    place = WORK / name
    for part in BUILT_OF:
        sources = [ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*")
        for source in sources:
            if source.is_file() and source.suffix not in (".so", ".pyc"):
                copy = place / source.relative_to(ROOT)
                if not copy.exists() or copy.stat().st_mtime != source.stat().st_mtime:
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, copy)
    done = subprocess.run([tools or builder(python), "setup.py", "-q", "build_ext", "--inplace"], cwd=place, text=True,
                          env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{name} does not build:\n{done.stdout[-4000:]}")
    return place


def builder(python):
    """Return an interpreter of the same kind that has what the build needs."""
    inside = WORK / "tools" / "bin" / "python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", str(WORK / "tools")], check=True)
        subprocess.run([str(inside), "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    return str(inside)


def tested(place, variables, files=("test_threads.py",), python=sys.executable, options=()):
    """Run tests in a copy; return how many passed, or end with their output and the reports."""
    command = [python, "-X", "faulthandler", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m",
               "not slow and not gpu", *options, *(str(place / "tests" / name) for name in files)]
    done = run(place, variables, command)
    if done.returncode:
        sys.exit(f"{done.stdout[-12000:]}\nended with {done.returncode}" + reports(place))
    return done.stdout.strip().splitlines()[-1].split(",")[0]


def must_report(place, variables, command):
    """End where ThreadSanitizer is silent about a program with a race."""
    variables = {**variables, "TSAN_OPTIONS": variables["TSAN_OPTIONS"] + ":halt_on_error=1"}
    done = run(place, variables, command)
    if done.returncode != REPORTED:
        sys.exit(f"a race was not reported: ended with {done.returncode}\n{done.stdout[-4000:]}{reports(place)}")


def run(place, variables, command):
    """Run in a copy of the package, at the same addresses each time, which ThreadSanitizer's memory map wants."""
    for report in place.glob("report.*"):
        report.unlink()
    if "TSAN_OPTIONS" in variables:
        variables = {**variables, "TSAN_OPTIONS": f"{variables['TSAN_OPTIONS']}:log_path={place / 'report'}"}
        if shutil.which("setarch"):
            command = ["setarch", platform.machine(), "-R", *command]
    return subprocess.run(command, cwd=place, env={**variables, "PYTHONPATH": str(place)}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def reports(place):
    """Return the beginning of what ThreadSanitizer wrote."""
    return "".join(f"\n{path.read_text()[:8000]}" for path in sorted(place.glob("report.*"))[:3])


def environment(**variables):
    """Return this process's environment with these variables."""
    return {**os.environ, "OMP_WAIT_POLICY": "passive", **variables}


def found_by_compiler(name):
    """Return the path of a library of g++, or None."""
    if not shutil.which("g++"):
        return None
    path = subprocess.run(["g++", f"-print-file-name={name}"], text=True, capture_output=True).stdout.strip()
    return path if Path(path).is_absolute() else None


def runtime_of_llvm():
    """Return the paths of LLVM's OpenMP runtime and of Archer, the newest there are; (None, None) without."""
    folders = sorted(Path("/usr/lib").glob("llvm-*/lib"), key=lambda folder: int(folder.parent.name[5:].split(".")[0]))
    for folder in reversed(folders):
        if (folder / "libarcher.so").exists() and (folder / "libomp.so").exists():
            return folder / "libomp.so", folder / "libarcher.so"
    return None, None


if __name__ == "__main__":
    main()
