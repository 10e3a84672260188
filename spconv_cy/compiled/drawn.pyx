"""Regions drawn for one call: their bounds from random numbers, and their rules over few sites."""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

import numpy as np

from spconv_cy.compiled.pairs cimport Block, pairs_in
from spconv_cy.cpu cimport drawn
from spconv_cy.cpu.drawn cimport Side
from spconv_cy.cpu.link cimport MAX_WIDTH, Found, Scratch, release

from spconv_cy.errors import ShapeError, expected

cdef object WORDS = np.dtype(np.int32)


def even(const double[:, ::1] own, int64_t column, int64_t m, int64_t room, int64_t steps, int64_t width, int64_t more):
    """Return (low, high), (samples, m) int32 each, and the longest region.

    Region j begins at floor((j + u) room / steps) - floor(u room / steps), u one of the numbers own[:, column], and has
    `width` sites; 0: up to the next start, and `more` beyond.
    """
    cdef int64_t samples = own.shape[0]
    cdef int32_t[:, ::1] low, high
    if not 0 <= column < own.shape[1] or m < 1 or room < 0 or steps < 0:
        raise ShapeError(expected("even", f"a column of {own.shape[1]} and m >= 1", f"{column} and {m}"))
    low, high = np.empty((samples, m), WORDS), np.empty((samples, m), WORDS)
    if samples:
        drawn.even(&own[0, column], own.shape[1], samples, m, room, steps, width, more, &low[0, 0], &high[0, 0])
    return np.asarray(low), np.asarray(high), _longest(low, high)


def shuffled(const int64_t[:, ::1] places, int64_t m, int64_t twos, int64_t width, int64_t more):
    """Return the same as `even` for steps of 1, and of 2 at the first `twos` of the places (samples, steps)."""
    cdef int64_t samples = places.shape[0], steps = places.shape[1], b, j
    cdef int32_t[:, ::1] low, high
    cdef int64_t[::1] scratch = np.empty(steps + 1, np.int64)
    cdef const int64_t* first = NULL
    if not 0 <= twos <= steps or not 1 <= m <= steps + 1:
        raise ShapeError(expected("shuffled", f"at most {steps} twos and {steps + 1} regions", f"{twos} and {m}"))
    for b in range(samples):
        for j in range(twos):
            if not 0 <= places[b, j] < steps:
                raise ShapeError(expected("shuffled", f"places from 0 to {steps - 1}", places[b, j]))
    low, high = np.empty((samples, m), WORDS), np.empty((samples, m), WORDS)
    if samples:
        if steps:
            first = &places[0, 0]
        drawn.shuffled(first, samples, m, steps, twos, width, more, &scratch[0], &low[0, 0], &high[0, 0])
    return np.asarray(low), np.asarray(high), _longest(low, high)


def rules(const int32_t[:, ::1] sites, lows, highs, size, spans, int64_t most):
    """Return (Pairs, output sites, volume) of regions over n >= 1 canonical sites, or None.

    The volume is the number of sites of a region, an int, or (n_out,) int64 if not all regions have as many. None: keys
    do not fit, or rows of tables or pairs are more than `most`.

    Args:
        sites: (n, 1+d) int32, inside the field.
        lows, highs: for each axis (samples, m) int32, checked bounds.
        size, spans: of the field, and the longest region, d ints each.
    """
    cdef Side sides[MAX_WIDTH]
    cdef Scratch scratch
    cdef Found found
    cdef int64_t n = sites.shape[0], samples = lows[0].shape[0]
    cdef int width = <int>sites.shape[1]
    cdef int64_t* volumes = NULL
    cdef bint done, alike
    fits = len(lows) == len(highs) == len(size) == len(spans) == width - 1
    if not n or not 2 <= width <= MAX_WIDTH or not fits:
        raise ShapeError(expected("rules", "sites (n, 1+d), n >= 1, and d pairs of bounds", (n, width)))
    memset(&scratch, 0, sizeof(Scratch))
    alike = _fill(sides, lows, highs, size, spans, samples)
    with nogil:
        done = drawn.few(sides, width, samples, &sites[0, 0], n, most, &scratch, &found, &volumes)
    try:
        return _taken(&found, width, volumes, alike, spans) if done else None
    finally:
        release(&scratch, 0)
        free(found.block)


cdef bint _fill(Side* sides, lows, highs, size, spans, int64_t samples) except -1:
    # Returns True if all regions of an axis have the same number of sites.
    cdef const int32_t[:, ::1] low, high
    cdef int64_t b, j
    cdef int axis
    cdef bint alike = True
    for axis in range(1, <int>len(lows) + 1):
        low, high = lows[axis - 1], highs[axis - 1]
        if low.shape[0] != samples or high.shape[0] != samples or not low.shape[1] == high.shape[1] > 0 or not samples:
            raise ShapeError(expected("rules", f"bounds (samples, m) of {samples} samples",
                                      (low.shape[0], low.shape[1])))
        sides[axis].low, sides[axis].high, sides[axis].m = &low[0, 0], &high[0, 0], low.shape[1]
        sides[axis].size, sides[axis].span = size[axis - 1], spans[axis - 1]
        for b in range(samples):
            for j in range(low.shape[1]):
                alike = alike and high[b, j] - low[b, j] == sides[axis].span
    return alike


cdef _taken(Found* found, int width, const int64_t* volumes, bint alike, spans):
    cdef Block block = Block.__new__(Block)
    cdef int64_t[::1] each
    cdef int64_t n_offsets = 1
    for span in spans:
        n_offsets *= span
    block.start, block.size, found.block = found.block, <Py_ssize_t>found.size, NULL
    volume = n_offsets
    if not alike:
        volume = np.empty(found.m, np.int64)
        if found.m:
            each = volume
            memcpy(&each[0], volumes, <size_t>found.m * sizeof(int64_t))
    return pairs_in(block, found, n_offsets), block.words(found.sites, (found.m, width)), volume


cdef int64_t _longest(const int32_t[:, ::1] low, const int32_t[:, ::1] high):
    cdef int64_t b, j, longest = 1
    for b in range(low.shape[0]):
        for j in range(low.shape[1]):
            longest = max(longest, high[b, j] - low[b, j])
    return longest
