"""The weight gradient by numpy's own product, for every way in which its kernels read the rows."""

import numpy as np
from in_turn import each
from numpy.testing import assert_allclose
from strategies import random_rulebook

from spconv_cy import _core
from spconv_cy.backend.switch import ops_named
from spconv_cy.sites.rulebook import Rulebook

# Rows in place, one block of a kernel or several; tails of columns; a group; rows in panels, with slabs and tails.
SHAPES = [
    (1, 1, 1), (3, 16, 1), (5, 7, 1), (13, 33, 1), (16, 16, 1), (24, 40, 1), (33, 64, 1), (64, 65, 1), (100, 31, 1),
    (12, 24, 4), (128, 128, 1), (130, 255, 1), (70, 321, 1), (257, 130, 1), (520, 1, 1), (1, 520, 1), (320, 640, 2),
]


def by_numpy(x, dy, book, groups):
    """Return dw (k, groups, c, o) as sums of doubles."""
    x = x.astype(np.float64).reshape(len(x), groups, -1).swapaxes(0, 1)
    dy = dy.astype(np.float64).reshape(len(dy), groups, -1).swapaxes(0, 1)
    return np.stack([x[:, book.in_rows[low:high]].swapaxes(1, 2) @ dy[:, book.out_rows[low:high]]
                     for low, high in zip(book.offset_ptr[:-1], book.offset_ptr[1:], strict=True)])


def numbers(rng, n, c, unaligned=False):
    """Return (n, c) floats, at an address that is a multiple of 4 bytes and of no more where asked."""
    room = np.empty(n * c + 1, np.float32)
    a = room[1:] if unaligned else room[:-1]
    a[...] = rng.standard_normal(n * c, np.float32)
    return a.reshape(n, c)


@each("c, o, groups", SHAPES)
@each("unaligned", [False, True], ids=["aligned", "unaligned"])
def test_the_gradient_is_that_of_numpy(c, o, groups, unaligned, isa, rng):
    book = random_rulebook(rng, 700, 650, 3, share=0.5)
    x, dy = numbers(rng, 700, c, unaligned), numbers(rng, 650, o, unaligned)
    dw = ops_named("cpu").conv_dw(x, dy, book, groups).reshape(3, groups, c // groups, o // groups)
    assert_allclose(dw, by_numpy(x, dy, book, groups), rtol=1e-4, atol=2e-3)


@each("c, o", [(1, 1), (16, 16), (40, 72), (200, 72)])
@each("n", [1, 2, 3, 5, 15, 16, 17, 31, 127, 128, 129, 130, 255, 257])
def test_any_number_of_pairs(c, o, n, isa, rng):
    rows = rng.permutation(n).astype(np.int32)
    book = Rulebook(rows, np.arange(n, dtype=np.int32), np.array([0, n, n]), n, n)
    x, dy = numbers(rng, n, c), numbers(rng, n, o)
    dw = ops_named("cpu").conv_dw(x, dy, book)
    assert_allclose(dw[0], x[rows].T.astype(np.float64) @ dy, rtol=1e-4, atol=1e-3)
    assert not dw[1].any()


@each("c, o, groups", [(16, 16, 1), (64, 40, 1), (130, 255, 1), (260, 520, 2), (600, 8, 1)])
def test_the_bits_are_the_same_for_any_number_of_threads(c, o, groups, isa, rng):
    book = random_rulebook(rng, 5000, 4000, 4, share=0.5)
    x, dy = numbers(rng, 5000, c), numbers(rng, 4000, o)
    found = [_core.conv_dw(x, dy, book.pairs, groups, n_threads=n).tobytes() for n in (1, 2, 3, 7)]
    assert len(set(found)) == 1


def test_nothing_outside_the_rows_is_read(isa, rng):
    # Rows of x and dy stand between rows of NaN that no pair names; a vector read past a row's end would bring them in.
    book = Rulebook(np.arange(1, 40, 2), np.arange(1, 40, 2), np.array([0, 20]), 41, 41)
    for c, o in [(1, 1), (3, 5), (17, 33), (65, 9), (130, 131), (257, 15)]:
        x, dy = numbers(rng, 41, c), numbers(rng, 41, o)
        x[::2], dy[::2] = np.nan, np.nan
        dw = ops_named("cpu").conv_dw(x, dy, book)
        assert np.isfinite(dw).all()
        assert_allclose(dw[0], x[1::2].T @ dy[1::2], rtol=1e-4, atol=1e-3)


def test_no_rows_no_pairs_no_channels(isa):
    none = Rulebook(np.empty(0, np.int32), np.empty(0, np.int32), np.zeros(4, np.int64), 5, 6)
    ops = ops_named("cpu")
    assert not ops.conv_dw(np.ones((5, 300), np.float32), np.ones((6, 300), np.float32), none).any()
    some = Rulebook(np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([0, 1]), 5, 6)
    for c, o in [(0, 3), (3, 0), (0, 0)]:
        assert ops.conv_dw(np.ones((5, c), np.float32), np.ones((6, o), np.float32), some).shape == (1, c, o)


