"""What builds out of tree share: copies of the checkout, tools to build with, Debian's packages, commands."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
NEEDS = ["setuptools>=77.0.3", "cython>=3.0.6", "wheel"]                 # pyproject.toml's, and for wheels


def run(*command, **options):
    """Run a command to its end and return what it printed; what went wrong ends this program."""
    words = [str(word) for word in command]
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout[-6000:]}\nended with status {done.returncode}")
    return done.stdout


def seconds():
    """Return the processor time that this program's commands took so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def copy_of_checkout(folder, names=(".",)):
    """Bring the tracked files below names into a folder; what is the same stays, so that a second build is short."""
    tracked = [name for name in run("git", "ls-files", *names, cwd=ROOT).splitlines() if (ROOT / name).is_file()]
    for name in tracked:
        source, copy = ROOT / name, folder / name
        if not copy.is_file() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    for path in (path for name in ("spconv_cy", "tests") for path in (folder / name).rglob("*")):
        if path.is_file() and path.suffix not in (".so", ".pyc") and str(path.relative_to(folder)) not in tracked:
            path.unlink()
    return folder


def tools():
    """Return a folder for PYTHONPATH with what builds need."""
    folder = BUILD / "tools"
    if not (folder / "done").is_file():
        run(sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, *NEEDS)
        (folder / "done").touch()
    return folder


def want(found, packages, what):
    """Have Debian's packages installed unless `found` says that what they bring is there."""
    if found():
        return
    remedy = f"{what} wanted: Debian's packages {' '.join(packages)} bring it"
    if shutil.which("apt-get") is None or os.geteuid():
        sys.exit(f"{remedy}; root may let apt-get install them")
    options = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    run("apt-get", "update", "-qq", **options)
    run("apt-get", "install", "--yes", "-qq", "--no-install-recommends", *packages, **options)
    if not found():
        sys.exit(remedy)
