"""Experiments run as a user runs them, in this process: each would spend a second to import what the last one did."""

import contextlib
import io
import json
import os
import runpy
import sys
import traceback
import warnings
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import spconv_cy as sp

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


def run(folder, script, *arguments, **environment):
    """Run an experiment in a folder, told of no folder of data; return its returncode, stdout and stderr."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    kept = {name: value for name, value in os.environ.items() if name != "SPCONV_CY_DATA"}
    argv = [str(EXPERIMENTS / script), *map(str, arguments)]
    with (mock.patch.object(sys, "argv", argv), mock.patch.dict(os.environ, kept | environment, clear=True),
          contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings()):
        warnings.simplefilter("default")
        os.chdir(folder)
        try:
            status = status_of(argv[0])
        finally:
            os.chdir(before)
            sp.set_threads(None)
    return SimpleNamespace(returncode=status, stdout=out.getvalue(), stderr=err.getvalue())


def status_of(script):
    """Run a script; return the status that its process would end with."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def tiny(folder, script, *arguments):
    """Run an experiment's tiny version, which must end well; return its process and the record, kept in folder/log."""
    done = run(folder, script, "--tiny", "--log", "log", *arguments)
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "log" / "record.json").read_text())


def rows(table):
    """Return the cells of a table of Markdown."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
