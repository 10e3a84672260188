"""The rules of one window over few sites, without Python: the steps of compiled/windows.pyx on one thread.

A network on a single item has ten to fifty windows with some hundred sites each. Arrays, views and calls would take
longer than the merges.
"""

from libc.stdint cimport INT32_MAX, INT32_MIN, int32_t, int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from spconv_cy.cpu cimport maps, order, reach, rules
from spconv_cy.cpu.order cimport FAR, MAX_WIDTH, Box
from spconv_cy.cpu.reach cimport Axis
from spconv_cy.cpu.rules cimport PAIRS_ROOM, TILE_ROWS, Merge, Runs

cdef enum:                              # buffers of a Scratch
    KEYS, WIDE, WIDER, SPARE, MAPPED, SHIFTS, POINTERS, FIRSTS, ROWS, STAGED, ROOM


cdef int64_t cut(const int32_t* offsets, int64_t n_offsets, int d, Walk* walks) noexcept nogil:
    # Prepares the walks of a Shape; returns their number.
    return rules.cut_walks(offsets, n_offsets, d, walks)


cdef bint link(const Shape* shape, const int32_t* sites, int64_t n, const int64_t* out_size, int64_t most,
               Scratch* scratch, Found* found) noexcept nogil:
    # Finds the outputs and pairs of n >= 1 canonical sites. out_size (width): of the field, or NULL: unbounded. Returns
    # False if keys do not hold the extents, if there are more than `most` outputs times offsets, or without memory.
    cdef Box out, box
    cdef int64_t m = n
    cdef int64_t* keys
    cdef int64_t* wanted
    found.block, found.n = NULL, n
    if n * shape.n_offsets > most:
        return False
    bound(sites, n, shape.width, &box)
    if shape.n_stages:
        return spread(shape, sites, n, &box, out_size, scratch, found)
    if not (widen_by_offsets(&box, shape) if shape.keeps else widen_by_span(&box, shape)):
        return False
    keys = wanted = <int64_t*>reserve(scratch, KEYS, <size_t>n * sizeof(int64_t))
    if keys == NULL:
        return False
    order.pack_part(sites, 0, n, &box, keys)
    out = box
    if not shape.keeps:
        m = reached(shape, &box, &out, n, out_size, most, scratch, &wanted)
    return m >= 0 and paired(shape, &box, &out, keys, n, wanted, m, scratch, found)


cdef void bound(const int32_t* sites, int64_t n, int width, Box* box) noexcept nogil:
    cdef int32_t ends[2 * MAX_WIDTH]
    cdef int axis
    order.bounds_part(sites, 0, n, width, ends)
    box.width = width
    for axis in range(width):
        box.low[axis] = ends[axis]
        box.side[axis] = <int64_t>ends[width + axis] - ends[axis] + 1


cdef bint widen_by_offsets(Box* box, const Shape* shape) noexcept nogil:
    # All sites that windows at the sites cover have keys in the box.
    cdef int axis
    for axis in range(1, box.width):
        box.side[axis] += max(shape.high[axis], 0) - min(shape.low[axis], 0)
        box.low[axis] += min(shape.low[axis], 0)
    return order.lay_out(box)


cdef bint widen_by_span(Box* box, const Shape* shape) noexcept nogil:
    # All sites that a cube covers at an output have keys in the box.
    cdef int axis
    cdef int64_t room
    for axis in range(1, box.width):
        if shape.dilation[axis] * shape.size[axis] > INT32_MAX:
            return False
        room = shape.dilation[axis] * (shape.size[axis] - 1) + 1
        box.low[axis] -= room
        box.side[axis] += 2 * room
    return order.lay_out(box)


cdef int64_t reached(const Shape* shape, const Box* box, Box* out, int64_t n, const int64_t* out_size, int64_t most,
                     Scratch* scratch, int64_t** wanted) noexcept nogil:
    # Replaces the n wanted keys by those of the outputs, and the lowest coordinates of `out`. Returns their number, or
    # -1 as `link` returns False.
    cdef Axis axis
    cdef int64_t room
    cdef int a, into = WIDE
    cdef int64_t* found
    cdef int64_t* spare
    cdef int64_t* mapped
    for a in range(box.width - 1, 0, -1):                                # the last axis, which adds fewest keys, first
        if not axis_of(&axis, shape, box, a, out_size):
            return -1
        room = reach.growth(&axis) * n
        if room > most:
            return -1
        found = <int64_t*>reserve(scratch, into, <size_t>room * sizeof(int64_t))
        spare = <int64_t*>reserve(scratch, SPARE, <size_t>room * sizeof(int64_t))
        mapped = <int64_t*>reserve(scratch, MAPPED, <size_t>n * sizeof(int64_t))
        if found == NULL or spare == NULL or mapped == NULL:
            return -1
        n = reach.widen_piece(wanted[0], n, &axis, mapped, spare, found)
        out.low[a], wanted[0], into = axis.out_low, found, WIDE + WIDER - into
    return n if n * shape.n_offsets <= most else -1


cdef bint axis_of(Axis* axis, const Shape* shape, const Box* box, int a, const int64_t* out_size) noexcept nogil:
    # Returns False if an output could lie outside int32.
    if not -INT32_MAX <= shape.origin[a] <= INT32_MAX:
        return False
    axis.side, axis.step, axis.low = box.side[a], box.step[a], box.low[a]
    axis.size, axis.stride, axis.dilation = shape.size[a], shape.stride[a], shape.dilation[a]
    axis.origin = shape.origin[a]
    axis.out_low = (axis.low + axis.origin) // axis.stride
    axis.out_high = (axis.low + axis.side - 1 + axis.origin) // axis.stride
    if out_size != NULL:
        axis.out_low, axis.out_high = max(axis.out_low, 0), min(axis.out_high, out_size[a] - 1)
    return axis.out_low >= INT32_MIN and axis.out_high <= INT32_MAX


cdef bint paired(const Shape* shape, const Box* box, const Box* out, const int64_t* keys, int64_t n, int64_t* wanted,
                 int64_t m, Scratch* scratch, Found* found) noexcept nogil:
    # Finds the pairs of n sites and m outputs, whose keys come in the box `out` and change, and makes the block.
    cdef int64_t n_tiles = (m + TILE_ROWS - 1) // TILE_ROWS, most = min(n, m), n_offsets = shape.n_offsets
    cdef int32_t* sites
    cdef int64_t n_staged = 2 * most * shape.n_merged + m * shape.width
    cdef int32_t* staged = <int32_t*>reserve(scratch, STAGED, <size_t>n_staged * sizeof(int32_t))
    cdef int64_t* pointers = <int64_t*>reserve(scratch, POINTERS,
                                               <size_t>(n_offsets * (n_tiles + 2) + 1) * sizeof(int64_t))
    cdef int32_t* room = <int32_t*>reserve(scratch, ROOM, PAIRS_ROOM * sizeof(int32_t))
    cdef Merge merge
    if staged == NULL or pointers == NULL or room == NULL or not merge_of(&merge, shape, box, scratch):
        return False
    sites = staged + 2 * most * shape.n_merged
    if not shape.keeps and m:
        to_sites(shape, box, out, wanted, m, sites)
    merge.m, found.m, found.n_tiles = m, m, n_tiles
    if m:
        if not sides_of(&merge, box, keys, n, wanted, scratch):
            return False
        rules.stage_pairs(&merge, pointers + n_offsets + 1, pointers, staged, most, room)
    else:
        memset(pointers, 0, <size_t>(2 * n_offsets + 1) * sizeof(int64_t))
    if not lay_block(found, n_offsets, pointers[n_offsets], 0 if shape.keeps else m * shape.width):
        return False
    found.sites = <int32_t*>NULL if shape.keeps else found.sites
    memcpy(found.offset_ptr, pointers, <size_t>(n_offsets + 1) * sizeof(int64_t))
    memcpy(found.tile_ptr, pointers + n_offsets + 1, <size_t>(n_offsets * (n_tiles + 1)) * sizeof(int64_t))
    if not shape.keeps:
        memcpy(found.sites, sites, <size_t>(m * shape.width) * sizeof(int32_t))
    if m:
        rules.place_pairs(&merge, found.tile_ptr, found.offset_ptr, staged, most, found.in_rows, found.out_rows)
    return True


cdef void to_sites(const Shape* shape, const Box* box, const Box* out, int64_t* wanted, int64_t m,
                   int32_t* sites) noexcept nogil:
    # Sets the output sites, and replaces the keys by those of stride * site in the input's box.
    cdef Box strided = box[0]
    cdef int axis
    for axis in range(1, box.width):
        strided.step[axis] *= shape.stride[axis]
    order.unpack_part(wanted, 0, m, out, sites)
    order.pack_part(sites, 0, m, &strided, wanted)


cdef bint spread(const Shape* shape, const int32_t* sites, int64_t n, Box* box, const int64_t* out_size,
                 Scratch* scratch, Found* found) noexcept nogil:
    # As `link`, for a transposed window; box: around the sites, becomes that around the outputs.
    cdef Box strided
    cdef int64_t m
    cdef int axis
    cdef int64_t* keys
    cdef int64_t* wanted = <int64_t*>reserve(scratch, KEYS, <size_t>n * sizeof(int64_t))
    for axis in range(1, box.width):
        m = shape.stride[axis] * (box.low[axis] + box.side[axis] - 1) + shape.high[axis]
        box.low[axis] = shape.stride[axis] * box.low[axis] + shape.low[axis]
        box.side[axis] = m - box.low[axis] + 1
        if box.low[axis] < INT32_MIN or m > INT32_MAX:
            return False
    if wanted == NULL or not order.lay_out(box):
        return False
    strided = box[0]
    for axis in range(1, box.width):
        strided.step[axis] *= shape.stride[axis]
    order.pack_part(sites, 0, n, &strided, wanted)
    keys = <int64_t*>reserve(scratch, WIDE, <size_t>(n * shape.n_offsets) * sizeof(int64_t))
    if keys == NULL:
        return False
    m = united(shape, box, wanted, n, keys, scratch)
    return m >= 0 and paired_back(shape, box, keys, m, wanted, n, out_size, scratch, found)


cdef int64_t united(const Shape* shape, const Box* box, const int64_t* wanted, int64_t n, int64_t* keys,
                    Scratch* scratch) noexcept nogil:
    # Sets the keys of the outputs; returns their number, or -1 without memory.
    cdef reach.Streams streams
    cdef const int32_t* offset = shape.stages
    cdef const int64_t* found
    cdef int64_t most = n * shape.n_offsets, k
    cdef int64_t* numbers = <int64_t*>reserve(scratch, POINTERS, <size_t>(4 * shape.n_offsets) * sizeof(int64_t))
    cdef int64_t* one = <int64_t*>reserve(scratch, WIDER, <size_t>most * sizeof(int64_t))
    cdef int64_t* other = <int64_t*>reserve(scratch, SPARE, <size_t>most * sizeof(int64_t))
    cdef int stage, axis
    if numbers == NULL or one == NULL or other == NULL:
        return -1
    streams.starts, streams.counts = numbers, numbers + shape.n_offsets
    streams.shifts, streams.keys = streams.counts + shape.n_offsets, wanted
    for stage in range(shape.n_stages):
        streams.n = shape.counts[stage]
        for k in range(streams.n):
            numbers[k], numbers[shape.n_offsets + k], numbers[2 * shape.n_offsets + k] = 0, n, 0
            for axis in range(1, box.width):
                numbers[2 * shape.n_offsets + k] += offset[axis - 1] * box.step[axis]
            offset += box.width - 1
        found = reach.unite_piece(&streams, streams.starts, streams.counts, one, other,
                                  numbers + 3 * shape.n_offsets, &n)
        memcpy(keys, found, <size_t>n * sizeof(int64_t))
        streams.keys = keys
    return n


cdef bint paired_back(const Shape* shape, const Box* box, int64_t* keys, int64_t m, const int64_t* wanted, int64_t n,
                      const int64_t* out_size, Scratch* scratch, Found* found) noexcept nogil:
    # Finds the pairs of n sites and m outputs at most, and makes the block: those of the outputs as inputs, exchanged.
    cdef int64_t n_tiles = (n + TILE_ROWS - 1) // TILE_ROWS, n_offsets = shape.n_offsets
    cdef int32_t* sites
    cdef int32_t* staged = <int32_t*>reserve(scratch, STAGED,
                                             <size_t>(2 * n * n_offsets + m * shape.width) * sizeof(int32_t))
    cdef int64_t* pointers = <int64_t*>reserve(scratch, POINTERS,
                                               <size_t>(n_offsets * (n_tiles + 2) + 1) * sizeof(int64_t))
    cdef int32_t* room = <int32_t*>reserve(scratch, ROOM, PAIRS_ROOM * sizeof(int32_t))
    cdef Merge merge
    if staged == NULL or pointers == NULL or room == NULL or not merge_of(&merge, shape, box, scratch):
        return False
    sites = staged + 2 * n * n_offsets
    order.unpack_part(keys, 0, m, box, sites)
    if out_size != NULL:
        m = held_in(out_size, shape.width, keys, m, sites)
    memset(pointers, 0, <size_t>(n_offsets + 1) * sizeof(int64_t))
    if m:
        merge.m = n
        if not sides_of(&merge, box, keys, m, wanted, scratch):
            return False
        rules.stage_pairs(&merge, pointers + n_offsets + 1, pointers, staged, n, room)
    found.m, found.n_tiles = m, (m + TILE_ROWS - 1) // TILE_ROWS
    if not lay_block(found, n_offsets, pointers[n_offsets], m * shape.width):
        return False
    memcpy(found.offset_ptr, pointers, <size_t>(n_offsets + 1) * sizeof(int64_t))
    memcpy(found.sites, sites, <size_t>(m * shape.width) * sizeof(int32_t))
    if m:
        rules.place_pairs(&merge, found.tile_ptr, found.offset_ptr, staged, n, found.out_rows, found.in_rows)
    rules.point_tiles(found.out_rows, found.offset_ptr, n_offsets, 0, m, found.tile_ptr, 1)
    return True


cdef int64_t held_in(const int64_t* size, int width, int64_t* keys, int64_t m, int32_t* sites) noexcept nogil:
    # Removes the sites outside a field, and their keys; returns how many are left.
    cdef int64_t i, count = 0
    cdef int axis
    cdef bint held
    for i in range(m):
        held = True
        for axis in range(1, width):
            held = held and 0 <= sites[i * width + axis] < size[axis]
        keys[count] = keys[i]
        for axis in range(width):
            sites[count * width + axis] = sites[i * width + axis]
        count += held
    return count


cdef bint merge_of(Merge* merge, const Shape* shape, const Box* box, Scratch* scratch) noexcept nogil:
    cdef int64_t* shifts = <int64_t*>reserve(scratch, SHIFTS, <size_t>shape.n_offsets * sizeof(int64_t))
    cdef int d = shape.width - 1, axis
    cdef int64_t k
    if shifts == NULL:
        return False
    for k in range(shape.n_offsets):
        shifts[k] = 0
        for axis in range(d):
            shifts[k] += shape.offsets[k * d + axis] * box.step[axis + 1]
    merge.shifts, merge.walks, merge.n_walks = shifts, shape.walks, shape.n_walks
    merge.n_offsets, merge.n_merged, merge.stride = shape.n_offsets, shape.n_merged, shape.stride[d]
    return True


cdef bint sides_of(Merge* merge, const Box* box, const int64_t* keys, int64_t n, const int64_t* wanted,
                   Scratch* scratch) noexcept nogil:
    # Sets what the n >= 1 inputs and merge.m >= 1 outputs are matched by: a map of the inputs, or runs of both.
    cdef int64_t n_words = maps.words_of_map(box, n)
    cdef int32_t* words
    merge.keys = wanted
    merge.map.bits = NULL
    if n_words:
        words = <int32_t*>reserve(scratch, FIRSTS, <size_t>(2 * n_words) * sizeof(int32_t))
        if words == NULL:
            return False
        merge.map.bits, merge.map.before = <uint32_t*>words, words + n_words
        maps.draw(keys, n, n_words, &merge.map, 1)
        return True
    if not (runs_of(&merge.inputs, keys, n, 1, scratch, 0) and (
            keys == wanted or runs_of(&merge.wanted, wanted, merge.m, merge.stride, scratch, 1))):
        return False
    if keys == wanted:
        merge.wanted = merge.inputs
    merge.n_runs = merge.inputs.tiles[(n + TILE_ROWS - 1) // TILE_ROWS]
    merge.lone = 4 * merge.n_runs > 3 * n
    return True


cdef bint runs_of(Runs* runs, const int64_t* keys, int64_t n, int64_t step, Scratch* scratch,
                  int second) noexcept nogil:
    # At most n runs. The inputs' buffers come first, the outputs' second.
    cdef int64_t n_tiles = (n + TILE_ROWS - 1) // TILE_ROWS, t, count = 0
    cdef int64_t* first = <int64_t*>reserve(scratch, SPARE if second else FIRSTS,
                                            <size_t>(n + n_tiles + 3) * sizeof(int64_t))
    cdef int32_t* row = <int32_t*>reserve(scratch, MAPPED if second else ROWS, <size_t>(n + 2) * sizeof(int32_t))
    if first == NULL or row == NULL:
        return False
    runs.first, runs.row, runs.tiles = first, row, first + n + 2
    for t in range(n_tiles):
        runs.tiles[t] = count
        count += rules.fill_tile(keys, t * TILE_ROWS, min(n, (t + 1) * TILE_ROWS), step, first + count, row + count)
    runs.tiles[n_tiles] = count
    first[count] = first[count + 1] = FAR
    row[count], row[count + 1] = <int32_t>n, <int32_t>(n + 1)
    return True


cdef bint lay_block(Found* found, int64_t n_offsets, int64_t n_pairs, int64_t coordinates) noexcept nogil:
    # Makes the block, for found.n_tiles tiles and so many numbers of output sites.
    cdef int64_t longs = n_offsets + 1 + n_offsets * (found.n_tiles + 1)
    found.size = <size_t>longs * sizeof(int64_t) + <size_t>(2 * n_pairs + coordinates) * sizeof(int32_t)
    found.block = malloc(found.size)
    if found.block == NULL:
        return False
    found.n_pairs, found.offset_ptr = n_pairs, <int64_t*>found.block
    found.tile_ptr = found.offset_ptr + n_offsets + 1
    found.in_rows = <int32_t*>(found.offset_ptr + longs)
    found.out_rows = found.in_rows + n_pairs
    found.sites = found.out_rows + n_pairs
    return True


cdef void* reserve(Scratch* scratch, int number, size_t size) noexcept nogil:
    # Returns a buffer of `size` bytes or more, without what it held if it grows; NULL without memory.
    size += 8                                                            # none is empty
    if scratch.size[number] < size:
        free(scratch.start[number])
        size += size // 2
        scratch.start[number] = malloc(size)
        scratch.size[number] = size if scratch.start[number] != NULL else 0
    return scratch.start[number]


cdef void release(Scratch* scratch, size_t most) noexcept nogil:
    # Frees the buffers that have more than `most` bytes.
    cdef int number
    for number in range(BUFFERS):
        if scratch.size[number] > most:
            free(scratch.start[number])
            scratch.start[number], scratch.size[number] = NULL, 0
