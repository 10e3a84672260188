"""The cuda backend over the stand-in for cupy, for the tests of this folder alone."""

import shutil
import sys

import cupy_on_host
import host_build
import pytest
import streams

from spconv_cy.backend import switch
from spconv_cy.sites import rulebook

try:
    from spconv_cy.cuda import loader
except ImportError:                                                      # a version without the folder
    collect_ignore_glob = ["*.py"]


@pytest.fixture(scope="session")
def built():
    """The sources that the fast tests use, built for the CPU; others are when they are used."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    forms = [form for form in loader.forms() if form[1] == "float" and form[0] != "conv_mma.cu"]
    return host_build.build_all([loader.source(*form) for form in [*forms, ("conv_mma.cu", "Half")]])


@pytest.fixture
def cuda(built, monkeypatch):
    """The backend "cuda" on the host; gone after the test, as is a real one during it."""
    monkeypatch.setattr(switch, "_ready", {name: ops for name, ops in switch._ready.items() if name != "cuda"})
    rulebook._one_row.cache_clear(), rulebook._small_identity.cache_clear()
    for name, module in cupy_on_host.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    yield switch.ops_named("cuda")
    rulebook._one_row.cache_clear(), rulebook._small_identity.cache_clear()
    streams.on = False


@pytest.fixture(params=["fwd", "rev", "1", "2"])
def order(request, monkeypatch):
    """The order in which blocks and threads run."""
    monkeypatch.setenv("SHIM_ORDER", request.param)
    return request.param
