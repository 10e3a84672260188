"""Rules of drawn regions, from sorted packed keys and tables of each sample's bounds, by merges alone.

A tap of one axis has at most one region for a site, whose number rises with the site, so the keys of a tap ascend as
the inputs do. Outputs are unions of ascending streams, one axis after the other; one sweep finds them along the last
axis. An offset has one tap for each axis, which leads a site from union to union.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from spconv_cy.cpu.reach cimport unite


# ---- outputs

cdef void widen(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Regions* regions, int axis,
                int64_t* mapped, int64_t* spare, int64_t* found, int64_t* counts, int n_threads) noexcept nogil:
    # Replaces the axis' input digit by those of the regions that hold it. mapped: room for all keys; spare and found:
    # `span` times that. The outputs of a piece are counts[piece] from span * pieces[piece] of found on.
    cdef int64_t piece, room = regions.axes[axis].span
    for piece in prange(n_pieces, schedule="dynamic", num_threads=n_threads):
        counts[piece] = widen_piece(keys + pieces[piece], pieces[piece + 1] - pieces[piece], regions, axis,
                                    mapped + pieces[piece], spare + room * pieces[piece], found + room * pieces[piece])


cdef int64_t widen_piece(const int64_t* keys, int64_t n, const Regions* regions, int axis, int64_t* mapped,
                         int64_t* spare, int64_t* found) noexcept nogil:
    cdef int64_t tap, count, total = map_tap(keys, n, regions, axis, 0, found, NULL)
    cdef int64_t* united = found
    cdef int64_t* other = spare
    for tap in range(1, regions.axes[axis].span):
        count = map_tap(keys, n, regions, axis, tap, mapped, NULL)
        if count:
            total = unite(united, total, mapped, count, other)
            united, other = other, united
    if united != found:
        memcpy(found, united, <size_t>total * sizeof(int64_t))
    return total


cdef int64_t map_tap(const int64_t* keys, int64_t n, const Regions* regions, int axis, int64_t tap, int64_t* mapped,
                     int32_t* source) noexcept nogil:
    # Writes the keys of the regions that have these sites at this tap, and the key that each is from (source may be
    # NULL). Keys that share the digit have the same region.
    cdef const Bounds* bounds = &regions.axes[axis]
    cdef const int32_t* region = bounds.region
    cdef int64_t i, digit, out = 0, count = 0, line = 0, line_end = 0, block_end = 0, change = 0
    for i in range(n):
        if keys[i] >= block_end:
            if keys[i] >= line_end:
                line = keys[i] - keys[i] % (bounds.side * bounds.step)
                line_end = line + bounds.side * bounds.step
                region = bounds.region + bounds.low + bounds.size * (
                    tap * bounds.samples + keys[i] // regions.batch_step + regions.batch_low)
            digit = keys[i] - line
            if bounds.step > 1:
                digit //= bounds.step
            block_end = line + (digit + 1) * bounds.step
            out = region[digit]
            change = (out - bounds.low - digit) * bounds.step
        mapped[count] = keys[i] + change
        if source != NULL:
            source[count] = <int32_t>i
        count += out >= 0
    return count


cdef void locate(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Regions* regions, int axis,
                 const int64_t* widened, const int64_t* starts, int64_t* mapped, int32_t* source,
                 int n_threads) noexcept nogil:
    # Fills the axis' `where`, -1 on entry. The outputs of a piece are starts[piece] to starts[piece + 1] of
    # widened; mapped and source have room for all keys and one more a piece.
    cdef int64_t piece
    for piece in prange(n_pieces, schedule="dynamic", num_threads=n_threads):
        locate_piece(keys, pieces[piece], pieces[piece + 1], regions, axis, widened, starts[piece], starts[piece + 1],
                     mapped + pieces[piece] + piece, source + pieces[piece] + piece)


cdef void locate_piece(const int64_t* keys, int64_t low, int64_t high, const Regions* regions, int axis,
                       const int64_t* widened, int64_t start, int64_t stop, int64_t* mapped,
                       int32_t* source) noexcept nogil:
    # What a tap gives is a part of the union: one walk along the union, without a branch on which key is in it. The
    # row is written at every step; the last one written for a key is its own.
    cdef const Bounds* bounds = &regions.axes[axis]
    cdef int32_t* where
    cdef int64_t tap, count, row, i
    for tap in range(bounds.span):
        where = bounds.where + tap * bounds.n + low
        count = map_tap(keys + low, high - low, regions, axis, tap, mapped, source)
        i, row = 0, start
        while i < count:
            where[source[i]] = <int32_t>row
            i += mapped[i] == widened[row]
            row += 1


cdef void sweep(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Regions* regions, int64_t* found,
                int64_t* counts, int n_threads) noexcept nogil:
    # Does for the last axis, whose sites are consecutive, what `widen` and `locate` do for others. A row in `where`
    # counts from the first row of its piece, until `settle`.
    cdef int64_t piece
    for piece in prange(n_pieces, schedule="dynamic", num_threads=n_threads):
        counts[piece] = sweep_piece(keys, pieces[piece], pieces[piece + 1], regions,
                                    found + regions.axes[regions.width - 1].span * pieces[piece])


cdef int64_t sweep_piece(const int64_t* keys, int64_t low, int64_t high, const Regions* regions,
                         int64_t* found) noexcept nogil:
    # The regions of a site, from its last tap to its first, continue those of the site before on the line, or are the
    # last of them: rows are counted backwards from the last one found. Nothing branches on the bounds.
    cdef const Bounds* bounds = &regions.axes[regions.width - 1]
    cdef const int32_t* region = bounds.region
    cdef int64_t i, tap, out, last = -1, line = 0, line_end = 0, count = 0, table = bounds.samples * bounds.size
    for i in range(low, high):
        if keys[i] >= line_end:
            line = keys[i] - keys[i] % bounds.side
            line_end, last = line + bounds.side, -1
            region = bounds.region + bounds.low + bounds.size * (keys[i] // regions.batch_step + regions.batch_low)
        for tap in range(bounds.span - 1, -1, -1):
            out = region[tap * table + keys[i] - line]
            found[count] = line + out - bounds.low
            count += out > last
            last = max(out, last)
            bounds.where[tap * bounds.n + i] = <int32_t>(count - 1 - last + out) if out >= 0 else -1
    return count


cdef void settle(const int64_t* pieces, int64_t n_pieces, const Regions* regions, const int64_t* starts,
                 int n_threads) noexcept nogil:
    cdef int64_t piece
    for piece in prange(1, n_pieces, schedule="dynamic", num_threads=n_threads):
        settle_piece(pieces[piece], pieces[piece + 1], &regions.axes[regions.width - 1], <int32_t>starts[piece])


cdef void settle_piece(int64_t low, int64_t high, const Bounds* bounds, int32_t start) noexcept nogil:
    cdef int64_t tap, i
    cdef int32_t* where
    for tap in range(bounds.span):
        where = bounds.where + tap * bounds.n
        for i in range(low, high):
            if where[i] >= 0:
                where[i] = <int32_t>(where[i] + start)


# ---- pairs

cdef void count_pairs(const Regions* regions, int64_t chunk_rows, int64_t n_chunks, int64_t n_offsets, int32_t* scratch,
                      int64_t* counts, int n_threads) noexcept nogil:
    # counts (chunks, offsets), zeros: the pairs of a chunk's sites. scratch: 2 * width * (chunk_rows + 1) a chunk.
    cdef int64_t chunk
    for chunk in prange(n_chunks, schedule="dynamic", num_threads=n_threads):
        descend(regions, 1, begin(regions, chunk, chunk_rows, scratch), chunk_rows + 1, 0,
                scratch + 2 * regions.width * (chunk_rows + 1) * chunk, counts + n_offsets * chunk, NULL, NULL, NULL)


cdef void fill_pairs(const Regions* regions, int64_t chunk_rows, int64_t n_chunks, int64_t n_offsets, int32_t* scratch,
                     const int64_t* places, int32_t* in_rows, int32_t* out_rows, int n_threads) noexcept nogil:
    # places (chunks, offsets, 2): where a chunk's pairs of an offset begin and end. scratch as for count_pairs.
    cdef int64_t chunk
    for chunk in prange(n_chunks, schedule="dynamic", num_threads=n_threads):
        descend(regions, 1, begin(regions, chunk, chunk_rows, scratch), chunk_rows + 1, 0,
                scratch + 2 * regions.width * (chunk_rows + 1) * chunk, NULL, places + 2 * n_offsets * chunk, in_rows,
                out_rows)


cdef int64_t begin(const Regions* regions, int64_t chunk, int64_t chunk_rows, int32_t* scratch) noexcept nogil:
    # The chunk's own rows, twice: a site, and where it is before the first axis. Returns their number.
    cdef int32_t* rows = scratch + 2 * regions.width * (chunk_rows + 1) * chunk
    cdef int64_t i, low = chunk * chunk_rows, n = min(chunk_rows, regions.axes[1].n - low)
    for i in range(n):
        rows[i] = rows[chunk_rows + 1 + i] = <int32_t>(low + i)
    return n


cdef void descend(const Regions* regions, int axis, int64_t n, int64_t room, int64_t offset, int32_t* rows,
                  int64_t* counts, const int64_t* places, int32_t* in_rows, int32_t* out_rows) noexcept nogil:
    # The n sites that have the taps so far, and where these led them, go on by every tap of the axis; the sites of the
    # next axis stand 2 * room further on.
    cdef const Bounds* bounds = &regions.axes[axis]
    cdef const int32_t* at = rows + room
    cdef const int32_t* where
    cdef int32_t* further = rows + 2 * room
    cdef int64_t tap, i, count, place, stop
    for tap in range(bounds.span):
        where, count = bounds.where + tap * bounds.n, 0
        if axis < regions.width - 1:
            for i in range(n):
                further[count], further[room + count] = rows[i], where[at[i]]
                count += where[at[i]] >= 0
            if count:
                descend(regions, axis + 1, count, room, (offset + tap) * regions.axes[axis + 1].span, further, counts,
                        places, in_rows, out_rows)
        elif counts != NULL:
            for i in range(n):
                count += where[at[i]] >= 0
            counts[offset + tap] = count
        else:
            place, stop, i = places[2 * (offset + tap)], places[2 * (offset + tap) + 1], 0
            while place < stop:                                          # nothing is written beyond the known end
                in_rows[place], out_rows[place] = rows[i], where[at[i]]
                place += where[at[i]] >= 0
                i += 1
