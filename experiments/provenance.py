"""Where a record was made: the commit, the date, the processor and the versions."""

import datetime
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAMES = ("commit", "date", "processor", "versions")
PACKAGES = ("numpy", "scipy", "spconv_cy")


def provenance():
    """Return {"commit", "date", "processor", "versions"} of this run; None for what cannot be found out.

    >>> sorted(provenance()["versions"])
    ['numpy', 'python', 'scipy', 'spconv_cy']
    """
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    return {"commit": _commit(), "date": datetime.date.today().isoformat(),
            "processor": {"model": _model(), "instruction set": _instruction_set()}, "versions": versions}


def _commit():
    """Return the commit of the checkout, with -dirty if it has changes that are not committed."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:                                     # no git
        return None
    return done.stdout.strip() if not done.returncode else None


def _model():
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:                                     # not Linux
        found = None
    return found[1].strip() if found else platform.processor() or None


def _instruction_set():
    try:
        from spconv_cy._core import isa
    except ImportError:                                 # an installation without compiled parts
        return None
    return isa()


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
