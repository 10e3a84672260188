"""Bounds of regions from drawn numbers, and the rules of regions over few sites, without Python."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from spconv_cy.cpu cimport order, regions, rules
from spconv_cy.cpu.link cimport Found, Scratch, lay_block, reserve
from spconv_cy.cpu.order cimport MAX_WIDTH, Box
from spconv_cy.cpu.regions cimport Regions

cdef enum:                              # buffers of a Scratch
    KEYS, WIDE, SPARE, MAPPED, POINTERS, TABLES, WHERE, ROWS, VOLUMES


# ---- bounds

cdef void even(const double* own, int64_t stride, int64_t samples, int64_t m, int64_t room, int64_t steps,
               int64_t width, int64_t more, int32_t* low, int32_t* high) noexcept nogil:
    # Region j begins at floor((j + u) room / steps) - floor(u room / steps), where u is own[b * stride], and has
    # `width` sites; 0: up to the next start, and `more` beyond.
    cdef int64_t b, j, shift, first, start, after
    for b in range(samples):
        shift = <int64_t>(own[b * stride] * <double>room)
        first = shift // steps if steps else 0
        start = 0
        for j in range(m):
            after = ((j + 1) * room + shift) // steps - first if steps else 0
            low[b * m + j] = <int32_t>start
            high[b * m + j] = <int32_t>(start + width if width else after + more)
            start = after


cdef void shuffled(const int64_t* places, int64_t samples, int64_t m, int64_t steps, int64_t twos, int64_t width,
                   int64_t more, int64_t* scratch, int32_t* low, int32_t* high) noexcept nogil:
    # Steps of 1, and of 2 at the first `twos` places of each sample's row of `places`. scratch: steps + 1.
    cdef int64_t b, j, start
    for b in range(samples):
        for j in range(steps):
            scratch[j] = 1
        scratch[steps] = 0
        for j in range(twos):
            scratch[places[b * steps + j]] = 2
        start = 0
        for j in range(m):
            low[b * m + j] = <int32_t>start
            start += scratch[j]
            high[b * m + j] = <int32_t>(low[b * m + j] + width if width else start + more)


# ---- rules

cdef bint few(const Side* sides, int width, int64_t samples, const int32_t* sites, int64_t n, int64_t most,
              Scratch* scratch, Found* found, int64_t** volumes) noexcept nogil:
    # Finds the outputs and pairs of n >= 1 canonical sites; sides from 1 on. volumes: the sites of each output's
    # region, in the scratch. Returns False if keys do not hold the extents, if the tables or rows would pass `most`, or
    # without memory.
    cdef Box box
    cdef Regions drawn
    cdef int64_t m = n, n_offsets = 1
    cdef int64_t* keys = <int64_t*>reserve(scratch, KEYS, <size_t>n * sizeof(int64_t))
    cdef int axis
    found.block, found.n = NULL, n
    if keys == NULL or not box_around(&box, sides, width, samples, sites, n):
        return False
    if not tables_of(&drawn, &box, sides, samples, most, scratch):
        return False
    order.pack_part(sites, 0, n, &box, keys)
    if not where_of(&drawn, n, most, scratch, &n_offsets):
        return False
    for axis in range(1, width):
        m = widened(&drawn, axis, m, n, scratch, &keys)
        if m < 0:
            return False
    volumes[0] = <int64_t*>reserve(scratch, VOLUMES, <size_t>m * sizeof(int64_t))
    if volumes[0] == NULL or not paired(&drawn, &box, n, m, n_offsets, keys, scratch, found):
        return False
    for axis in range(m):
        volumes[0][axis] = volume_of(sides, found.sites + axis * width, width)
    return True


cdef int64_t volume_of(const Side* sides, const int32_t* site, int width) noexcept nogil:
    cdef int64_t volume = 1, place
    cdef int axis
    for axis in range(1, width):
        place = site[0] * sides[axis].m + site[axis]
        volume *= sides[axis].high[place] - sides[axis].low[place]
    return volume


cdef bint box_around(Box* box, const Side* sides, int width, int64_t samples, const int32_t* sites,
                     int64_t n) noexcept nogil:
    # Holds the sites, and the regions' numbers, of which each is at most the region's first site.
    cdef int32_t ends[2 * MAX_WIDTH]
    cdef int64_t b, before
    cdef int axis
    order.bounds_part(sites, 0, n, width, ends)
    box.width = width
    for axis in range(width):
        box.low[axis] = ends[axis]
        if axis:
            for b in range(samples):
                before = ended(sides[axis].high + b * sides[axis].m, sides[axis].m, ends[axis])
                box.low[axis] = min(box.low[axis], before)
        box.side[axis] = <int64_t>ends[width + axis] - box.low[axis] + 1
    return order.lay_out(box)


cdef int64_t ended(const int32_t* high, int64_t m, int32_t low) noexcept nogil:
    cdef int64_t first = 0, last = m, middle
    while first < last:
        middle = (first + last) >> 1
        if high[middle] <= low:
            first = middle + 1
        else:
            last = middle
    return first


cdef bint tables_of(Regions* drawn, const Box* box, const Side* sides, int64_t samples, int64_t most,
                    Scratch* scratch) noexcept nogil:
    cdef int64_t total = 0, b, j, tap, at
    cdef int axis
    cdef int32_t* table
    cdef const Side* side
    drawn.width, drawn.batch_step, drawn.batch_low = box.width, box.step[0], box.low[0]
    for axis in range(1, box.width):
        total += sides[axis].span * samples * sides[axis].size
    table = <int32_t*>reserve(scratch, TABLES, <size_t>total * sizeof(int32_t))
    if total > most or table == NULL:
        return False
    memset(table, 255, <size_t>total * sizeof(int32_t))                  # -1
    for axis in range(1, box.width):
        side = &sides[axis]
        drawn.axes[axis].side, drawn.axes[axis].step = box.side[axis], box.step[axis]
        drawn.axes[axis].low = box.low[axis]
        drawn.axes[axis].span, drawn.axes[axis].samples, drawn.axes[axis].size = side.span, samples, side.size
        drawn.axes[axis].region = table
        for b in range(samples):
            for j in range(side.m):
                at = b * side.m + j
                for tap in range(side.high[at] - side.low[at]):
                    table[(tap * samples + b) * side.size + side.low[at] + tap] = <int32_t>j
        table += side.span * samples * side.size
    return True


cdef bint where_of(Regions* drawn, int64_t n, int64_t most, Scratch* scratch, int64_t* n_offsets) noexcept nogil:
    # Room for what each axis finds, of as many keys as there may be.
    cdef int64_t total = 0
    cdef int axis
    cdef int32_t* where
    for axis in range(1, drawn.width):
        drawn.axes[axis].n = n
        n *= drawn.axes[axis].span
        total += n
        n_offsets[0] *= drawn.axes[axis].span
        if total > most:
            return False
    where = <int32_t*>reserve(scratch, WHERE, <size_t>total * sizeof(int32_t))
    if where == NULL:
        return False
    memset(where, 255, <size_t>total * sizeof(int32_t))
    for axis in range(1, drawn.width):
        drawn.axes[axis].where = where
        where += drawn.axes[axis].n * drawn.axes[axis].span
    return True


cdef int64_t widened(Regions* drawn, int axis, int64_t m, int64_t n, Scratch* scratch, int64_t** keys) noexcept nogil:
    # Replaces m keys by those after an axis; returns their number, -1 without memory. n: of the sites.
    cdef int64_t room = drawn.axes[axis].span * m, count
    cdef int64_t* found = <int64_t*>reserve(scratch, WIDE + (axis & 1) * 8, <size_t>room * sizeof(int64_t))
    cdef int64_t* spare = <int64_t*>reserve(scratch, SPARE, <size_t>room * sizeof(int64_t))
    cdef int64_t* mapped = <int64_t*>reserve(scratch, MAPPED, <size_t>(2 * m + 2) * sizeof(int64_t))
    if found == NULL or spare == NULL or mapped == NULL:
        return -1
    drawn.axes[axis].n = m
    if axis == drawn.width - 1:
        count = regions.sweep_piece(keys[0], 0, m, drawn, found)
    else:
        count = regions.widen_piece(keys[0], m, drawn, axis, mapped, spare, found)
        regions.locate_piece(keys[0], 0, m, drawn, axis, found, 0, count, mapped, <int32_t*>(mapped + m + 1))
    keys[0] = found
    return count


cdef bint paired(const Regions* drawn, const Box* box, int64_t n, int64_t m, int64_t n_offsets, const int64_t* keys,
                 Scratch* scratch, Found* found) noexcept nogil:
    cdef int64_t* counts = <int64_t*>reserve(scratch, POINTERS, <size_t>(3 * n_offsets) * sizeof(int64_t))
    cdef int32_t* rows = <int32_t*>reserve(scratch, ROWS, <size_t>(2 * drawn.width * (n + 1)) * sizeof(int32_t))
    cdef int64_t k, total = 0
    if counts == NULL or rows == NULL:
        return False
    memset(counts, 0, <size_t>n_offsets * sizeof(int64_t))
    if m:
        regions.count_pairs(drawn, n, 1, n_offsets, rows, counts, 1)
    for k in range(n_offsets):
        counts[n_offsets + 2 * k] = total
        total += counts[k]
        counts[n_offsets + 2 * k + 1] = total
    found.m, found.n_tiles = m, (m + rules.TILE_ROWS - 1) // rules.TILE_ROWS
    if not lay_block(found, n_offsets, total, m * drawn.width):
        return False
    found.offset_ptr[0] = 0
    for k in range(n_offsets):
        found.offset_ptr[k + 1] = counts[n_offsets + 2 * k + 1]
    if total:
        regions.fill_pairs(drawn, n, 1, n_offsets, rows, counts + n_offsets, found.in_rows, found.out_rows, 1)
    order.unpack_part(keys, 0, m, box, found.sites)
    rules.point_tiles(found.out_rows, found.offset_ptr, n_offsets, 0, m, found.tile_ptr, 1)
    return True
