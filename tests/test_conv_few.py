"""Convolutions whose sums lie in y, and whose rows may have one pair each, by numpy's own product."""

import platform
import re
from pathlib import Path

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose
from strategies import random_rulebook

from spconv_cy import _core
from spconv_cy.cpu import conv
from spconv_cy.sites.rulebook import Rulebook

SHAPES = [(1, 16), (32, 64), (64, 32), (64, 8), (200, 64), (7, 4), (33, 20), (330, 16)]


def by_numpy(x, w, book, bias, residual, slope):
    """Return y as sums of doubles."""
    y = np.tile(bias.astype(np.float64), (book.n_out, 1))
    for k, (low, high) in enumerate(zip(book.offset_ptr[:-1], book.offset_ptr[1:], strict=True)):
        np.add.at(y, book.out_rows[low:high], x[book.in_rows[low:high]].astype(np.float64) @ w[k])
    y += residual
    return np.where(y > 0, y, slope * y)


def one_pair_a_row(rng, n_in, n_out, k):
    """Return a rulebook in which each output has one pair, at any of k offsets."""
    offsets = rng.integers(0, k, n_out)
    outs, counts = np.argsort(offsets, kind="stable").astype(np.int32), np.bincount(offsets, minlength=k)
    rows = np.concatenate([rng.permutation(n_in)[:count] for count in counts]).astype(np.int32)
    return Rulebook(rows, outs, np.append(0, np.cumsum(counts)), n_in, n_out)


def two_and_none(rng, n, k=2):
    """Return a rulebook with as many pairs as outputs, in which row 1 has two and row 0 none."""
    outs = np.concatenate([[1], np.arange(1, n)]).astype(np.int32)
    return Rulebook(np.append(0, rng.permutation(n)[1:]).astype(np.int32), outs, np.array([0, 1] + [n] * (k - 1)), n, n)


def books(rng):
    """Return rulebooks of one pair a row, about one and four, in one tile and in several."""
    return {"one": one_pair_a_row(rng, 150, 700, 8), "identity": one_pair_a_row(rng, 300, 300, 1),
            "few": one_pair_a_row(rng, 9, 11, 8), "two and none": two_and_none(rng, 300),
            "some": random_rulebook(rng, 700, 300, 8, share=0.3), "many": random_rulebook(rng, 400, 300, 27, share=0.2),
            "rare": random_rulebook(rng, 90, 400, 8, share=0.05)}


@each("c, o", SHAPES)
@each("epilogue", [False, True], ids=["bare", "epilogue"])
def test_the_values_are_those_of_numpy(c, o, epilogue, isa, rng):
    for name, book in books(rng).items():
        x, w = rng.standard_normal((book.n_in, c), np.float32), rng.standard_normal((book.n_offsets, c, o), np.float32)
        bias, residual = rng.standard_normal((2, book.n_out, o), np.float32) * epilogue
        given = {"bias": bias[:1], "slope": 0.25} if epilogue else {}
        y, expected = _core.conv(x, w, book.pairs, **given), by_numpy(x, w, book, bias[0], 0, given.get("slope", 1))
        assert_allclose(y, expected, rtol=1e-4, atol=1e-3, err_msg=name)
        y = _core.conv(x, w, book.pairs, residual=residual, **given)
        assert_allclose(y, by_numpy(x, w, book, bias[0], residual, 0.25 if epilogue else 1), rtol=1e-4, atol=1e-3)


@each("c, o", SHAPES)
def test_the_bits_depend_on_no_path(c, o, isa, rng):
    # With a residual sums do not lie in y, a ninth offset without pairs takes the way of many offsets; zeros are added.
    for name, book in books(rng).items():
        more = Rulebook(book.in_rows, book.out_rows, np.append(book.offset_ptr, [len(book.in_rows)] * 9), book.n_in,
                        book.n_out)
        x, w = rng.standard_normal((book.n_in, c), np.float32), rng.standard_normal((book.n_offsets, c, o), np.float32)
        bias = rng.standard_normal((1, o), np.float32)
        wider = _core.conv(x, np.concatenate([w, np.zeros((9, c, o), np.float32)]), more.pairs, bias=bias)
        added = _core.conv(x, w, book.pairs, bias=bias, residual=np.zeros((book.n_out, o), np.float32))
        for n_threads in (1, 3):
            y, moments = _core.conv(x, w, book.pairs, bias=bias, measure=True, n_threads=n_threads)
            assert y.tobytes() == wider.tobytes() == added.tobytes(), name
            assert_allclose(moments[0], y.mean(0, np.float64), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("o", [16, 32, 64])
def test_rows_that_nobody_reads_are_not_touched(o, isa, rng):
    # The rows that are fetched next end at the last pair; no pairs and no channels give the bias.
    bias = rng.standard_normal((1, o), np.float32)
    for pairs, c in ((0, 3), (40, 0)):
        rows = np.arange(pairs, dtype=np.int32)
        book = Rulebook(rows, rows, np.array([0, pairs]), 40, 40)
        y = _core.conv(np.ones((40, c), np.float32), np.ones((1, c, o), np.float32), book.pairs, bias=bias)
        assert (y == bias).all()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks for an instruction of x86")
def test_rows_are_fetched_ahead():
    # A compiler may take a function that only fetches for one without effect, and remove its calls.
    fetch = re.compile(rb"\x0f\x18[\x10-\x17\x50-\x57\x90-\x97]")          # prefetcht1, by an address in registers
    assert fetch.search(Path(conv.__file__).read_bytes())
