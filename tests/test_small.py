"""Kernels for rows of bfloat16 and 8 bits, on every instruction set of this machine, against numpy's exact sums."""

import os
import subprocess
import sys

import numpy as np
import pytest

from spconv_cy.compiled import small
from spconv_cy.compiled.pairs import Pairs, tile_pointers
from spconv_cy.errors import BackendError, ShapeError

SEED = 19
INT8 = list(small.sets("int8"))
CHANNELS = [(1, 1), (3, 5), (5, 3), (17, 33), (33, 17), (64, 72)]


@pytest.fixture(autouse=True)
def best_afterwards():
    """Give the choice of the set back."""
    yield
    small.select(None)


def rulebook(rng, n_in, n_out, k=5, share=0.5):
    """Return Pairs of k offsets, each with about a share of the output rows, and its lists."""
    outs = [np.flatnonzero(rng.random(n_out) < share) if n_in else np.zeros(0, int) for _ in range(k)]
    ins = [rng.integers(0, max(n_in, 1), len(rows)) for rows in outs]
    ptr = np.cumsum([0, *map(len, outs)]).astype(np.int64)
    out_rows, in_rows = (np.concatenate([*lists, []]).astype(np.int32) for lists in (outs, ins))
    return Pairs(in_rows, out_rows, ptr, n_in, n_out, tile_pointers(out_rows, ptr, n_out)), list(zip(ins, outs,
                                                                                                    strict=True))


def summed(x, w, lists, n_out, begin=None):
    """Return the sums of products in the type of x, which holds them exactly or in float64."""
    y = np.zeros((n_out, w.shape[2]), x.dtype)
    for offset, (ins, outs) in enumerate(lists):
        y[outs] += x[ins] @ w[offset] + (0 if begin is None else begin[offset])
    return y


def closed(sums, scale, shift, residual=None, slope=1.0):
    """Return what a kernel makes of its sums, rounded after each operation as float32 is."""
    z = sums.astype(np.float32) * scale + shift
    z = z if residual is None else z + residual
    return np.where(z >= 0, z, np.float32(slope) * z)


def widened(a):
    """Return bfloat16 in uint16 as float32."""
    return (a.astype(np.uint32) << 16).view(np.float32)


def nearest(x):
    """Return the bfloat16 nearest to each finite normal float32, the even one of two, by comparing distances."""
    low = x.view(np.uint32) >> 16
    high = low + 1
    a, b = (np.ascontiguousarray((v << 16).astype(np.uint32)).view(np.float32).astype(np.float64) for v in (low, high))
    a_near, b_near = np.abs(x - a), np.abs(b - x)
    return np.where((a_near < b_near) | ((a_near == b_near) & (low % 2 == 0)), low, high).astype(np.uint16)


def bytes_of(z, step, zero):
    """Return float32 numbers in steps of 8 bits."""
    return (np.rint(np.clip(z * (np.float32(1) / np.float32(step)), -zero, 255 - zero)) + zero).astype(np.uint8)


def padded(a, rng):
    """Return rows filled up to whole words with anything that is a number."""
    room = rng.integers(0, 100, (len(a), small.width(a.shape[1], a.dtype))).astype(a.dtype)
    room[:, :a.shape[1]] = a
    return room


def test_int8_gives_the_exact_sums_and_numpys_float32_bits_on_every_set():
    rng = np.random.default_rng(SEED)
    for c, o in CHANNELS:
        pairs, lists = rulebook(rng, 90, 150)
        x, w = rng.integers(0, 256, (90, c)).astype(np.uint8), rng.integers(-128, 128, (5, c, o)).astype(np.int8)
        w[0, :, :] = 127                                                # whose products pass 16 bits two by two
        begin = rng.integers(-5000, 5000, (5, o)).astype(np.int32)
        scale, shift = (rng.normal(size=o).astype(np.float32) for _ in range(2))
        residual = rng.normal(size=(150, o)).astype(np.float32)
        sums = summed(x.astype(np.int64), w.astype(np.int64), lists, 150, begin)
        wanted = closed(sums, scale, shift, residual, 0.25)
        step = float(np.abs(wanted).max()) / 60                         # so that both ends are held
        for name in INT8:
            small.select(name)
            packed = small.Packed(w)
            assert packed.name == name and packed.shape == (5, c, o) and packed.nbytes >= w.size
            rows = padded(x, rng)
            options = {"scale": scale, "shift": shift, "begin": begin, "residual": residual, "slope": 0.25}
            assert np.array_equal(small.conv(rows, packed, pairs), summed(x.astype(np.int64), w.astype(np.int64),
                                                                          lists, 150).astype(np.float32))
            assert np.array_equal(small.conv(rows, packed, pairs, **options), wanted)
            y = small.conv(rows, packed, pairs, **options, to=np.uint8, step=step, zero=31)
            assert np.array_equal(y[:, :o], bytes_of(wanted, step, 31)) and (y[:, o:] == 31).all()
            half = small.conv(rows, packed, pairs, **options, to=np.uint16)[:, :o]
            assert np.array_equal(half, small.encode(wanted, np.uint16)[:, :o])


def test_pairs_of_weights_past_16_bits_are_multiplied_once_more_where_the_set_needs_it():
    w = np.full((1, 8, 8), 127, np.int8)
    for name in INT8:
        small.select(name)
        assert small.Packed(w).extras == (2 if name == "avx2" else 0)
        assert small.Packed(w // 2).extras == 0


def test_int8_is_held_at_both_ends_and_a_step_of_none_gives_the_zero():
    rng = np.random.default_rng(SEED)
    pairs, lists = rulebook(rng, 40, 40, 1, 1.1)
    x, w = np.full((40, 4), 255, np.uint8), np.array([[[127, -128]] * 4], np.int8)
    for name in INT8:
        small.select(name)
        y = small.conv(x, small.Packed(w), pairs, to=np.uint8, step=1.0, zero=9)
        assert (y[:, 0] == 255).all() and (y[:, 1] == 0).all() and (y[:, 2:] == 9).all()
        assert (small.conv(x, small.Packed(w), pairs, to=np.uint8, zero=9) == 9).all()
    assert (small.encode(np.array([[np.nan, np.inf, -np.inf, 1e30]], np.float32), np.uint8, step=0.5, zero=9)
            == [[0, 255, 0, 255]]).all()
    assert len(lists[0][1]) == 40


def test_bfloat16_is_within_the_rounding_of_its_float32_sums_on_every_set():
    rng = np.random.default_rng(SEED)
    for c, o in CHANNELS:
        pairs, lists = rulebook(rng, 90, 150)
        x = small.encode(rng.normal(size=(90, c)).astype(np.float32), np.uint16)
        w = nearest(rng.normal(size=(5, c, o)).astype(np.float32))
        begin = rng.normal(size=(5, o)).astype(np.float32)
        wide, weights = widened(x[:, :c]).astype(np.float64), widened(w).astype(np.float64)
        exact = summed(wide, weights, lists, 150, begin.astype(np.float64))
        terms = 5 * (small.width(c, np.uint16) + 1)
        bound = terms * 2.0**-24 * summed(np.abs(wide), np.abs(weights), lists, 150, np.abs(begin).astype(float)) * 1.01
        same = {}
        for name, emulates in small.sets("bfloat16").items():
            small.select(name)
            y = small.conv(x, small.Packed(w), pairs, begin=begin)
            assert (np.abs(y - exact) <= bound).all(), name
            first = same.setdefault(emulates or name, y)
            assert np.array_equal(y.view(np.uint32), first.view(np.uint32)), name
            half = small.conv(x, small.Packed(w), pairs, begin=begin, to=np.uint16)
            assert np.array_equal(half, small.encode(y, np.uint16))


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_rows_without_pairs_empty_rulebooks_and_no_rows(precision):
    rng = np.random.default_rng(SEED)
    dtype, kind = (np.uint16, np.uint16) if precision == "bfloat16" else (np.uint8, np.int8)
    shift = np.array([1, -2, 3], np.float32)
    for name in small.sets(precision):
        small.select(name)
        packed = small.Packed(rng.integers(0, 100, (5, 5, 3)).astype(kind))
        for n_in, n_out in ((0, 0), (0, 7), (7, 0), (7, 7)):
            pairs, _ = rulebook(rng, n_in, n_out, share=0)
            x = np.zeros((n_in, small.width(5, dtype)), dtype)
            y = small.conv(x, packed, pairs, shift=shift, slope=0.5)
            assert y.shape == (n_out, 3) and (y == [1, -1, 3]).all()
        none = small.Packed(np.zeros((0, 5, 3), kind))
        pairs, _ = rulebook(rng, 7, 7, k=0)
        assert not small.conv(np.zeros((7, small.width(5, dtype)), dtype), none, pairs).any()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_any_number_of_threads_gives_the_same_bits(precision):
    rng = np.random.default_rng(SEED)
    pairs, _ = rulebook(rng, 1500, 1500, 9)
    x = rng.normal(size=(1500, 33)).astype(np.float32)
    bytes_ = precision == "int8"
    w = rng.integers(-99, 100, (9, 33, 40)).astype(np.int8) if bytes_ else nearest(
        rng.normal(size=(9, 33, 40)).astype(np.float32))
    rows = small.encode(x, np.uint8, step=0.02, zero=120) if bytes_ else small.encode(x, np.uint16)
    for name in small.sets(precision):
        small.select(name)
        packed = small.Packed(w)
        one, two, three = (small.conv(rows, packed, pairs, n_threads=n) for n in (1, 2, 3))
        assert np.array_equal(one, two) and np.array_equal(one, three)
        assert packed.scratch_bytes(pairs, 2) > packed.scratch_bytes(pairs, 1)      # two threads did run


def test_bfloat16_rounds_to_nearest_even_and_keeps_what_is_no_number():
    rng = np.random.default_rng(SEED)
    bits = rng.integers(0x00800000, 0x7f000000, (500, 4)).astype(np.uint32) | (rng.integers(0, 2, (500, 4)) << 31)
    bits = bits.astype(np.uint32)
    bits[::3] = bits[::3] & 0xffff0000 | 0x8000                          # halfway between two
    x = bits.view(np.float32)
    assert np.array_equal(small.encode(x, np.uint16), nearest(x))
    assert np.array_equal(small.decode(nearest(x), 4), widened(nearest(x)))
    odd = np.array([[np.inf, -np.inf, np.nan, np.finfo(np.float32).max, 1e-40, -1e-40, 0.0, -0.0]], np.float32)
    assert small.encode(odd, np.uint16)[0].tolist()[:2] == [0x7f80, 0xff80]
    assert np.isnan(widened(small.encode(odd, np.uint16))[0, 2])
    assert small.encode(odd, np.uint16)[0].tolist()[3:] == [0x7f80, 0, 0x8000, 0, 0]


def test_bytes_and_their_numbers():
    rng = np.random.default_rng(SEED)
    for c in (1, 3, 5, 17, 33):
        x = (3 * rng.normal(size=(70, c))).astype(np.float32)
        made = small.encode(x, np.uint8, step=0.03, zero=100)
        assert np.array_equal(made[:, :c], bytes_of(x, 0.03, 100)) and (made[:, c:] == 100).all()
        for n in (2, 3):
            assert np.array_equal(made, small.encode(x, np.uint8, step=0.03, zero=100, n_threads=n))
        scale, shift = (rng.normal(size=c).astype(np.float32) for _ in range(2))
        assert np.array_equal(small.decode(made, c, scale=scale, shift=shift),
                              made[:, :c].astype(np.float32) * scale + shift)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint8])
def test_maxima_of_small_rows_are_numpys(dtype):
    rng = np.random.default_rng(SEED)
    pairs, lists = rulebook(rng, 90, 150, 4, 0.3)
    x = rng.integers(0, 256, (90, 8)).astype(np.uint8)
    x = x if dtype == np.uint8 else small.encode(rng.normal(size=(90, 8)).astype(np.float32), np.uint16)
    values = x.astype(np.float32) if dtype == np.uint8 else widened(x)
    ground, is_open = x[:1].copy(), rng.integers(0, 2, 150).astype(np.uint8)
    wanted = np.full((150, 8), -np.inf, np.float32)
    for ins, outs in lists:
        wanted[outs] = np.maximum(wanted[outs], values[ins])
    empty = np.isinf(wanted[:, 0])
    with_ground = np.where(empty[:, None] | (is_open == 1)[:, None], np.maximum(wanted, values[:1]), wanted)
    for n in (1, 2):
        y = small.max_pool(x, pairs, ground, is_open, n_threads=n)
        assert np.array_equal(y.astype(np.float32) if dtype == np.uint8 else widened(y), with_ground)
        y = small.max_pool(x, pairs, ground, n_threads=n)
        assert np.array_equal(y[empty], np.repeat(ground, int(empty.sum()), 0))
    if dtype == np.uint16:
        x[lists[0][0][0], 3] = 0x7fc0
        assert np.isnan(widened(small.max_pool(x, pairs, ground))[lists[0][1][0], 3])


def test_a_result_is_written_where_it_is_asked_for_and_nowhere_else():
    rng = np.random.default_rng(SEED)
    pairs, _ = rulebook(rng, 30, 30)
    x = rng.integers(0, 256, (30, 8)).astype(np.uint8)
    for name in INT8:
        small.select(name)
        packed = small.Packed(rng.integers(-99, 100, (5, 8, 20)).astype(np.int8))
        room = np.full((30, 24), 7, np.uint8)
        y = small.conv(x, packed, pairs, to=np.uint8, step=90.0, zero=128, y=room[:, 4:])
        assert np.array_equal(y, small.conv(x, packed, pairs, to=np.uint8, step=90.0, zero=128))
        assert np.shares_memory(y, room) and (room[:, :4] == 7).all()


def test_wrong_arguments_are_refused():
    rng = np.random.default_rng(SEED)
    pairs, _ = rulebook(rng, 8, 8)
    packed = small.Packed(np.ones((5, 5, 3), np.int8))
    with pytest.raises(ShapeError, match="Packed: expected weights"):
        small.Packed(np.ones((5, 5, 3), np.float32))
    with pytest.raises(ValueError, match="keep the layer in float32"):
        small.Packed(np.full((70_000, 1, 1), 127, np.int8))
    for x in (np.zeros((8, 5), np.uint8), np.zeros((7, 8), np.uint8), np.zeros((8, 6), np.uint16)):
        with pytest.raises(ShapeError, match="conv: expected"):
            small.conv(x, packed, pairs)
    x = np.zeros((8, 8), np.uint8)
    with pytest.raises(ShapeError, match="begin"):
        small.conv(x, packed, pairs, begin=np.zeros((5, 4), np.int32))
    with pytest.raises(ShapeError, match="conv: expected"):
        small.conv(x, packed, pairs, residual=np.zeros((8, 4), np.float32))
    with pytest.raises(BackendError, match="select: expected one of"):
        small.select("abacus")
    with pytest.raises(ValueError, match="'bfloat16' or 'int8'"):
        small.sets("float16")
    with pytest.raises(ShapeError, match="max_pool: expected"):
        small.max_pool(x, pairs, np.zeros((1, 4), np.uint8))


@pytest.mark.parametrize("isa", ["portable", "avx2"])
def test_the_set_that_was_chosen_for_float32_is_the_set_here(isa):
    if isa not in INT8:
        pytest.skip(f"no {isa} here")
    code = ("import spconv_cy._core; from spconv_cy.compiled import small; "
            "print(*small.in_use('int8'), *small.in_use('bfloat16'))")
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "SPCONV_CY_ISA": isa}, text=True,
                         capture_output=True, check=True)
    assert run.stdout.split() == [isa, "avx512vnni", isa, "avx512bf16"]
