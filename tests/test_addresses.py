"""Addresses are 64-bit everywhere: rows past 4 GiB and past 2^32 numbers, read from a file that takes no disk."""

import resource

import numpy as np
import pytest
from numpy.testing import assert_allclose

from spconv_cy.backend.switch import ops_named
from spconv_cy.functional.selection import look_up
from spconv_cy.functional.sparse import gather
from spconv_cy.sites.rulebook import Rulebook

CHANNELS = 64
ROWS = 2**26 + 1000  # 16 GiB of float32, more than 2^32 numbers; the row itself is an int32
FAR = np.array([3, 2**24 + 7, 2**25 + 3, 2**26 + 5, ROWS - 1], np.int32)  # at 0, 4, 8, 16 GiB, and the last


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """Map a file whose length is all but a hole, with numbers in the rows FAR; and those rows."""
    path = tmp_path_factory.mktemp("sparse") / "rows.f32"
    try:
        with open(path, "wb") as file:
            file.truncate(ROWS * CHANNELS * 4)
        x = np.memmap(path, np.float32, "r+", shape=(ROWS, CHANNELS))
    except OSError as error:
        pytest.skip(f"no file of 16 GiB here: {error}")
    rows = np.random.default_rng(0).normal(size=(len(FAR), CHANNELS)).astype(np.float32)
    x[FAR] = rows
    if path.stat().st_blocks * 512 > 2**24:
        pytest.skip("this filesystem gives holes disk")
    yield x, rows
    path.unlink()


def rulebook_of(rows):
    """Pair each of a few rows, the last of them first, with an output of its own."""
    m = len(rows)
    return Rulebook.trusted(rows[::-1].copy(), np.arange(m, dtype=np.int32), np.array([0, m]), ROWS, m)


def test_the_compiled_core_reads_rows_past_4_gib(far, isa, rng):
    x, rows = far
    ops, rulebook, rows = ops_named("cpu"), rulebook_of(FAR), rows[::-1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for o in (1, 8, 70):
        w = rng.normal(size=(1, CHANNELS, o)).astype(np.float32)
        y = ops.conv(x, w, rulebook)
        assert_allclose(y, rows @ w[0], rtol=1e-4, atol=1e-4)
        assert_allclose(ops.conv_dw(x, y, rulebook)[0], rows.T @ y, rtol=1e-4, atol=1e-2)
    assert np.array_equal(ops.sum_pool(x, rulebook), rows)
    for ground in (None, np.full((1, CHANNELS), -9, np.float32)):
        y, winner = ops.max_pool(x, rulebook, ground)
        assert np.array_equal(y, rows) and (winner == FAR[::-1, None]).all()
    last = np.array([ROWS - 2, ROWS])
    assert np.array_equal(ops.segment_sum(x, last), rows[:1])
    assert np.array_equal(ops.segment_max(x, last)[0], np.maximum(rows[:1], 0))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB: the hole is never read


def test_looked_up_rows_past_4_gib_are_those_that_were_written(far):
    x, rows = far
    assert np.array_equal(gather(x, FAR).data, rows)
    found = look_up(x, None, np.array([-1, *FAR[::-1]], np.int32)).data
    assert np.array_equal(found, [np.zeros(CHANNELS), *rows[::-1]])
