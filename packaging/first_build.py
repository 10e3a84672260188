"""Make the environment .venv and build the package in it, as `make` does; say first what is missing, and how long.

usage: python packaging/first_build.py
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
# Seconds of one core for a file, on a Zen 4 of 2023.
SECONDS = 3
# What may be missing: its name, its packages on Debian and on Fedora.
PYTHON = ("Python 3.10 or later", "python3", "python3")
MODULES = ("the Python modules venv and ensurepip", "python3-venv", "python3")
COMPILER = ("a C++ compiler (c++, or the one that CXX names)", "g++", "gcc-c++")
HEADERS = ("Python's headers (Python.h)", "python3-dev", "python3-devel")
STANDARD = ("a compiler of C++17", "g++", "gcc-c++")


def compiler():
    """Return the command of the C++ compiler as a list, [] if there is none."""
    command = shlex.split(os.environ.get("CXX", "c++"))
    return command if command and shutil.which(command[0]) else []


def compiles(text):
    """Return True if the compiler takes a program of C++17."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text(text)
        include = ["-I" + sysconfig.get_path(name) for name in ("include", "platinclude")]
        done = subprocess.run([*compiler(), "-std=c++17", *include, "-fsyntax-only", str(source)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def missing():
    """Return what the build needs and does not find."""
    found = [PYTHON] if sys.version_info < (3, 10) else []
    if not (VENV / "bin" / "pip").exists() and not (find_spec("venv") and find_spec("ensurepip")):
        found.append(MODULES)
    if not compiler():
        found.append(COMPILER)
    elif not compiles("#include <optional>\nint main() { if constexpr (true) return 0; }\n"):
        found.append(STANDARD)
    elif not compiles("#include <Python.h>\nint main() { return 0; }\n"):
        found.append(HEADERS)
    return found


def told(found):
    """Return the lines of what is missing and how to install it."""
    lines = [f"first_build: expected {what}, got none" for what, _, _ in found]
    debian, fedora = (" ".join(sorted({names[i] for names in found})) for i in (1, 2))
    return "\n".join([*lines, f"on Debian and Ubuntu: apt-get install {debian}; on Fedora: dnf install {fedora}; "
                      "then the same command again"])


def announcement():
    """Return what will be done, and for how long."""
    if (VENV / "built").exists():
        return "Compiling what has changed since the last build."
    files = [*(ROOT / "spconv_cy").rglob("*.pyx"), *(ROOT / "spconv_cy" / "cpu" / "kernels").glob("*.cpp")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    minutes = SECONDS * len(files) / 60 / min(cores, 8)
    return (f"Installing packages into .venv, then compiling {len(files)} files with {' '.join(compiler())} on {cores} "
            f"cores: about {max(minutes, 1):.0f} min, longer on a busy machine. This is done once; later builds "
            "compile what has changed.")


def build():
    """Install the package into .venv, editable, with what its tests need; return the exit status of pip."""
    if not (VENV / "bin" / "pip").exists():                              # none, or one that was interrupted
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    began = time.monotonic()
    pip = subprocess.Popen([str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--editable", ".[test]"],
                           cwd=ROOT)
    while True:
        try:
            status = pip.wait(timeout=30)
        except subprocess.TimeoutExpired:
            minutes, seconds = divmod(int(time.monotonic() - began), 60)
            print(f"  still building, {minutes}:{seconds:02d}", flush=True)
            continue
        if not status:
            print(f"Built in {time.monotonic() - began:.0f} s.", flush=True)
        return status


def main():
    """Check, announce, build."""
    found = missing()
    if found:
        sys.exit(told(found))
    print(announcement(), flush=True)
    sys.exit(build())


if __name__ == "__main__":
    main()
