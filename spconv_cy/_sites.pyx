"""The facade of the sites: sites and windows in, canonical sites and rulebook arrays out; None where no key fits."""

from libc.stdint cimport INT32_MAX, INT32_MIN, int32_t, int64_t

import numpy as np

from spconv_cy.cpu cimport hashgrid, merge, order, rules, turned
from spconv_cy.cpu.order cimport Box
from spconv_cy.cpu.rules cimport Axis, Merge, Runs

from spconv_cy._memory import empty
from spconv_cy.errors import ShapeError

cdef enum:
    ALONE = 8192                        # rows times offsets below which a second thread costs more than it brings


def arrange(const int32_t[:, ::1] sites, int n_threads=1):
    """Return (unique sites in canonical order, row of each given site (n,) int32) of n >= 1 sites, or None."""
    cdef int64_t n = sites.shape[0], m
    cdef Box box = _box_of(sites, n_threads)
    cdef int64_t[::1] keys, other_keys, counts
    cdef int32_t[::1] rows, other_rows, went
    cdef int32_t[:, ::1] unique
    cdef bint swapped
    if not order.lay_out(&box):
        return None
    if n < ALONE:
        n_threads = 1
    keys = empty(n, np.int64)
    order.pack(&sites[0, 0], n, &box, &keys[0], n_threads)
    if order.ascends(&keys[0], n):
        return np.asarray(sites), np.arange(n, dtype=np.int32)
    rows, other_keys, other_rows = np.arange(n, dtype=np.int32), empty(n, np.int64), empty(n, np.int32)
    counts = empty(n_threads * order.BUCKETS, np.int64)
    with nogil:
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
    cdef Box box = _box_of(sites, n_threads)
    low = [box.low[axis] for axis in range(box.width)]
    return np.array([low, [box.low[axis] + box.side[axis] - 1 for axis in range(box.width)]], np.int64)


def find(const int32_t[:, ::1] sites, const int32_t[:, ::1] queries, int n_threads=1):
    """Return the row (q,) int32 of each query among n >= 1 different sites, -1 where there is none, or None."""
    cdef int64_t n = sites.shape[0], q = queries.shape[0], n_slots = hashgrid.slots_for(n)
    cdef Box box = _box_of(sites, n_threads)
    cdef int64_t[::1] keys
    cdef int32_t[::1] slots, rows
    if queries.shape[1] != box.width:
        raise ShapeError(f"find: queries {(q, queries.shape[1])} came to sites of {box.width} columns; as many fit")
    if not order.lay_out(&box):
        return None
    keys, slots, rows = empty(n, np.int64), np.full(n_slots, -1, np.int32), empty(q, np.int32)
    if q:
        with nogil:
            order.pack(&sites[0, 0], n, &box, &keys[0], n_threads if n > ALONE else 1)
            hashgrid.insert(&keys[0], n, &slots[0], n_slots)
            hashgrid.look_up(&keys[0], &slots[0], n_slots, &box, &queries[0, 0], q, &rows[0],
                             n_threads if q > ALONE else 1)
    return np.asarray(rows)


def merged(const int32_t[:, ::1] a, const int32_t[:, ::1] b):
    """Return (left, right), (q,) int32 each: the rows in a and in b of each site of their union, -1: not there.

    Both are canonical, and neither is empty.
    """
    cdef int64_t n = a.shape[0], m = b.shape[0], count
    cdef int32_t[:, ::1] rows = empty((2, n + m), np.int32)
    if not n or not m or a.shape[1] != b.shape[1]:
        raise ShapeError(f"merged: sites {(n, a.shape[1])} and {(m, b.shape[1])} came; (n, 1+d) and (m, 1+d) fit, n, m >= 1")
    with nogil:
        count = merge.merge(&a[0, 0], n, &b[0, 0], m, <int>a.shape[1], &rows[0, 0], &rows[1, 0])
    return np.asarray(rows[0, :count]), np.asarray(rows[1, :count])


def pairs(const int32_t[:, ::1] sites, const int32_t[:, ::1] out_sites, const int32_t[:, ::1] offsets, stride,
          int n_threads=1):
    """Return (in_rows, out_rows, offset_ptr, tile_ptr) of `in = stride * out + offset`, or None.

    sites (n, 1+d) and out_sites (m, 1+d) are canonical, n, m >= 1, offsets (k, d) lexicographic, stride d ints.
    """
    cdef bint same = &sites[0, 0] == &out_sites[0, 0] and sites.shape[0] == out_sites.shape[0] and max(stride) == 1
    cdef Box box = _box_of(sites, n_threads), out = box if same else _box_of(out_sites, n_threads)
    cdef int64_t[::1] keys, wanted
    cdef int axis
    if not _with_windows(&box, &out, offsets, stride):
        return None
    keys = wanted = _keys_of(sites, &box, n_threads)
    if not same:
        out = box
        for axis in range(1, box.width):                                 # the key of stride * site, among the input's
            out.step[axis] *= stride[axis - 1]
        wanted = _keys_of(out_sites, &out, n_threads)
    return _pairs(keys, wanted, &box, offsets, stride, n_threads)


def valid(const int32_t[:, ::1] sites, const int32_t[:, ::1] offsets, size, stride, dilation, origin, out_size,
          int n_threads=1):
    """Return (output sites, in_rows, out_rows, offset_ptr, tile_ptr) of a cube over n >= 1 canonical sites, or None.

    size, stride, dilation and origin are d ints, out_size too or None: unbounded; offsets (k, d) are the cube's.
    """
    cdef Box out, box = _box_of(sites, n_threads)
    cdef int64_t[::1] keys, wanted
    cdef Axis axes[order.MAX_WIDTH]
    cdef int64_t m
    cdef int axis
    cdef int32_t[:, ::1] out_sites
    if not _with_halo(&box, size, dilation):
        return None
    keys = _keys_of(sites, &box, n_threads)
    if not _axes_of(axes, &box, size, stride, dilation, origin, out_size):
        return None
    wanted = keys
    for axis in range(1, box.width):
        wanted = _widened(wanted, &axes[axis], n_threads)
    out, m = box, wanted.shape[0]
    out_sites = empty((m, box.width), np.int32)
    if m:
        for axis in range(1, box.width):
            out.low[axis] = axes[axis].out_low
        order.unpack(&wanted[0], m, &out, &out_sites[0, 0], n_threads if m > ALONE else 1)
        for axis in range(1, box.width):                                 # the key of stride * site, among the input's
            out.step[axis] *= stride[axis - 1]
        order.pack(&out_sites[0, 0], m, &out, &wanted[0], n_threads if m > ALONE else 1)
    return np.asarray(out_sites), *_pairs(keys, wanted, &box, offsets, stride, n_threads)


def tile_pointers(const int32_t[::1] out_rows, const int64_t[::1] offset_ptr, int64_t n_out, int n_threads=1):
    """Return tile_ptr (k, t+1) int64 of a rulebook whose rows and pointers have been checked."""
    cdef int64_t n_offsets = offset_ptr.shape[0] - 1
    cdef int64_t n_tiles = (n_out + rules.TILE_ROWS - 1) // rules.TILE_ROWS
    cdef int64_t[:, ::1] tile_ptr = np.zeros((n_offsets, n_tiles + 1), np.int64)
    if out_rows.shape[0]:
        if out_rows.shape[0] < ALONE:
            n_threads = 1
        with nogil:
            rules.point_tiles(&out_rows[0], &offset_ptr[0], n_offsets, 0, n_out, &tile_ptr[0, 0], n_threads)
    return np.asarray(tile_ptr)


def ascend(const int32_t[::1] rows, const int64_t[::1] offset_ptr, int n_threads=1):
    """Return whether rows ascend strictly inside each offset; the pointers have been checked."""
    cdef bint rising = True
    if rows.shape[0] > 1:
        with nogil:
            rising = turned.ascend(&rows[0], &offset_ptr[0], offset_ptr.shape[0] - 1,
                                   n_threads if rows.shape[0] > ALONE else 1)
    return rising


def transpose(const int32_t[::1] in_rows, const int32_t[::1] out_rows, const int64_t[::1] offset_ptr, int64_t n_in,
              int n_threads=1):
    """Return (in_rows, out_rows) of the transposed rulebook of p >= 1 pairs, rows and pointers within their ranges."""
    cdef int64_t p = in_rows.shape[0]
    n_threads = n_threads if p > ALONE else 1
    cdef int32_t[:, ::1] rows = empty((2, p), np.int32), places = np.full((n_threads, n_in), -1, np.int32)
    with nogil:
        turned.transpose(&in_rows[0], &out_rows[0], &offset_ptr[0], offset_ptr.shape[0] - 1, n_in, &places[0, 0],
                         &rows[0, 0], &rows[1, 0], n_threads)
    return np.asarray(rows[0]), np.asarray(rows[1])


def fan_in(const int32_t[::1] out_rows, const int64_t[:, ::1] tile_ptr, int64_t n_out, int n_threads=1):
    """Return the number of pairs (n_out,) int32 of each output row, of p >= 1 pairs whose rows have been checked."""
    cdef int32_t[::1] counts = np.zeros(n_out, np.int32)
    with nogil:
        turned.fan_in(&out_rows[0], &tile_ptr[0, 0], tile_ptr.shape[0], tile_ptr.shape[1] - 1, &counts[0],
                      n_threads if out_rows.shape[0] > ALONE else 1)
    return np.asarray(counts)


cdef Box _box_of(const int32_t[:, ::1] sites, int n_threads):
    cdef Box box
    cdef int32_t[:, ::1] found
    cdef int axis
    if not sites.shape[0] or not 2 <= sites.shape[1] <= order.MAX_WIDTH:
        raise ShapeError(f"sites: shape {(sites.shape[0], sites.shape[1])} came; (n, 1+d) fits, n >= 1, d from 1 to 8")
    box.width = <int>sites.shape[1]
    n_threads = n_threads if sites.shape[0] > ALONE else 1
    found = empty((n_threads, 2 * box.width), np.int32)
    with nogil:
        order.bounds(&sites[0, 0], sites.shape[0], box.width, &found[0, 0], n_threads)
    for axis in range(box.width):
        box.low[axis] = found[0, axis]
        box.side[axis] = <int64_t>found[0, box.width + axis] - box.low[axis] + 1
    return box


cdef bint _with_halo(Box* box, size, dilation):
    # A span around the box: the keys of all that a window at a reached output sees are keys of the box.
    cdef int axis
    cdef int64_t room
    for axis in range(1, box.width):
        if dilation[axis - 1] * size[axis - 1] > INT32_MAX:
            return False
        room = dilation[axis - 1] * (size[axis - 1] - 1) + 1
        box.low[axis] -= room
        box.side[axis] += 2 * room
    return order.lay_out(box)


cdef int64_t[::1] _keys_of(const int32_t[:, ::1] sites, const Box* box, int n_threads):
    cdef int64_t n = sites.shape[0]
    cdef int64_t[::1] keys = empty(n, np.int64)
    with nogil:
        order.pack(&sites[0, 0], n, box, &keys[0], n_threads if n > ALONE else 1)
    return keys


cdef bint _axes_of(Axis* axes, const Box* box, size, stride, dilation, origin, out_size):
    # False where an output could lie outside int32.
    cdef Axis* axis
    cdef int a
    for a in range(1, box.width):
        if abs(origin[a - 1]) > INT32_MAX:
            return False
        axis = &axes[a]
        axis.side, axis.step, axis.low = box.side[a], box.step[a], box.low[a]
        axis.size, axis.stride, axis.dilation, axis.origin = size[a - 1], stride[a - 1], dilation[a - 1], origin[a - 1]
        low, high = axis.low + axis.origin, axis.low + axis.side - 1 + axis.origin
        axis.out_low, axis.out_high = low // axis.stride, high // axis.stride
        if out_size is not None:
            axis.out_low, axis.out_high = max(axis.out_low, 0), min(axis.out_high, out_size[a - 1] - 1)
        if axis.out_low < INT32_MIN or axis.out_high > INT32_MAX:
            return False
    return True


cdef int64_t[::1] _widened(int64_t[::1] keys, const Axis* axis, int n_threads):
    cdef int64_t n = keys.shape[0], room = rules.growth(axis), n_pieces
    cdef int64_t[::1] pieces, counts, mapped, spare, found, widened
    if n == 0:
        return keys
    pieces = empty(n // rules.PIECE + 2, np.int64)
    n_pieces = rules.cut(&keys[0], n, axis.side * axis.step, &pieces[0])
    counts, mapped = empty(n_pieces, np.int64), empty(n, np.int64)
    spare, found = empty(room * n, np.int64), empty(room * n, np.int64)
    n_threads = n_threads if n_pieces > 1 else 1
    with nogil:
        rules.widen(&keys[0], &pieces[0], n_pieces, axis, &mapped[0], &spare[0], &found[0], &counts[0], n_threads)
    if n_pieces == 1:
        return found[:counts[0]]
    starts = np.zeros(n_pieces + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    counts = starts
    widened = empty(counts[n_pieces], np.int64)
    if widened.shape[0]:
        with nogil:
            rules.join(&found[0], &pieces[0], n_pieces, room, &counts[0], &widened[0], n_threads)
    return widened


cdef bint _with_windows(Box* box, const Box* out, const int32_t[:, ::1] offsets, stride):
    # The box around the sites and all that windows at the outputs see: none of those keys carries into another axis.
    cdef int axis
    cdef int64_t k, low, high, step
    for axis in range(box.width):
        low, high, step = 0, 0, 1
        if axis:
            low = high = offsets[0, axis - 1]
            for k in range(1, offsets.shape[0]):
                low, high = min(low, offsets[k, axis - 1]), max(high, offsets[k, axis - 1])
            step = stride[axis - 1]
        low = min(low + step * out.low[axis], box.low[axis])
        high = max(high + step * (out.low[axis] + out.side[axis] - 1), box.low[axis] + box.side[axis] - 1)
        if high - order.FAR >= low:
            return False
        box.low[axis], box.side[axis] = low, high - low + 1
    return order.lay_out(box)


cdef tuple _pairs(int64_t[::1] keys, int64_t[::1] wanted, const Box* box, const int32_t[:, ::1] offsets, stride,
                  int n_threads):
    cdef int64_t m = wanted.shape[0], n_tiles = (m + rules.TILE_ROWS - 1) // rules.TILE_ROWS
    cdef int64_t n_offsets = offsets.shape[0], n_pairs
    cdef int64_t[::1] offset_ptr, shifts
    cdef int64_t[:, ::1] tile_ptr, walks
    cdef int32_t[::1] in_rows, out_rows
    cdef Merge merge
    cdef int last = box.width - 2
    offset_ptr, tile_ptr = np.zeros(n_offsets + 1, np.int64), np.zeros((n_offsets, n_tiles + 1), np.int64)
    if m == 0:
        return empty(0, np.int32), empty(0, np.int32), np.asarray(offset_ptr), np.asarray(tile_ptr)
    if m * n_offsets < ALONE:
        n_threads = 1
    inputs = _runs_of(keys, 1, &merge.inputs, n_threads)
    merge.n_runs = merge.inputs.tiles[inputs[2].shape[0] - 1]
    merge.n_merged = <int>n_offsets
    if &keys[0] == &wanted[0]:
        merge.wanted = merge.inputs
        if n_offsets % 2 and _are_mirrored(offsets):
            merge.n_merged = <int>(n_offsets // 2)
    else:
        _outputs = _runs_of(wanted, stride[last], &merge.wanted, n_threads)
    shifts, walks = _shifts(box, offsets), empty((n_offsets, 3), np.int64)
    merge.shifts, merge.walks, merge.m, merge.stride = &shifts[0], <rules.Walk*>&walks[0, 0], m, stride[last]
    merge.n_offsets = <int>n_offsets
    merge.n_walks = <int>rules.cut_walks(&offsets[0, 0], merge.n_merged, last + 1, <rules.Walk*>&walks[0, 0])
    merge.lone = 4 * merge.n_runs > 3 * keys.shape[0]
    with nogil:
        rules.count_pairs(&merge, &tile_ptr[0, 0], &offset_ptr[0], n_threads)
    n_pairs = offset_ptr[n_offsets]
    in_rows, out_rows = empty((2, n_pairs), np.int32)             # in one piece, which huge pages fit better
    with nogil:
        rules.fill_pairs(&merge, &tile_ptr[0, 0], &offset_ptr[0], &in_rows[0], &out_rows[0], n_threads)
    return np.asarray(in_rows), np.asarray(out_rows), np.asarray(offset_ptr), np.asarray(tile_ptr)


cdef bint _are_mirrored(const int32_t[:, ::1] offsets):
    cdef int64_t k, n = offsets.shape[0]
    cdef int axis
    for k in range(n):
        for axis in range(offsets.shape[1]):
            if offsets[k, axis] != -offsets[n - 1 - k, axis]:
                return False
    return True


cdef tuple _runs_of(int64_t[::1] keys, int64_t step, Runs* runs, int n_threads):
    # The arrays that the runs of n >= 1 keys live in; they live as long as the tuple.
    cdef int64_t n = keys.shape[0], n_runs
    cdef int64_t[::1] first, tiles = empty((n + rules.TILE_ROWS - 1) // rules.TILE_ROWS + 1, np.int64)
    cdef int32_t[::1] row
    with nogil:
        n_runs = rules.count_runs(&keys[0], n, step, &tiles[0], n_threads)
    first, row = empty(n_runs + 2, np.int64), empty(n_runs + 2, np.int32)
    runs.first, runs.row, runs.tiles = &first[0], &row[0], &tiles[0]
    with nogil:
        rules.fill_runs(&keys[0], n, step, runs, n_threads)
    return first, row, np.asarray(tiles)


cdef int64_t[::1] _shifts(const Box* box, const int32_t[:, ::1] offsets):
    # What each offset adds to a key.
    cdef int64_t k
    cdef int axis
    cdef int64_t[::1] shifts = np.zeros(offsets.shape[0], np.int64)
    for k in range(offsets.shape[0]):
        for axis in range(1, box.width):
            shifts[k] += offsets[k, axis - 1] * box.step[axis]
    return shifts
