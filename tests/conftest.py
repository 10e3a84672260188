"""Fixtures: a seeded generator, each available backend, each instruction set; settings are put back after a test."""

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.lazy import unbuilt

try:
    from spconv_cy import _core
except ImportError:
    _core = None

# Programs that wrote files for tests, with packages that the tests themselves do not need.
collect_ignore_glob = ["golden/*"]
# How the names of files begin whose tests all have a mark: those of experiments, examples, benchmarks, documentation
# and the model of digits; those that read the source; those of a GPU.
MARKED = {
    "experiments": ("test_experiment", "test_evidence", "test_examples", "test_bench", "test_docs_", "test_user_paths",
                    "test_digit_model", "test_page_known"),
    "source": ("test_house", "test_error_form", "test_architecture", "test_project_files"),
    "gpu": ("test_gpu",),
}
# The modules that the experiments share are not installed: tests import them from their folder.
sys.path.append(str(Path(__file__).resolve().parents[1] / "experiments"))


def pytest_configure(config):
    """End a run in a checkout that is not built: only the reference would be tested."""
    if told := unbuilt():
        raise pytest.UsageError(told)
    config.pluginmanager.register(WithExamples())                        # for all folders, not only this one


class WithExamples:
    """Leaves out the doctests of a file without `>>>`, which --doctest-modules would import and search to find none."""

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(self, file_path):
        """Return what reads a file: its tests, and its examples if it has any."""
        found = yield
        return [node for node in found if type(node) is pytest.Module or ">>>" in file_path.read_text(encoding="utf-8")]


def pytest_sessionstart(session):
    """Let writers of files not wait for the disk, some ten milliseconds each time: no test cuts the power."""
    os.fsync = lambda file: None
    gc.disable()                                                         # while tests are collected, which all stay


def pytest_ignore_collect(collection_path, config):
    """Leave files unread whose tests would all be left out by their mark, as `-m "not experiments"` does."""
    left_out = [mark for mark in MARKED if f"not {mark}" in config.option.markexpr]
    return any(collection_path.name.startswith(MARKED[mark]) for mark in left_out) or None


def pytest_collection_modifyitems(items):
    """Mark the tests of what lies around the package: its own can be run without them."""
    for item in items:
        for mark, names in MARKED.items():
            if item.path.name.startswith(names):
                item.add_marker(mark)


def pytest_collection_finish(session):
    """Keep what was imported and collected out of every search for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def rng():
    """A generator of its own for each test, the same at every run."""
    return np.random.default_rng(20140922)


@pytest.fixture(params=[name for name in sp.available_backends() if name != "cuda"])   # which tests/test_gpu.py tests
def ops(request):
    """The name of each available backend, in use during the test."""
    with sp.use(request.param):
        yield request.param


@pytest.fixture(params=_core.isas() if _core else ())
def isa(request):
    """Each instruction set that this build and machine can run, in use during the test."""
    before = _core.isa()
    _core.select_isa(request.param)
    yield request.param
    _core.select_isa(before)


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request):
    """Each thread count for which results must have the same bits."""
    sp.set_threads(request.param)
    yield request.param
    sp.set_threads(None)
