"""Pairs own the memory that loops read; checks, TILE_ROWS, lists of kernels and of backends exist once."""

import copy
import gc
import pickle
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
from in_turn import each
from strategies import random_rulebook
from threaded import together

import spconv_cy as sp
from spconv_cy.backend import switch
from spconv_cy.backend.switch import BACKENDS, ops_named, ops_of
from spconv_cy.compiled.pairs import TILE_ROWS, Pairs
from spconv_cy.errors import ShapeError
from spconv_cy.sites import rules
from spconv_cy.sites.pairs import PlainPairs
from spconv_cy.sites.rulebook import Rulebook

PACKAGE = Path(__file__).parents[1] / "spconv_cy"


def sources(*endings):
    return [path for path in PACKAGE.rglob("*") if path.suffix in endings]


def test_pairs_keep_their_arrays_when_nothing_else_does(rng):
    book = random_rulebook(rng, 3000, 2000, 27)
    x = np.asarray(rng.normal(size=(3000, 8)), np.float32)
    expected, pairs = ops_named("cpu").sum_pool(x, book), book.pairs
    gone = weakref.ref(book)
    del book
    gc.collect()
    assert gone() is None
    filler = [np.full(50_000, -1, np.int32) for _ in range(50)]          # would take memory that was given back
    from spconv_cy import _core

    assert np.array_equal(_core.sum_pool(x, pairs), expected) and filler


def test_one_transpose_is_made_however_many_threads_ask(rng):
    for _ in range(20):
        book = random_rulebook(rng, 300, 200, 9)
        found = together(4, lambda i, book=book: book.T)
        assert all(one is found[0] for one in found) and found[0].pairs is book.T.pairs


@pytest.mark.parametrize("kind", [Pairs, PlainPairs])
@pytest.mark.parametrize("copied", [lambda a: a, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_pairs_are_immutable_also_after_a_copy(kind, copied, rng):
    made = random_rulebook(rng, 30, 20, 3).pairs
    arrays = [np.array(a) for a in (made.in_rows, made.out_rows, made.offset_ptr)]
    pairs = copied(kind(*arrays, made.n_in, made.n_out, np.array(made.tile_ptr)))
    assert type(pairs) is kind and pairs.n_offsets == 3
    for name in ("in_rows", "out_rows", "offset_ptr", "tile_ptr"):
        with pytest.raises(ValueError):
            getattr(pairs, name)[...] = 0
    for name in ("in_rows", "tile_ptr", "n_in", "n_out", "n_offsets", "other"):
        with pytest.raises(AttributeError):
            setattr(pairs, name, 1)


@each("change", [
    {"out_rows": [0]}, {"offset_ptr": [0, 3]}, {"offset_ptr": [1, 2]}, {"offset_ptr": [0, 2, 1]}, {"n_out": -1},
    {"n_out": 10 * TILE_ROWS}, {"tile_ptr": [[0, 1]]}, {"tile_ptr": [[0, 2, 2]]}])
def test_arrays_of_no_rulebook_are_refused(change):
    given = {"in_rows": [0, 1], "out_rows": [0, 1], "offset_ptr": [0, 2], "n_in": 2, "n_out": 2, "tile_ptr": [[0, 2]]}
    dtypes = {"in_rows": np.int32, "out_rows": np.int32, "offset_ptr": np.int64, "tile_ptr": np.int64}

    def made(values):
        return Pairs(*(np.array(value, dtypes[name]) if name in dtypes else value for name, value in values.items()))

    made(given)
    with pytest.raises(ShapeError, match="Pairs: expected arrays of one rulebook"):
        made(given | change)


def test_an_operation_checks_its_operands_in_one_module():
    for path in sources(".py", ".pyx"):
        place = path.relative_to(PACKAGE).as_posix()
        if place in ("_core.pyx", "compiled/rowwise.pyx", "backend/cpu.py"):
            assert len(re.findall(r"ShapeError\(", path.read_text())) <= 1, f"{place}: checks are in operands.py"
    defined = [path.name for path in sources(".py", ".pyx") if "def check_conv(" in path.read_text()]
    assert defined == ["operands.py"]


def test_the_rows_of_a_tile_are_one_number():
    found = [path.name for path in sources(".py", ".pyx", ".pxd", ".hpp", ".inl", ".cpp")
             if re.search(r"TILE_ROWS\s*=\s*\d", path.read_text())]
    assert found == ["rules.pxd"] and rules.TILE_ROWS == TILE_ROWS
    assert Rulebook.identity(TILE_ROWS + 1).tile_ptr.tolist() == [[0, TILE_ROWS, TILE_ROWS + 1]]


def test_sites_know_no_device():
    for path in (PACKAGE / "sites").glob("*.py"):
        assert not re.search(r"\bops\b|cuda|cupy|upload|float32", path.read_text()), path.name


def test_a_micro_kernel_stands_in_two_lists():
    kernels = (PACKAGE / "cpu" / "kernels" / "kernels.hpp").read_text()
    listed = re.findall(r"^    KERNEL\((\w+), ", kernels, re.M)
    for path in sources(".hpp", ".pxd"):
        assert len(re.findall(r"\blost_rows\b", path.read_text())) == (path.name in ("kernels.hpp", "isa.pxd")), path
    table = (PACKAGE / "cpu" / "isa.pxd").read_text()
    table = re.search(r"cdef struct KernelTable:\n(.*?)\n\n", table, re.S)[1]
    assert re.findall(r"void \(\*(\w+)\)", table) == listed and len(listed) == 22
    assert "lost_rows" not in (PACKAGE / "cpu" / "kernels" / "dispatch.cpp").read_text()


def test_a_backend_is_registered_in_one_place(monkeypatch):
    class Third(type(ops_named("reference"))):
        name = "third"

    class Foreign:
        shape, dtype = (1,), np.dtype(np.float32)

    registration = type(BACKENDS["cpu"])(Third, lambda array: isinstance(array, Foreign))
    monkeypatch.setitem(BACKENDS, "third", registration)
    try:
        assert ops_of(Foreign()).name == "third" and "third" in switch.available_backends()
        with sp.use("third"):
            assert switch.current().name == "third"
    finally:
        switch._ready.pop("third", None)
