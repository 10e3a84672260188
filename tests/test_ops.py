"""The verbs: plain numpy against loops over pairs, every backend on every instruction set against plain numpy."""

import inspect
import itertools
import math

import numpy as np
import oracles
import pytest
from contract_ops import (
    REFERENCE,
    VERBS,
    as_tuple,
    born,
    call,
    calls_of,
    check_array,
    check_every_set,
    check_layouts,
    check_ops,
    check_signatures,
    numbers,
)
from in_turn import each
from strategies import random_rulebook, rulebooks

from spconv_cy.backend.switch import ops_named
from spconv_cy.errors import ShapeError
from spconv_cy.sites.rulebook import Rulebook

CHANNELS = [1, 3, 5, 16, 17, 31, 32, 33, 64, 65, 96, 100, 130]
GROUPS = [(2, 2, 2), (3, 6, 3), (4, 32, 64), (5, 5, 5), (2, 66, 34), (8, 128, 8)]
SPECIAL = np.array([-np.inf, -2, -1, -0.0, 0, 1, 2, np.inf, np.nan])


def special(rng, *shape):
    """Draw from few numbers, so that draws abound, with infinities and NaNs among them."""
    return rng.choice(SPECIAL, shape, p=[0.1, 0.15, 0.15, 0.05, 0.1, 0.15, 0.15, 0.1, 0.05])


def test_a_backend_has_the_verbs_of_the_reference_with_their_arguments(ops):
    check_signatures(ops_named(ops))


def test_calls_of_misses_no_verb(rng):
    assert {verb for verb, _, _ in calls_of(rng, random_rulebook(rng, 3, 3, 2), 1, 1)} == set(VERBS)


# The reference, against loops that share no code with it


@pytest.mark.parametrize("c, o, groups", [(3, 4, 1), (4, 6, 2), (1, 1, 1)])
def test_the_reference_equals_loops_over_pairs(c, o, groups, rng):
    for name, rulebook in rulebooks(rng):
        if rulebook.n_pairs > 1000:
            continue
        for verb, arguments, options in calls_of(rng, rulebook, c, o, groups):
            found, truth = getattr(REFERENCE, verb)(*arguments, **options), TRUTHS[verb](*arguments, **options)
            for mine, expected in zip(*(v if isinstance(v, tuple) else (v,) for v in (found, truth)), strict=True):
                assert mine.shape == expected.shape and np.allclose(mine, expected, rtol=0, atol=1e-12), (name, verb)


def pairs_of(rulebook):
    """Spell a rulebook out."""
    return oracles.pairs_of(rulebook.in_rows, rulebook.out_rows, rulebook.offset_ptr)


def sum_of_pairs(x, pairs, m):
    """Add row i to row j for each pair (k, i, j)."""
    y = np.zeros((m, x.shape[1]))
    for _, i, j in pairs:
        y[j] += x[i]
    return y


def winners_paid(dy, winner, n, rulebook=None):
    """Give each number of dy to the row that won it; the last row is the ground's."""
    dx = np.zeros((n + 1, dy.shape[1]))
    for (row, channel), value in np.ndenumerate(dy):
        dx[winner[row, channel], channel] += value
    return dx[:n], dx[n:]


def mapped(x, rows, slope=1.0):
    """Map number by number: what is there before the slope, and after."""
    z = np.zeros_like(x)
    for (row, channel), value in np.ndenumerate(x):
        centre, rest, scale, shift = rows[:, channel]
        z[row, channel] = (value - centre - rest) * scale + shift
    return z, np.maximum(z, 0) + slope * np.minimum(z, 0)


def bent(z, slope):
    """Multiply what is negative by the slope."""
    return np.maximum(z, 0) + slope * np.minimum(z, 0)


def gradient_mapped(x, dy, rows, slope):
    """Give dz and the centred numbers of `mapped`."""
    return np.array([[d if v > 0 else slope * d for v, d in zip(*r, strict=True)]
                     for r in zip(mapped(x, rows)[0], dy, strict=True)]).reshape(x.shape), x - rows[0] - rows[1]


def sums_mapped(x, dy, rows, slope):
    """Sum dz, and dz times the centred numbers, by columns."""
    dz, centred = gradient_mapped(x, dy, rows, slope)
    return np.stack([np.einsum("nc->c", dz), np.einsum("nc,nc->c", dz, centred)])


def dx_mapped(x, dy, rows, ab, slope):
    """Add up the three parts of dx."""
    dz, centred = gradient_mapped(x, dy, rows, slope)
    return np.einsum("nc,c->nc", dz, rows[2]) + np.einsum("nc,c->nc", centred, ab[0]) + ab[1]


def convolved(x, w, rulebook, bias=None, slope=None, rows=None, residual=0.0, measure=False):
    """Convolve by loops, then map, add, bend and measure."""
    y = oracles.conv(x, w, pairs_of(rulebook), rulebook.n_out, bias, None)
    z = (y if rows is None else mapped(y, rows)[0]) + residual
    z = z if slope is None else bent(z, slope)
    return (z, moments_of(z)) if measure else (z,)


def moments_of(x):
    """Take mean and variance column by column; the reference's mean needs no rest."""
    mean, variance = (np.array([f(column) for column in x.T]) if len(x) else np.zeros(x.shape[1])
                      for f in (np.mean, np.var))
    return np.stack([mean, np.zeros(x.shape[1]), variance])


def rows_taken(x, rows, ground=None):
    """Take rows one by one; -1 is the ground state or zero."""
    absent = np.zeros(x.shape[1]) if ground is None else ground[0]
    return np.reshape([x[i] if i >= 0 else absent for i in rows], (-1, x.shape[1]))


def sums_scattered(x, rows, m, mean, weights):
    """Add rows one by one to others, each times its weight if there are weights."""
    if weights is not None:
        return sum(sum_of_pairs(weight[:, None] * x, [(0, i, j) for i, j in enumerate(row) if j >= 0], m)
                   for row, weight in zip(rows, weights, strict=True))
    y = sum_of_pairs(x, [(0, i, j) for i, j in enumerate(rows)], m)
    return y / [[max(1, list(rows).count(j))] for j in range(m)] if mean else y


def entropy_of(x, labels, counts=None):
    """Add up -log p(label) row by row, and give what the gradient needs."""
    total, found = 0.0, np.tile([0.0, 1.0], (len(x), 1))
    for i, (row, label) in enumerate(zip(x, labels, strict=True)):
        if label >= 0:
            p = math.exp(row[label]) / math.fsum(map(math.exp, row))
            total -= math.log(p) * (1 if counts is None else counts[i])
            found[i] = max(row), math.fsum(math.exp(v - max(row)) for v in row)
    return np.array(total), found


def entropy_slope(x, found, labels, factor, counts=None):
    """Give softmax less one-hot labels, number by number."""
    dx = np.zeros_like(x)
    for (i, j), value in np.ndenumerate(x):
        if labels[i] >= 0:
            share = factor * (1 if counts is None else counts[i])
            dx[i, j] = share * (math.exp(value - found[i, 0]) / found[i, 1] - (j == labels[i]))
    return dx


TRUTHS = {
    "add": lambda x, y: np.array([[a + b for a, b in zip(*r, strict=True)] for r in zip(x, y, strict=True)]
                                 ).reshape(x.shape),
    "concatenate": lambda *parts: np.hstack(parts),
    "split": lambda x, *widths: tuple(np.hsplit(x, np.cumsum(widths)[:-1])),
    "cross_entropy": entropy_of,
    "cross_entropy_dx": entropy_slope,
    "leaky_relu": lambda x, slope: np.maximum(x, 0) + slope * np.minimum(x, 0),
    "leaky_relu_dx": lambda y, dy, slope: dy * (slope + (1 - slope) * (y > 0)),
    "moments": moments_of,
    "affine": lambda x, rows, slope, residual=0.0: bent(mapped(x, rows)[0] + residual, slope),
    "conv_after": convolved,
    "affine_sums": sums_mapped,
    "affine_dx": dx_mapped,
    "conv": lambda x, w, book, bias=None, slope=None: oracles.conv(x, w, pairs_of(book), book.n_out, bias, slope),
    "conv_dw": lambda x, dy, book, groups: oracles.conv_dw(x, dy, pairs_of(book), book.n_offsets, groups),
    "max_pool": lambda x, book, ground=None: oracles.max_pool(x, pairs_of(book), book.n_out, book.volume, ground),
    "max_pool_dx": winners_paid,
    "sum_pool": lambda x, book: sum_of_pairs(x, pairs_of(book), book.n_out),
    "take": lambda x, rows, ground=None, weights=None: rows_taken(x, rows, ground) if weights is None else sum(
        weight[:, None] * rows_taken(x, row) for row, weight in zip(rows, weights, strict=True)),
    "scatter_add": lambda x, rows, m, mean=False, weights=None: sums_scattered(x, rows, m, mean, weights),
    "scatter_max": lambda x, rows, m: oracles.max_pool(x, [(0, i, j) for i, j in enumerate(rows)], m, 0),
    "segment_sum": lambda x, starts: np.stack([x[a:b].sum(0) for a, b in itertools.pairwise(starts)]),
    "segment_max": oracles.segment_max,
    "asarray": lambda x: x,
    "on_host": lambda x: x,
    "to_numpy": lambda x: x,
}


def test_the_reference_pools_ties_and_nan_as_loops_do(rng):
    for _, rulebook in rulebooks(rng):
        if rulebook.n_pairs > 1000:
            continue
        x = special(rng, rulebook.n_in, 3)
        for ground in (None, special(rng, 1, 3)):
            found, truths = REFERENCE.max_pool(x, rulebook, ground), TRUTHS["max_pool"](x, rulebook, ground)
            for mine, truth in zip(found, truths, strict=True):
                assert np.array_equal(mine, truth, equal_nan=True)


# Every backend against the reference


@pytest.mark.parametrize("c", CHANNELS)
def test_verbs_agree_on_every_instruction_set_for_all_channels(c, rng):
    for i, (_, rulebook) in enumerate(rulebooks(rng)):
        o = CHANNELS[(CHANNELS.index(c) * 5 + i) % len(CHANNELS)]
        check_every_set(calls_of(rng, rulebook, c, o))


@pytest.mark.parametrize("c, o", [(161, 5), (321, 257), (7, 700)])
def test_verbs_agree_on_every_instruction_set_for_more_channels_than_a_pass_takes(c, o, rng):
    check_every_set(calls_of(rng, random_rulebook(rng, 200, 180, 3), c, o))


def test_verbs_agree_on_every_instruction_set_for_more_rows_than_a_chunk_holds(rng):
    check_every_set(calls_of(rng, random_rulebook(rng, 5000, 4500, 3), 20, 6))


@pytest.mark.parametrize("c, o", [(8, 16), (33, 7)])
def test_arrays_that_begin_at_any_number_give_the_same_bits_on_every_instruction_set(c, o, isa, rng):
    ops, book = ops_named("cpu"), random_rulebook(rng, 50, 40, 3)
    for verb, arguments, options in calls_of(rng, book, c, o):
        expected = as_tuple(call(ops, verb, born(ops, arguments), options))
        for first in (1, 2, 3):
            given = [begun_at(a, first) if isinstance(a, np.ndarray) else a for a in born(ops, arguments)]
            kept = {name: begun_at(a, first) if isinstance(a, np.ndarray) else a
                    for name, a in zip(options, born(ops, options.values()), strict=True)}
            for mine, truth in zip(as_tuple(getattr(ops, verb)(*given, **kept)), expected, strict=True):
                assert np.array_equal(mine, truth, equal_nan=True), verb


def begun_at(array, first):
    """Copy an array to an address that is `first` numbers past a multiple of 64."""
    room = np.empty(array.nbytes + 64 + first * array.itemsize, np.uint8)
    start = -room.ctypes.data % 64 + first * array.itemsize
    copy = room[start:start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    assert array.size == 0 or copy.ctypes.data % 64 == first * array.itemsize
    return copy


@pytest.mark.parametrize("groups, c, o", GROUPS)
def test_verbs_agree_on_every_instruction_set_in_groups(groups, c, o, rng):
    for _, rulebook in rulebooks(rng):
        check_every_set(calls_of(rng, rulebook, c, o, groups))


def test_every_backend_keeps_the_contract(ops, rng):
    for _, rulebook in rulebooks(rng):
        check_ops(ops_named(ops), calls_of(rng, rulebook, 6, 4, 2))
        check_layouts(ops_named(ops), rng, rulebook, 6, 4, 2)


@each("c", [1, 7, 16, 33])
def test_ties_nan_and_infinities_pool_alike_on_every_instruction_set(c, isa, rng):
    ops = ops_named("cpu")
    for _, rulebook in rulebooks(rng):
        x, ground = special(rng, rulebook.n_in, c), special(rng, 1, c)
        starts = np.concatenate([[0], np.sort(rng.integers(0, len(x) + 1, 4)), [len(x)]])
        for verb, arguments in (
            ("max_pool", (x, rulebook, None)),
            ("max_pool", (x, rulebook, ground)),
            ("segment_max", (x, starts)),
            ("scatter_max", (x, rng.integers(0, 5, len(x)), 6)),
        ):
            given = [a.astype(np.float32) if getattr(a, "dtype", None) == np.float64 else a for a in arguments]
            found, expected = getattr(ops, verb)(*given), getattr(REFERENCE, verb)(*arguments)
            for mine, truth in zip(found, expected, strict=True):
                assert np.array_equal(mine, truth, equal_nan=True), verb


@each("groups, c, o", [(1, 5, 33), (1, 40, 7), (2, 6, 34)])
def test_a_nan_reaches_exactly_the_outputs_whose_windows_hold_it(groups, c, o, isa, rng):
    for rulebook in (random_rulebook(rng, 40, 50, 9), random_rulebook(rng, 300, 290, 4)):
        x = numbers(rng, rulebook.n_in, c)
        x[7, 1] = np.nan
        shape = (rulebook.n_offsets, c // groups, o // groups)
        w = numbers(rng, *(shape if groups == 1 else (shape[0], groups, *shape[1:])))
        y = ops_named("cpu").conv(x.astype(np.float32), w.astype(np.float32), rulebook)
        reached = np.zeros(y.shape, bool)
        reached[rulebook.out_rows[rulebook.in_rows == 7], : o // groups] = True
        assert reached.any() and np.array_equal(np.isnan(y), reached)


def test_no_pairs_give_zeros_the_bias_and_the_ground(isa, rng):
    ops, nothing = ops_named("cpu"), np.zeros(0, np.int32)
    for n, m, k in ((0, 0, 3), (5, 0, 3), (0, 200, 3), (5, 200, 3), (5, 200, 0)):
        book = Rulebook(nothing, nothing, np.zeros(k + 1, int), n, m, volume=4)
        x, w, ground = (numbers(rng, *shape).astype(np.float32) for shape in ((n, 6), (k, 6, 20), (1, 6)))
        bias = numbers(rng, 1, 20).astype(np.float32)
        assert np.array_equal(ops.conv(x, w, book), np.zeros((m, 20)))
        assert np.array_equal(ops.conv(x, w, book, bias=bias), np.repeat(bias, m, 0))
        assert np.array_equal(ops.conv_dw(x, np.ones((m, 20), np.float32), book), np.zeros((k, 6, 20)))
        y, winner = ops.max_pool(x, book)
        assert np.array_equal(y, np.zeros((m, 6))) and (winner == -1).all()
        y, winner = ops.max_pool(x, book, ground)
        assert np.array_equal(y, np.repeat(ground, m, 0)) and (winner == -1).all()
        dx, dground = ops.max_pool_dx(np.ones((m, 6), np.float32), winner, n)
        assert np.array_equal(dx, np.zeros((n, 6))) and np.array_equal(dground, np.full((1, 6), m))
        assert np.array_equal(ops.sum_pool(x, book), np.zeros((m, 6)))


def test_no_channels_are_a_case_too(ops, rng):
    book, verbs = random_rulebook(rng, 6, 7, 3), ops_named(ops)
    for c, o in ((0, 4), (4, 0), (0, 0)):
        y = verbs.conv(verbs.asarray(np.ones((6, c))), verbs.asarray(np.ones((3, c, o))), book)
        assert np.array_equal(y, np.zeros((7, o)))
        assert verbs.conv_dw(verbs.asarray(np.ones((6, c))), verbs.asarray(np.ones((7, o))), book).shape == (3, c, o)


# What does not fit is refused, on every backend and with one voice


def bad_calls(rng):
    """List (verb, arguments, what the message must say) of calls that must not reach a pointer."""
    book = random_rulebook(rng, 6, 7, 3)
    x, dy, w = numbers(rng, 6, 4), numbers(rng, 7, 5), numbers(rng, 3, 4, 5)
    winner = np.zeros((7, 5), np.int32)
    return [
        ("conv", (x[:5], w, book), "6 input rows"),
        ("conv", (x, w[:2], book), "3 offsets"),
        ("conv", (x[:, :3], w, book), "channels|features"),
        ("conv", (x[0], w, book), "."),
        ("conv", (x, w[0], book), "."),
        ("conv_dw", (x[:5], dy, book), "6 input"),
        ("conv_dw", (x, dy[:6], book), "7 output"),
        ("conv_dw", (x, dy, book, 3), "groups"),
        ("conv_dw", (x, dy, book, 0), "groups"),
        ("max_pool", (x[:5], book), "6 input rows"),
        ("max_pool", (x, book, dy[:1]), "ground"),
        ("max_pool_dx", (dy, winner[:6], 6), "winner"),
        ("max_pool_dx", (dy, winner + 6, 6), "winner"),
        ("sum_pool", (x[:5], book), "6 input rows"),
        ("scatter_add", (x, np.full(6, 3, np.int32), 3), "rows"),
        ("scatter_add", (x, np.full(6, -1, np.int32), 3), "rows"),
        ("scatter_add", (x, np.zeros(5, np.int32), 3), "row"),
        ("scatter_max", (x, np.full(6, 3), 3), "rows"),
        ("scatter_max", (x, np.full(6, 2**32), 3), "rows"),
        ("take", (x, np.full(6, 6, np.int32)), "rows from -1 to 5"),
        ("take", (x, np.full(6, -2)), "rows from -1 to 5"),
        ("take", (x, np.full(6, 2**32 - 1)), "rows from -1 to 5"),
        ("take", (x, np.full(6, 2**32 - 1, np.uint32)), "rows from -1 to 5"),
        ("take", (x, np.zeros((6, 1), np.int32)), "rows"),
        ("take", (x, np.zeros(6, np.int32), dy[:1]), "ground"),
        ("take", (x, np.zeros((2, 5), int), None, np.ones((2, 6))), "weights"),
        ("take", (x, np.zeros((2, 6), int), x[:1], np.ones((2, 6))), "ground"),
        ("take", (x, np.full((2, 6), 6), None, np.ones((2, 6))), "rows from -1 to 5"),
        ("scatter_add", (x, np.zeros((2, 5), int), 3, False, np.ones((2, 5))), "weights"),
        ("scatter_add", (x, np.zeros(6, int), 3, False, np.ones((1, 6))), "weights"),
        ("scatter_add", (x, np.full((2, 6), 3), 3, False, np.ones((2, 6))), "rows from -1 to 2"),
        ("segment_sum", (x, np.array([0, 4, 3])), "starts"),
        ("segment_sum", (x, np.array([0, 7])), "starts"),
        ("segment_max", (x, np.array([-1, 6])), "starts"),
        ("segment_max", (x, np.zeros(0, np.int64)), "starts"),
    ]


def test_arrays_that_do_not_fit_are_refused_before_a_pointer_is_made(ops, rng):
    verbs = ops_named(ops)
    for verb, arguments, says in bad_calls(rng):
        given = [verbs.asarray(a) if getattr(a, "dtype", None) == np.float64 else a for a in arguments]
        with pytest.raises(ShapeError, match=says):
            getattr(verbs, verb)(*given)


def test_features_of_any_real_dtype_become_the_backends_own(ops, rng):
    verbs, book = ops_named(ops), random_rulebook(rng, 6, 7, 3)
    x = rng.integers(0, 9, (6, 4))
    expected = verbs.sum_pool(verbs.asarray(x), book)
    for dtype in (np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64, bool):
        born = verbs.asarray(x.astype(dtype))
        assert born.dtype == verbs.float_dtypes[0]
        if dtype is not bool:
            check_array(verbs, verbs.sum_pool(born, book), expected, 0, np.dtype(dtype).name)
    for wrong in (x.astype(complex), x.astype(object), x.astype(str)):
        with pytest.raises(ShapeError, match="dtype"):
            verbs.asarray(wrong)


def test_every_verb_says_in_its_docstring_what_it_does():
    for verb in VERBS:
        assert inspect.getdoc(getattr(type(REFERENCE), verb)), verb
