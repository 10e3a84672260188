"""Checks a typed program, and the type of every public name, with mypy --strict against the installed package.

What a wheel holds beside its compiled modules is put into a new environment, as pip puts it: its types are found by
py.typed or not at all.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "typed_project"
INSTALL = "from setuptools import setup; setup(script_args=['-q', 'build_py', '--build-lib', {!r}])"


def installed():
    """Return the interpreter of an environment with the package in it, and numpy beside it; made anew each time."""
    shutil.rmtree(BUILT / "env", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", BUILT / "env"], check=True)
    python = BUILT / "env" / "bin" / "python"
    (packages,) = (BUILT / "env" / "lib").glob("python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([sys.executable, "-W", "ignore", "-c", INSTALL.format(str(packages))], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return python


def mypy(python, *files):
    """Return what mypy --strict says of files that import the installed package."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MYPYPATH", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(python), "--no-pretty",
         "--cache-dir", str(BUILT / "cache"), "--no-error-summary", "--no-color-output", *map(str, files)],
        cwd=BUILT, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr


def revealed(python, places):
    """Return {place: its type as mypy sees it} of places such as "layers.Convolution"."""
    lines = ["from typing_extensions import reveal_type", "import spconv_cy as sp"]
    lines += [f"reveal_type(sp.{place})" for place in places]
    path = BUILT / "names.py"
    path.write_text("\n".join(lines) + "\n")
    found = {}
    for line in mypy(python, path).splitlines():
        number, _, text = line.removeprefix("names.py:").partition(": ")
        place = places[int(number) - 3]
        found[place] = f"{found[place]} | {text}" if place in found else text
    return found


def without_functions(text):
    """Return a text in which the types of functions that return anything are one word: they take any function."""
    inner = re.sub(r"def \([^()]*\) -> Any", "Callable", text)
    return inner if inner == text else without_functions(inner)


def is_loose(text):
    """Return True if a parameter or the result of a revealed function may be anything; Any inside them may stand."""
    text = re.sub(r"^.*Revealed type is \"(Overload\()?|\"$", "", text)
    level, part, parts = 0, "", []
    for letter in text[:4] + without_functions(text[4:]).replace("->", "\0"):
        level += (letter == "(") - (letter == ")") + 2 * ((letter == "[") - (letter == "]"))
        if level <= 1 and letter in "(,)":
            parts.append(part)
            part = ""
        else:
            part += letter
    found = [one.split(": ", 1)[-1].replace("\0", "").removesuffix("=").strip() for one in [*parts, part]]
    return "Any" in found


def main():
    """Print what is wrong; return an exit status."""
    BUILT.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from test_public_api import CLASSES, FUNCTIONS

    python = installed()
    shutil.copy(Path(__file__).parent / "program.py", BUILT / "program.py")
    wrong = mypy(python, "program.py").splitlines()
    first = {value: place for place, value in reversed(CLASSES.items())}             # each class once
    places = sorted([*first.values(), *(place for place in FUNCTIONS if not place.endswith("__"))])
    types = revealed(python, places)
    for place in places:
        text = types.get(place, "error: no type")
        if "Revealed type" not in text or is_loose(text):
            wrong.append(f"{place}: {text}")
    print("\n".join(wrong + [f"typed project: {len(places)} public names, {len(wrong)} complaints"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
