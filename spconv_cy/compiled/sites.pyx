"""Sites: canonical order, look-up, unions. Functions return None where packed keys do not hold the extents."""

from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

from spconv_cy.cpu cimport hashgrid, merge, order, ranks
from spconv_cy.cpu.order cimport Box
from spconv_cy.cpu.ranks cimport real

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected


def arrange(const int32_t[:, ::1] sites, int n_threads=1):
    """Return (unique sites in canonical order, row of each given site (n,) int32) of n >= 1 sites, or None."""
    cdef int64_t n = sites.shape[0], n_words
    cdef Box box
    _check_sites(sites)
    if ranks.ascends(&sites[0, 0], n, <int>sites.shape[1]):
        return np.asarray(sites), np.arange(n, dtype=np.int32)
    box = box_of(sites, n_threads)
    if not order.lay_out(&box):
        return None
    n_words = ranks.words_for(&box, n)
    return _ranked(sites, &box, n_words, team(n_threads, n)) if n_words else _sorted(sites, &box, team(n_threads, n))


cdef _ranked(const int32_t[:, ::1] sites, const Box* box, int64_t n_words, int n_threads):
    cdef int64_t n = sites.shape[0], m
    cdef uint8_t[::1] words = empty(<size_t>n_words * sizeof(ranks.Word), np.uint8)
    cdef ranks.Word* word = <ranks.Word*>&words[0]
    cdef int64_t[::1] keys, counts = empty(n_threads, np.int64)
    cdef int32_t[:, ::1] unique
    cdef int32_t[::1] rows = empty(n, np.int32)
    with nogil:
        m = ranks.mark(&sites[0, 0], n, box, word, n_words, &counts[0], n_threads)
    unique = empty((m, box.width), np.int32)
    if m < n:                                                           # a site that comes twice is copied once
        keys = empty(m, np.int64)
    with nogil:
        ranks.complete(word, n_words, &counts[0], &keys[0] if m < n else NULL, n_threads)
        if m < n:
            order.unpack(&keys[0], m, box, &unique[0, 0], n_threads)
        ranks.rank(&sites[0, 0], n, box, word, &rows[0], &unique[0, 0] if m == n else NULL, n_threads)
    return np.asarray(unique), np.asarray(rows)


cdef _sorted(const int32_t[:, ::1] sites, const Box* box, int n_threads):
    cdef int64_t n = sites.shape[0], m
    cdef int64_t[::1] keys = empty(n, np.int64), other_keys = empty(n, np.int64)
    cdef int64_t[::1] counts = empty(n_threads * order.BUCKETS, np.int64)
    cdef int32_t[::1] rows = np.arange(n, dtype=np.int32), other_rows = empty(n, np.int32), went
    cdef int32_t[:, ::1] unique
    cdef bint swapped
    with nogil:
        order.pack(&sites[0, 0], n, box, &keys[0], n_threads)
        swapped = order.sort(&keys[0], &rows[0], &other_keys[0], &other_rows[0], n, &counts[0], n_threads)
        if swapped:
            keys, rows, other_rows = other_keys, other_rows, rows
        m = order.count_unique(&keys[0], n, &counts[0], n_threads)
    unique, went = empty((m, box.width), np.int32), other_rows
    with nogil:
        order.gather_unique(&keys[0], &rows[0], n, &sites[0, 0], box.width, &counts[0], &unique[0, 0], &went[0],
                            n_threads)
    return np.asarray(unique), np.asarray(went)


def bounds(const int32_t[:, ::1] sites, int n_threads=1):
    """Return the smallest and the largest value of every column, (2, 1+d) int64, of n >= 1 sites."""
    cdef Box box = box_of(sites, n_threads)
    low = [box.low[axis] for axis in range(box.width)]
    return np.array([low, [box.low[axis] + box.side[axis] - 1 for axis in range(box.width)]], np.int64)


def find(const int32_t[:, ::1] sites, const int32_t[:, ::1] queries, int n_threads=1):
    """Return the row (q,) int32 of each query among n >= 1 different sites, -1 where there is none, or None."""
    cdef int64_t n = sites.shape[0], q = queries.shape[0], n_slots = hashgrid.slots_for(n)
    cdef Box box = box_of(sites, n_threads)
    cdef int64_t[::1] keys
    cdef int32_t[::1] slots, rows
    if queries.shape[1] != box.width:
        raise ShapeError(expected("find", f"queries (q, {box.width})", f"shape {(q, queries.shape[1])}"))
    if not order.lay_out(&box):
        return None
    keys, slots, rows = empty(n, np.int64), np.full(n_slots, -1, np.int32), empty(q, np.int32)
    if q:
        with nogil:
            order.pack(&sites[0, 0], n, &box, &keys[0], team(n_threads, n))
            hashgrid.insert(&keys[0], n, &slots[0], n_slots)
            hashgrid.look_up(&keys[0], &slots[0], n_slots, &box, &queries[0, 0], q, &rows[0],
                             team(n_threads, q))
    return np.asarray(rows)


def merged(const int32_t[:, ::1] a, const int32_t[:, ::1] b):
    """Return (left, right), (q,) int32 each: the rows in a and in b of each site of their union, -1: not there.

    Both are canonical, and neither is empty.
    """
    cdef int64_t n = a.shape[0], m = b.shape[0], count
    cdef int32_t[:, ::1] rows = empty((2, n + m), np.int32)
    if not n or not m or a.shape[1] != b.shape[1]:
        raise ShapeError(expected("merged", "sites (n, 1+d) and (m, 1+d), n and m >= 1",
                                  f"{(n, a.shape[1])} and {(m, b.shape[1])}"))
    with nogil:
        count = merge.merge(&a[0, 0], n, &b[0, 0], m, <int>a.shape[1], &rows[0, 0], &rows[1, 0])
    return np.asarray(rows[0, :count]), np.asarray(rows[1, :count])


def floored(const real[:, ::1] points, const double[::1] sides, int n_threads=1):
    """Return the sites floor(coordinate / side), (n, 1+d) int32, of points (n, 1+d), batch index first, or None.

    None if a number is not finite, a batch index is not whole, or int32 does not hold a site.
    """
    cdef int64_t n = points.shape[0]
    cdef int width = <int>points.shape[1]
    cdef bint fits = True
    cdef int32_t[:, ::1] sites = empty((n, width), np.int32)
    if not 2 <= width <= order.MAX_WIDTH or sides.shape[0] != width - 1:
        raise ShapeError(expected("points", "shape (n, 1+d), d from 1 to 8, and d sides",
                                  f"{(n, width)} and {sides.shape[0]}"))
    if n:
        with nogil:
            fits = ranks.floored(&points[0, 0], n, width, &sides[0], &sites[0, 0], team(n_threads, n))
    return np.asarray(sites) if fits else None


cdef int _check_sites(const int32_t[:, ::1] sites) except -1:
    if not sites.shape[0] or not 2 <= sites.shape[1] <= order.MAX_WIDTH:
        raise ShapeError(expected("sites", "shape (n, 1+d), n >= 1, d from 1 to 8",
                                  (sites.shape[0], sites.shape[1])))
    return 0


cdef Box box_of(const int32_t[:, ::1] sites, int n_threads):
    cdef Box box
    cdef int32_t[:, ::1] found
    cdef int axis
    _check_sites(sites)
    box.width = <int>sites.shape[1]
    n_threads = team(n_threads, sites.shape[0])
    found = empty((n_threads, 2 * box.width), np.int32)
    with nogil:
        ranks.bounds(&sites[0, 0], sites.shape[0], box.width, &found[0, 0], n_threads)
    for axis in range(box.width):
        box.low[axis] = found[0, axis]
        box.side[axis] = <int64_t>found[0, box.width + axis] - box.low[axis] + 1
    return box


cdef int64_t[::1] keys_of(const int32_t[:, ::1] sites, const Box* box, int n_threads):
    cdef int64_t n = sites.shape[0]
    cdef int64_t[::1] keys = empty(n, np.int64)
    with nogil:
        order.pack(&sites[0, 0], n, box, &keys[0], team(n_threads, n))
    return keys
