"""Windows: sites in, output sites and pairs out. Functions return None if packed keys do not hold the extents."""

from libc.stdint cimport INT32_MAX, INT32_MIN, int32_t, int64_t, uint32_t

import numpy as np

from spconv_cy.compiled.sites cimport box_of, keys_of, team
from spconv_cy.cpu cimport maps, order, reach, rules
from spconv_cy.cpu.maps cimport Map
from spconv_cy.cpu.order cimport Box
from spconv_cy.cpu.reach cimport Axis, Streams
from spconv_cy.cpu.rules cimport Merge, Runs
from spconv_cy.cpu.threads cimport startable

from spconv_cy.compiled.memory import empty, exact


def pairs(const int32_t[:, ::1] sites, const int32_t[:, ::1] out_sites, const int32_t[:, ::1] offsets, stride,
          int n_threads=1):
    """Return (in_rows, out_rows, offset_ptr, tile_ptr, known) of `in = stride * out + offset`, or None; see Pairs.

    sites (n, 1+d) and out_sites (m, 1+d) are canonical, n, m >= 1, offsets (k, d) lexicographic, stride d ints.
    """
    cdef bint same = &sites[0, 0] == &out_sites[0, 0] and sites.shape[0] == out_sites.shape[0] and max(stride) == 1
    cdef Box box = box_of(sites, n_threads), out = box if same else box_of(out_sites, n_threads)
    cdef int64_t[::1] keys, wanted
    if not with_windows(&box, &out, offsets, stride):
        return None
    keys = keys_of(sites, &box, n_threads)
    wanted = keys if same else wanted_of(out_sites, &box, stride, n_threads)
    return _pairs(keys, wanted, &box, offsets, stride, n_threads)


def valid(const int32_t[:, ::1] sites, const int32_t[:, ::1] offsets, size, stride, dilation, origin, out_size,
          int n_threads=1):
    """Return (output sites, *what `pairs` returns) of a cube over n >= 1 canonical sites, or None.

    size, stride, dilation and origin are d ints, out_size too or None: unbounded; offsets (k, d) are the cube's.
    """
    cdef Box out, strided, box = box_of(sites, n_threads)
    cdef int64_t[::1] keys, wanted
    cdef Axis axes[order.MAX_WIDTH]
    cdef int64_t m
    cdef int axis
    cdef int32_t[:, ::1] out_sites
    if not _with_halo(&box, size, dilation):
        return None
    keys = keys_of(sites, &box, n_threads)
    if not _axes_of(axes, &box, size, stride, dilation, origin, out_size):
        return None
    wanted = keys
    for axis in range(box.width - 1, 0, -1):                             # the last axis, which adds fewest keys, first
        wanted = _widened(wanted, &axes[axis], n_threads)
    out, strided, m = box, box, wanted.shape[0]
    out_sites = exact((m, box.width), np.int32)
    if m:
        for axis in range(1, box.width):
            out.low[axis] = axes[axis].out_low
            strided.step[axis] *= stride[axis - 1]                       # keys of stride * site in the input's box
        with nogil:
            order.repack(&wanted[0], m, &out, &strided, &out_sites[0, 0], team(n_threads, m))
    return np.asarray(out_sites), *_pairs(keys, wanted, &box, offsets, stride, n_threads)


def spread(const int32_t[:, ::1] sites, stages, const int32_t[:, ::1] offsets, stride, int n_threads=1):
    """Return (sites, in_rows, out_rows, offset_ptr, tile_ptr, known) of the sites `stride * given + offset`, or None.

    The new sites are canonical, and the pairs have them as inputs and the given ones as outputs.
    stages: arrays (k, d) int32, an offset the sum of one of each.
    """
    cdef Box box = box_of(sites, n_threads)
    cdef int64_t[::1] keys, wanted
    cdef int axis
    ends = [stage.min(0).tolist() for stage in stages], [stage.max(0).tolist() for stage in stages]
    for axis in range(1, box.width):
        low = stride[axis - 1] * box.low[axis] + sum([end[axis - 1] for end in ends[0]])
        high = stride[axis - 1] * (box.low[axis] + box.side[axis] - 1) + sum([end[axis - 1] for end in ends[1]])
        if low < INT32_MIN or high > INT32_MAX:
            return None
        box.low[axis], box.side[axis] = low, high - low + 1
    if not order.lay_out(&box):
        return None
    keys = wanted = wanted_of(sites, &box, stride, n_threads)
    for stage in stages:
        k = len(stage)
        starts, counts = np.zeros(k, np.int64), np.full(k, keys.shape[0], np.int64)
        keys = _united(keys, starts, counts, shifts_of(&box, stage), n_threads)
    return _unpacked(keys, &box, n_threads), *_pairs(keys, wanted, &box, offsets, stride, n_threads)


def folded(const int32_t[:, ::1] sites, const int32_t[:, ::1] offsets, stride, int n_threads=1):
    """Return the canonical sites j with `stride * j + offset` among n >= 1 canonical sites for an offset, or None."""
    cdef Box box = box_of(sites, n_threads)
    cdef int64_t[::1] keys
    cdef int axis
    # Sites and offsets that agree modulo the stride have whole quotients: one stream for each offset.
    taps = np.asarray(offsets) // np.array(stride, np.int64)
    low, high = taps.min(0), taps.max(0)
    for axis in range(1, box.width):
        ends = box.low[axis] // stride[axis - 1], (box.low[axis] + box.side[axis] - 1) // stride[axis - 1]
        first, last = ends[0] - high[axis - 1], ends[1] - low[axis - 1]
        if first < INT32_MIN or last > INT32_MAX:
            return None
        box.low[axis], box.side[axis] = first, last - first + 1
    if not order.lay_out(&box) or np.prod(np.array(stride, np.float64)) > order.FAR:
        return None
    shifts = shifts_of(&box, (-taps).astype(np.int32))
    if max(stride) == 1:
        keys, k = keys_of(sites, &box, n_threads), len(taps)
        starts, counts = np.zeros(k, np.int64), np.full(k, keys.shape[0], np.int64)
    else:
        keys, starts, counts = _dealt(sites, offsets, taps, stride, &box)
    return _unpacked(_united(keys, starts, counts, shifts, n_threads), &box, n_threads)


cdef tuple _dealt(const int32_t[:, ::1] sites, const int32_t[:, ::1] offsets, taps, stride, const Box* box):
    # Returns the keys of the sites' quotients, grouped by class of remainders, and the start and length of each
    # offset's class.
    cdef int64_t n = sites.shape[0]
    cdef int32_t[::1] steps = np.array(stride, np.int32), classes = empty(n, np.int32)
    cdef int64_t[::1] keys = empty(n, np.int64), dealt = empty(n, np.int64), wanted, counts, places
    number = np.zeros(len(taps), np.int64)
    for step, rest in zip(stride, (np.asarray(offsets) - taps * np.array(stride, np.int64)).T, strict=True):
        number = number * step + rest
    wanted, parts = np.unique(number, return_inverse=True)
    counts = np.zeros(wanted.shape[0] + 1, np.int64)
    with nogil:
        reach.classify(&sites[0, 0], n, box, &steps[0], &wanted[0], wanted.shape[0], &keys[0], &classes[0], &counts[0])
    places = _before(counts)
    starts = np.array(places)
    with nogil:
        reach.deal(&keys[0], &classes[0], n, &places[0], &dealt[0])
    return dealt, starts[parts], np.asarray(counts)[parts]


cdef bint _with_halo(Box* box, size, dilation):
    # Widens the box by a window's span, so that all sites that a window at an output covers have keys in the box.
    cdef int axis
    cdef int64_t room
    for axis in range(1, box.width):
        if dilation[axis - 1] * size[axis - 1] > INT32_MAX:
            return False
        room = dilation[axis - 1] * (size[axis - 1] - 1) + 1
        box.low[axis] -= room
        box.side[axis] += 2 * room
    return order.lay_out(box)


cdef bint _axes_of(Axis* axes, const Box* box, size, stride, dilation, origin, out_size):
    # Returns False if an output could lie outside int32.
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
    cdef int64_t n = keys.shape[0], room = reach.growth(axis), n_pieces, piece, total = 0, most = n // reach.PIECE + 2
    cdef int64_t[::1] scratch, widened
    cdef int64_t* pieces
    cdef int64_t* counts
    cdef int64_t* begins
    cdef int64_t* found
    if n == 0:
        return keys
    scratch = empty(3 * most + (1 + 2 * room) * n, np.int64)             # found, spare, mapped, and the pieces
    found = &scratch[0]
    pieces = found + (1 + 2 * room) * n
    counts, begins = pieces + most, pieces + 2 * most
    n_pieces = reach.cut(&keys[0], n, axis.side * axis.step, pieces)
    n_threads = startable(n_threads) if n_pieces > 1 else 1
    with nogil:
        reach.widen(&keys[0], pieces, n_pieces, axis, found + 2 * room * n, found + room * n, found, counts, n_threads)
    for piece in range(n_pieces):
        begins[piece], counts[piece], total = room * pieces[piece], total, total + counts[piece]
    counts[n_pieces] = total
    widened = empty(total, np.int64)
    if total:
        with nogil:
            reach.join(found, begins, n_pieces, counts, &widened[0], n_threads)
    return widened


cdef bint with_windows(Box* box, const Box* out, const int32_t[:, ::1] offsets, stride):
    # Widens the box to all sites that windows at the outputs cover, so that no key carries into another axis.
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


cdef int64_t[::1] _united(int64_t[::1] keys, int64_t[::1] starts, int64_t[::1] counts, int64_t[::1] shifts,
                          int n_threads):
    # Returns the union of ascending streams: stream k is the counts[k] keys from starts[k] on, plus shifts[k].
    cdef int64_t total = np.sum(counts), n_pieces = total // reach.SHARE + 1, most
    cdef int64_t[::1] begins = empty(n_pieces + 1, np.int64), ends = empty(n_pieces, np.int64), found, scratch, united
    cdef int64_t[:, ::1] places
    cdef Streams streams
    if not total:
        return np.zeros(0, np.int64)
    streams.keys, streams.starts, streams.counts, streams.shifts = &keys[0], &starts[0], &counts[0], &shifts[0]
    streams.n = shifts.shape[0]
    n_threads = min(startable(n_threads), <int>n_pieces)                 # each has room for a piece
    places = empty((n_pieces + 1, streams.n), np.int64)
    with nogil:
        reach.cut_streams(&streams, n_pieces, &places[0, 0], &begins[0], n_threads)
    most = np.max(np.diff(begins))
    found, scratch = empty(total, np.int64), empty(n_threads * (2 * most + streams.n), np.int64)
    with nogil:
        reach.unite_streams(&streams, n_pieces, &places[0, 0], &begins[0], most, &scratch[0], &found[0], &ends[0],
                            n_threads)
    if n_pieces == 1:
        return found[:ends[0]]
    ends = _before(ends)
    united = empty(ends[n_pieces], np.int64)
    with nogil:
        reach.join(&found[0], &begins[0], n_pieces, &ends[0], &united[0], n_threads)
    return united


cdef _before(int64_t[::1] counts):
    # Returns (n+1,) int64: the sum of the counts before each, and of all.
    sums = np.zeros(counts.shape[0] + 1, np.int64)
    np.cumsum(counts, out=sums[1:])
    return sums


cdef _unpacked(int64_t[::1] keys, const Box* box, int n_threads):
    cdef int32_t[:, ::1] sites = exact((keys.shape[0], box.width), np.int32)
    if keys.shape[0]:
        with nogil:
            order.unpack(&keys[0], keys.shape[0], box, &sites[0, 0], team(n_threads, keys.shape[0]))
    return np.asarray(sites)


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
        return empty(0, np.int32), empty(0, np.int32), np.asarray(offset_ptr), np.asarray(tile_ptr), rules.ASCENDING
    n_threads = team(n_threads, m * n_offsets)
    _inputs = _map_of(keys, box, &merge.map, n_threads)
    merge.keys, merge.n_runs, merge.n_merged = &wanted[0], 0, <int>n_offsets
    if &keys[0] == &wanted[0] and n_offsets % 2 and rules.are_mirrored(&offsets[0, 0], n_offsets, last + 1):
        merge.n_merged = <int>(n_offsets // 2)
    if merge.map.bits == NULL:
        _inputs = _runs_of(keys, 1, &merge.inputs, n_threads)
        merge.n_runs, merge.wanted = merge.inputs.tiles[_inputs[2].shape[0] - 1], merge.inputs
        if &keys[0] != &wanted[0]:
            _outputs = _runs_of(wanted, stride[last], &merge.wanted, n_threads)
    shifts, walks = shifts_of(box, offsets), empty((n_offsets, 3), np.int64)
    merge.shifts, merge.walks, merge.m, merge.stride = &shifts[0], <rules.Walk*>&walks[0, 0], m, stride[last]
    merge.n_offsets = <int>n_offsets
    merge.n_walks = <int>rules.cut_walks(&offsets[0, 0], merge.n_merged, last + 1, <rules.Walk*>&walks[0, 0])
    merge.lone = 4 * merge.n_runs > 3 * keys.shape[0]
    with nogil:
        rules.count_pairs(&merge, &tile_ptr[0, 0], &offset_ptr[0], n_threads)
    n_pairs = offset_ptr[n_offsets]
    in_rows, out_rows = exact((2, n_pairs), np.int32)             # one allocation, for huge pages
    if n_pairs == 0:
        return np.asarray(in_rows), np.asarray(out_rows), np.asarray(offset_ptr), np.asarray(tile_ptr), rules.ASCENDING
    cdef int32_t[::1] room = empty(max(n_threads, 1) * rules.PAIRS_ROOM, np.int32)
    with nogil:
        rules.fill_pairs(&merge, &tile_ptr[0, 0], &offset_ptr[0], &in_rows[0], &out_rows[0], &room[0], n_threads)
    return (np.asarray(in_rows), np.asarray(out_rows), np.asarray(offset_ptr), np.asarray(tile_ptr),
            rules.MIRRORED if merge.n_merged < n_offsets else rules.ASCENDING)


cdef int32_t[::1] _map_of(int64_t[::1] keys, const Box* box, Map* map, int n_threads):
    # Returns the array of the map of n >= 1 keys, which `map` points into; hold it while it is used. No map: None.
    cdef int64_t n = keys.shape[0], n_words = maps.words_of_map(box, n)
    cdef int32_t[::1] words
    map.bits = NULL
    if not n_words:
        return None
    words = empty(2 * n_words, np.int32)
    map.bits, map.before = <uint32_t*>&words[0], &words[n_words]
    with nogil:
        maps.draw(&keys[0], n, n_words, map, team(n_threads, n))
    return words


cdef tuple _runs_of(int64_t[::1] keys, int64_t step, Runs* runs, int n_threads):
    # Returns the arrays of the runs of n >= 1 keys, which `runs` points into; hold them while it is used.
    cdef int64_t n = keys.shape[0], n_runs
    cdef int64_t[::1] first, tiles = empty((n + rules.TILE_ROWS - 1) // rules.TILE_ROWS + 1, np.int64)
    cdef int32_t[::1] row
    n_threads = team(n_threads, n)
    with nogil:
        n_runs = rules.count_runs(&keys[0], n, step, &tiles[0], n_threads)
    first, row = empty(n_runs + 2, np.int64), empty(n_runs + 2, np.int32)
    runs.first, runs.row, runs.tiles = &first[0], &row[0], &tiles[0]
    with nogil:
        rules.fill_runs(&keys[0], n, step, runs, n_threads)
    return first, row, np.asarray(tiles)


cdef int64_t[::1] wanted_of(const int32_t[:, ::1] sites, const Box* box, stride, int n_threads):
    # Returns the keys of stride * site in the box of the other side.
    cdef Box out = box[0]
    cdef int axis
    for axis in range(1, out.width):
        out.step[axis] *= stride[axis - 1]
    return keys_of(sites, &out, n_threads)


cdef int64_t[::1] shifts_of(const Box* box, const int32_t[:, ::1] offsets):
    # Returns what each offset adds to a key.
    cdef int64_t k
    cdef int axis
    cdef int64_t[::1] shifts = np.zeros(offsets.shape[0], np.int64)
    for k in range(offsets.shape[0]):
        for axis in range(1, box.width):
            shifts[k] += offsets[k, axis - 1] * box.step[axis]
    return shifts
