"""Drawn regions: canonical sites and tables of bounds in, output sites and pairs out."""

from libc.stdint cimport int32_t, int64_t

import numpy as np

from spconv_cy.compiled.sites cimport team
from spconv_cy.cpu cimport order, reach, regions
from spconv_cy.cpu.order cimport Box
from spconv_cy.cpu.regions cimport Bounds, Regions

from spconv_cy.compiled.memory import empty
from spconv_cy.errors import ShapeError, expected

cdef enum:
    CHUNK_ROWS = 4096


def pairs(const int32_t[:, ::1] sites, low, side, tables, int n_threads=1):
    """Return (output sites, in_rows, out_rows, offset_ptr) of n >= 1 canonical sites, or None if no keys fit.

    Args:
        sites: (n, 1+d).
        low, side: (1+d,) ints, a box that holds the sites and the regions' numbers.
        tables: a (longest region, samples, size) int32 array an axis: which region has site x at this place inside it;
            -1: none.
    """
    cdef int64_t n = sites.shape[0], d = sites.shape[1] - 1, n_offsets = 1
    cdef Box box
    cdef Regions drawn
    cdef int axis
    cdef int64_t[::1] keys
    if not n or not 1 <= d < order.MAX_WIDTH or len(tables) != d:
        raise ShapeError(expected("pairs", "sites (n, 1+d) and d tables, n >= 1, d from 1 to 8",
                                  f"sites {(n, 1 + d)} and {len(tables)} tables"))
    box.width = drawn.width = <int>(d + 1)
    for axis in range(d + 1):
        box.low[axis], box.side[axis] = low[axis], side[axis]
    if not order.lay_out(&box):
        return None
    n_threads = team(n_threads, n)
    drawn.batch_step, drawn.batch_low = box.step[0], box.low[0]
    keys = empty(n, np.int64)
    with nogil:
        order.pack(&sites[0, 0], n, &box, &keys[0], n_threads)
    kept = []                                                            # the arrays that `drawn` points into
    for axis in range(1, d + 1):
        _fill(&drawn.axes[axis], &box, axis, tables[axis - 1])
        n_offsets *= drawn.axes[axis].span
        keys, where = _widened(keys, &drawn, axis, n_threads)
        kept.append(where)
    out_sites = empty((keys.shape[0], d + 1), np.int32)
    if not keys.shape[0]:
        return out_sites, empty(0, np.int32), empty(0, np.int32), np.zeros(n_offsets + 1, np.int64)
    cdef int32_t[:, ::1] found = out_sites
    with nogil:
        order.unpack(&keys[0], keys.shape[0], &box, &found[0, 0], n_threads)
    return out_sites, *_pairs(&drawn, n_offsets, n_threads)


cdef void _fill(Bounds* bounds, const Box* box, int axis, const int32_t[:, :, ::1] table):
    bounds.side, bounds.step, bounds.low = box.side[axis], box.step[axis], box.low[axis]
    bounds.span, bounds.samples, bounds.size = table.shape[0], table.shape[1], table.shape[2]
    bounds.region = &table[0, 0, 0]


cdef tuple _widened(int64_t[::1] keys, Regions* drawn, int axis, int n_threads):
    # Returns the keys after an axis, and the array of its `where`.
    cdef int64_t n = keys.shape[0], room = drawn.axes[axis].span, n_pieces
    cdef int64_t[::1] pieces, counts, begins, mapped, spare, found, widened
    cdef int32_t[::1] source
    cdef int32_t[:, ::1] where = np.full((room, max(n, 1)), -1, np.int32)
    drawn.axes[axis].n, drawn.axes[axis].where = n, &where[0, 0]
    if n == 0:
        return keys, where
    pieces = empty(n // reach.PIECE + 2, np.int64)
    n_pieces = reach.cut(&keys[0], n, drawn.axes[axis].side * drawn.axes[axis].step, &pieces[0])
    counts, found, n_threads = empty(n_pieces, np.int64), empty(room * n, np.int64), n_threads if n_pieces > 1 else 1
    if axis == drawn.width - 1:
        with nogil:
            regions.sweep(&keys[0], &pieces[0], n_pieces, drawn, &found[0], &counts[0], n_threads)
    else:
        spare, mapped, source = empty(room * n, np.int64), empty(n + n_pieces, np.int64), empty(n + n_pieces, np.int32)
        with nogil:
            regions.widen(&keys[0], &pieces[0], n_pieces, drawn, axis, &mapped[0], &spare[0], &found[0], &counts[0],
                          n_threads)
    starts = np.zeros(n_pieces + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    begins, counts = room * np.asarray(pieces), starts
    widened = found[:counts[1]] if n_pieces == 1 else empty(counts[n_pieces], np.int64)
    if not widened.shape[0]:
        return widened, where
    with nogil:
        if n_pieces > 1:
            reach.join(&found[0], &begins[0], n_pieces, &counts[0], &widened[0], n_threads)
        if axis == drawn.width - 1:
            regions.settle(&pieces[0], n_pieces, drawn, &counts[0], n_threads)
        else:
            regions.locate(&keys[0], &pieces[0], n_pieces, drawn, axis, &widened[0], &counts[0], &mapped[0], &source[0],
                           n_threads)
    return widened, where


cdef tuple _pairs(const Regions* drawn, int64_t n_offsets, int n_threads):
    cdef int64_t n = drawn.axes[1].n, chunk_rows = min(n, CHUNK_ROWS), n_chunks = (n + chunk_rows - 1) // chunk_rows
    cdef int32_t[::1] scratch = empty(2 * drawn.width * (chunk_rows + 1) * n_chunks, np.int32)
    cdef int64_t[:, ::1] counts = np.zeros((n_chunks, n_offsets), np.int64)
    cdef int64_t[:, :, ::1] places
    cdef int32_t[::1] in_rows, out_rows
    with nogil:
        regions.count_pairs(drawn, chunk_rows, n_chunks, n_offsets, &scratch[0], &counts[0, 0], n_threads)
    offset_ptr = np.zeros(n_offsets + 1, np.int64)
    np.cumsum(np.sum(counts, 0), out=offset_ptr[1:])
    ends = np.cumsum(counts, 0) + offset_ptr[:-1]
    places = np.stack([ends - counts, ends], -1)
    in_rows, out_rows = empty((2, offset_ptr[n_offsets]), np.int32)
    with nogil:
        regions.fill_pairs(drawn, chunk_rows, n_chunks, n_offsets, &scratch[0], &places[0, 0, 0], &in_rows[0],
                           &out_rows[0], n_threads)
    return np.asarray(in_rows), np.asarray(out_rows), offset_ptr
