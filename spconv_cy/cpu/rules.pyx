"""Pairs from sorted packed keys, by merges alone.

The wanted keys of an offset ascend as the outputs do, so one pass over both lists finds the pairs; runs of consecutive
keys are handled together. Keys have a margin of a window's span on every axis, so no neighbour's digit carries into the
next axis.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from spconv_cy.cpu.maps cimport Seek, seek
from spconv_cy.cpu.order cimport FAR, lower_bound

cdef enum:
    TILES = 4                           # of a chunk
    TAPS = 5                            # that one walk along the runs serves, at most
    BLOCK = 4
    ROOM = 528                          # rows of a chunk and 16 more; 2 * TAPS * ROOM = PAIRS_ROOM


# ---- runs

cdef int64_t count_runs(const int64_t* keys, int64_t n, int64_t step, int64_t* tiles, int n_threads) noexcept nogil:
    # Fills `tiles` for the runs of ascending keys that lie `step` apart. Returns the number of runs.
    cdef int64_t t, count, total = 0, n_tiles = (n + TILE_ROWS - 1) // TILE_ROWS
    for t in prange(n_tiles, schedule="static", num_threads=n_threads):
        tiles[t] = runs_of_tile(keys, t * TILE_ROWS, min(n, (t + 1) * TILE_ROWS), step)
    for t in range(n_tiles):
        count = tiles[t]
        tiles[t] = total
        total += count
    tiles[n_tiles] = total
    return total


cdef int64_t runs_of_tile(const int64_t* keys, int64_t start, int64_t stop, int64_t step) noexcept nogil:
    cdef int64_t i, count = 1
    for i in range(start + 1, stop):
        count += keys[i] != keys[i - 1] + step
    return count


cdef void fill_runs(const int64_t* keys, int64_t n, int64_t step, const Runs* runs, int n_threads) noexcept nogil:
    # After count_runs.
    cdef int64_t t, n_tiles = (n + TILE_ROWS - 1) // TILE_ROWS, n_runs = runs.tiles[n_tiles]
    for t in prange(n_tiles, schedule="static", num_threads=n_threads):
        fill_tile(keys, t * TILE_ROWS, min(n, (t + 1) * TILE_ROWS), step, runs.first + runs.tiles[t],
                  runs.row + runs.tiles[t])
    runs.first[n_runs] = runs.first[n_runs + 1] = FAR
    runs.row[n_runs], runs.row[n_runs + 1] = <int32_t>n, <int32_t>(n + 1)


cdef int64_t fill_tile(const int64_t* keys, int64_t start, int64_t stop, int64_t step, int64_t* first,
                       int32_t* row) noexcept nogil:
    # Returns the number of runs. Each row is written where a run would begin, and counted if one does begin: no
    # unpredictable branch.
    cdef int64_t i, count = 1
    cdef int64_t firsts[TILE_ROWS + 1]
    cdef int32_t rows[TILE_ROWS + 1]
    firsts[0], rows[0] = keys[start], <int32_t>start
    for i in range(start + 1, stop):
        firsts[count], rows[count] = keys[i], <int32_t>i
        count += keys[i] != keys[i - 1] + step
    memcpy(first, firsts, <size_t>count * sizeof(int64_t))
    memcpy(row, rows, <size_t>count * sizeof(int32_t))
    return count


# ---- pairs

cdef bint are_mirrored(const int32_t* offsets, int64_t n_offsets, int d) noexcept nogil:
    # Whether the last of the offsets (n_offsets, d) is the opposite of the first, and so on.
    cdef int64_t i
    for i in range(n_offsets):
        if not are_opposite(offsets + i * d, offsets + (n_offsets - 1 - i) * d, d):
            return False
    return True


cdef inline bint are_opposite(const int32_t* a, const int32_t* b, int d) noexcept nogil:
    cdef int axis
    for axis in range(d):
        if a[axis] != -b[axis]:
            return False
    return True


cdef int64_t cut_walks(const int32_t* offsets, int64_t n_offsets, int d, Walk* walks) noexcept nogil:
    # Groups lexicographic offsets (n_offsets, d), neighbours on the last axis alone; returns the number of groups.
    # Taps far apart on one walk would visit all that lies between them.
    cdef int64_t k, step, count = 0
    for k in range(n_offsets):
        step = <int64_t>offsets[k * d + d - 1] - offsets[(k - 1) * d + d - 1] if k else 0
        if k and share_line(offsets + (k - 1) * d, offsets + k * d, d) and (
                walks[count - 1].taps == 1 or walks[count - 1].step == step) and walks[count - 1].taps * step < TAPS:
            walks[count - 1].taps += 1
            walks[count - 1].step = step
        else:
            walks[count].first, walks[count].taps, walks[count].step = k, 1, 1
            count += 1
    return count


cdef inline bint share_line(const int32_t* a, const int32_t* b, int d) noexcept nogil:
    cdef int axis
    for axis in range(d - 1):
        if a[axis] != b[axis]:
            return False
    return True


cdef void count_pairs(const Merge* merge, int64_t* tile_ptr, int64_t* offset_ptr, int n_threads) noexcept nogil:
    # Fills tile_ptr of the merged offsets and all of offset_ptr.
    cdef int64_t chunk, t, count, place = 0, n_tiles = (merge.m + TILE_ROWS - 1) // TILE_ROWS
    cdef int64_t n_chunks = (n_tiles + TILES - 1) // TILES
    cdef int64_t* tiles
    cdef int k
    for chunk in prange(n_chunks, schedule="dynamic", num_threads=n_threads):
        walk(merge, chunk, tile_ptr, NULL, NULL, NULL, NULL)
    offset_ptr[0] = 0
    for k in range(merge.n_offsets):
        if k < merge.n_merged:
            tiles = tile_ptr + k * (n_tiles + 1)
            for t in range(n_tiles):
                count = tiles[t]
                tiles[t] = place
                place += count
            tiles[n_tiles] = place
        elif k == merge.n_offsets - 1 - k:
            place += merge.m
        else:
            place += offset_ptr[merge.n_offsets - k] - offset_ptr[merge.n_offsets - 1 - k]
        offset_ptr[k + 1] = place


cdef void fill_pairs(const Merge* merge, int64_t* tile_ptr, const int64_t* offset_ptr, int32_t* in_rows,
                     int32_t* out_rows, int32_t* room, int n_threads) noexcept nogil:
    # After count_pairs; completes tile_ptr. room: PAIRS_ROOM for each thread.
    cdef int64_t chunk, n_chunks = (merge.m + TILES * TILE_ROWS - 1) // (TILES * TILE_ROWS)
    for chunk in prange(n_chunks, schedule="dynamic", num_threads=n_threads):
        walk(merge, chunk, tile_ptr, offset_ptr, in_rows, out_rows, room + threadid() * PAIRS_ROOM)
    if merge.n_merged < merge.n_offsets:
        point_tiles(out_rows, offset_ptr, merge.n_offsets, merge.n_merged, merge.m, tile_ptr, n_threads)


cdef void walk(const Merge* merge, int64_t chunk, int64_t* tile_ptr, const int64_t* offset_ptr, int32_t* in_rows,
               int32_t* out_rows, int32_t* found) noexcept nogil:
    # One chunk of output rows under every merged offset, neighbouring taps of a line together. Without in_rows and
    # found it counts the hits of each tile into tile_ptr; with them it copies the pairs to where tile_ptr says.
    cdef int64_t n_tiles = (merge.m + TILE_ROWS - 1) // TILE_ROWS
    cdef int64_t first = chunk * TILES, last = min(n_tiles, first + TILES), at, tile, row
    cdef int32_t* asked = <int32_t*>NULL if found == NULL else found + TAPS * ROOM
    cdef int32_t hits[TAPS]
    cdef int w, k, taps, t
    for w in range(merge.n_walks):
        k, taps = <int>merge.walks[w].first, <int>merge.walks[w].taps
        if in_rows == NULL or any_hit(tile_ptr + k * (n_tiles + 1), n_tiles, first, last, taps):
            at = first_run(merge, first, merge.shifts[k])
            for t in range(taps):
                hits[t] = 0
            for tile in range(first, last):
                at = match(merge, w, at, tile, found, asked, hits)
                if in_rows == NULL:
                    for t in range(taps):
                        tile_ptr[(k + t) * (n_tiles + 1) + tile] = hits[t]
                        hits[t] = 0
            if in_rows != NULL:
                for t in range(taps):
                    put(merge, k + t, hits[t], found + t * ROOM, asked + t * ROOM,
                        tile_ptr[(k + t) * (n_tiles + 1) + first], offset_ptr, in_rows, out_rows)
    if in_rows != NULL and merge.n_merged < merge.n_offsets:
        for row in range(first * TILE_ROWS, min(merge.m, last * TILE_ROWS)):
            in_rows[offset_ptr[merge.n_merged] + row] = <int32_t>row
            out_rows[offset_ptr[merge.n_merged] + row] = <int32_t>row


cdef void stage_pairs(const Merge* merge, int64_t* tile_ptr, int64_t* offset_ptr, int32_t* staged, int64_t most,
                      int32_t* found) noexcept nogil:
    # Count and fill in one walk, for few rows. The pairs of merged offset k, at most `most`, lie in `staged` from
    # 2 * most * k on, their output rows `most` places further. found: PAIRS_ROOM. Afterwards come place_pairs.
    cdef int64_t n_tiles = (merge.m + TILE_ROWS - 1) // TILE_ROWS, chunk, first, last, at, tile
    cdef int64_t count[TAPS]
    cdef int32_t hits[TAPS]
    cdef int32_t* into
    cdef int w, k, taps, t
    for w in range(merge.n_walks):
        k, taps = <int>merge.walks[w].first, <int>merge.walks[w].taps
        for t in range(taps):
            count[t] = 0
        for chunk in range((n_tiles + TILES - 1) // TILES):
            first, last = chunk * TILES, min(n_tiles, (chunk + 1) * TILES)
            at = first_run(merge, first, merge.shifts[k])
            for t in range(taps):
                hits[t] = 0
            for tile in range(first, last):
                for t in range(taps):
                    tile_ptr[(k + t) * (n_tiles + 1) + tile] = count[t] + hits[t]
                at = match(merge, w, at, tile, found, found + TAPS * ROOM, hits)
            for t in range(taps):
                into = staged + 2 * most * (k + t) + count[t]
                memcpy(into, found + t * ROOM, <size_t>hits[t] * sizeof(int32_t))
                memcpy(into + most, found + (TAPS + t) * ROOM, <size_t>hits[t] * sizeof(int32_t))
                count[t] += hits[t]
        for t in range(taps):
            tile_ptr[(k + t) * (n_tiles + 1) + n_tiles] = count[t]
    point_offsets(merge, tile_ptr, offset_ptr, n_tiles)


cdef void point_offsets(const Merge* merge, int64_t* tile_ptr, int64_t* offset_ptr, int64_t n_tiles) noexcept nogil:
    # From numbers of pairs within an offset to numbers of all pairs.
    cdef int64_t place = 0, t
    cdef int64_t* tiles
    cdef int k
    offset_ptr[0] = 0
    for k in range(merge.n_offsets):
        tiles = tile_ptr + k * (n_tiles + 1)
        if k < merge.n_merged:
            for t in range(n_tiles + 1):
                tiles[t] += place
            place = tiles[n_tiles]
        elif k == merge.n_offsets - 1 - k:
            place += merge.m
        else:
            place += offset_ptr[merge.n_offsets - k] - offset_ptr[merge.n_offsets - 1 - k]
        offset_ptr[k + 1] = place


cdef void place_pairs(const Merge* merge, int64_t* tile_ptr, const int64_t* offset_ptr, const int32_t* staged,
                      int64_t most, int32_t* in_rows, int32_t* out_rows) noexcept nogil:
    cdef int64_t k, row
    for k in range(merge.n_merged):
        put(merge, <int>k, offset_ptr[k + 1] - offset_ptr[k], staged + 2 * most * k, staged + 2 * most * k + most,
            offset_ptr[k], offset_ptr, in_rows, out_rows)
    if merge.n_merged < merge.n_offsets:
        for row in range(merge.m):
            in_rows[offset_ptr[merge.n_merged] + row] = out_rows[offset_ptr[merge.n_merged] + row] = <int32_t>row
        point_tiles(out_rows, offset_ptr, merge.n_offsets, merge.n_merged, merge.m, tile_ptr, 1)


cdef inline bint any_hit(const int64_t* tiles, int64_t n_tiles, int64_t first, int64_t last, int taps) noexcept nogil:
    cdef int t
    for t in range(taps):
        if tiles[t * (n_tiles + 1) + first] != tiles[t * (n_tiles + 1) + last]:
            return True
    return False


cdef inline int64_t first_run(const Merge* merge, int64_t tile, int64_t shift) noexcept nogil:
    # Returns the first run that does not end before what a tile wants.
    cdef const Runs* runs = &merge.inputs
    cdef int64_t key, at
    if merge.map.bits != NULL:
        return 0
    key = merge.wanted.first[merge.wanted.tiles[tile]] + shift
    at = lower_bound(runs.first, merge.n_runs, key)
    return at - 1 if at and runs.first[at - 1] + runs.row[at] - runs.row[at - 1] > key else at


cdef inline int64_t match(const Merge* merge, int w, int64_t at, int64_t tile, int32_t* found, int32_t* asked,
                          int32_t* hits) noexcept nogil:
    cdef const Walk* walk = &merge.walks[w]
    cdef int64_t first = tile * TILE_ROWS
    cdef Seek job
    if merge.map.bits == NULL:
        return match_runs(merge, w, at, merge.wanted.tiles[tile], merge.wanted.tiles[tile + 1], found, asked, hits)
    job.bits, job.before, job.room = merge.map.bits, merge.map.before, ROOM
    job.taps, job.step = <int32_t>walk.taps, <int32_t>walk.step
    seek(&job, merge.keys + first, min(<int64_t>TILE_ROWS, merge.m - first), merge.shifts[walk.first],
         <int32_t>first, found, asked, hits)
    return at


cdef inline int64_t match_runs(const Merge* merge, int w, int64_t at, int64_t run, int64_t stop, int32_t* found,
                               int32_t* asked, int32_t* hits) noexcept nogil:
    # Constant arguments let the compiler unroll the taps, and omit the division and the writing.
    cdef int64_t shift = merge.shifts[merge.walks[w].first], step = merge.walks[w].step, stride = merge.stride
    cdef int taps = <int>merge.walks[w].taps
    if stride == 1 and taps == 3:
        if found == NULL:
            return match_taps(merge, shift, 3, step, 1, False, at, run, stop, found, asked, hits)
        return match_taps(merge, shift, 3, step, 1, True, at, run, stop, found, asked, hits)
    if stride == 1 and taps == 5:
        return match_taps(merge, shift, 5, step, 1, found != NULL, at, run, stop, found, asked, hits)
    if stride == 1:
        return match_taps(merge, shift, taps, step, 1, found != NULL, at, run, stop, found, asked, hits)
    if stride == 2 and taps == 3:
        return match_taps(merge, shift, 3, step, 2, found != NULL, at, run, stop, found, asked, hits)
    if stride == 2 and taps == 2:
        return match_taps(merge, shift, 2, step, 2, found != NULL, at, run, stop, found, asked, hits)
    return match_taps(merge, shift, taps, step, stride, found != NULL, at, run, stop, found, asked, hits)


cdef inline int64_t match_taps(const Merge* merge, int64_t shift, int taps, int64_t step, int64_t stride, bint fills,
                               int64_t at, int64_t run, int64_t stop, int32_t* found, int32_t* asked,
                               int32_t* hits) noexcept nogil:
    # Where a wanted run and an input run overlap, the pairs are consecutive on both sides. The first BLOCK of them are
    # written whether they are pairs or not, and counted if they are: no unpredictable branch. Two lone rows need less.
    cdef const int64_t* first = merge.inputs.first
    cdef const int32_t* row = merge.inputs.row
    cdef int64_t key, high, apart, skip_out, skip_in, n_in, n_out, n, i
    cdef int32_t in_row, out_row, e
    cdef int32_t* into
    cdef int32_t* outof
    cdef int32_t count[TAPS]
    cdef int t
    for t in range(taps):
        count[t] = hits[t]
    while run < stop:
        key = merge.wanted.first[run] + shift
        n_out = merge.wanted.row[run + 1] - merge.wanted.row[run]
        high = key + (n_out - 1) * stride + (taps - 1) * step
        at += first[at] + (row[at + 1] - row[at] - 1) < key              # mostly enough, without a branch
        while first[at] + (row[at + 1] - row[at] - 1) < key:
            at += 1
        i = at
        while first[i] <= high:
            n_in = row[i + 1] - row[i]
            apart = first[i] - key
            if merge.lone and n_in + n_out == 2:
                for t in range(taps):
                    if fills:
                        found[t * ROOM + count[t]] = row[i]
                        asked[t * ROOM + count[t]] = merge.wanted.row[run]
                    count[t] += apart == t * step
            else:
                for t in range(taps):
                    skip_out = (max(apart, 0) + stride - 1) // stride
                    skip_in = skip_out * stride - apart
                    n = max(min(n_out - skip_out, (n_in - skip_in + stride - 1) // stride), 0)
                    if fills:
                        in_row, out_row = <int32_t>(row[i] + skip_in), <int32_t>(merge.wanted.row[run] + skip_out)
                        outof, into = asked + t * ROOM + count[t], found + t * ROOM + count[t]
                        for e in range(BLOCK):                           # one loop for each side: one vector store each
                            into[e] = in_row + e * <int32_t>stride
                        for e in range(BLOCK):
                            outof[e] = out_row + e
                        if n > BLOCK:
                            for e in range(BLOCK, <int32_t>n):
                                into[e] = in_row + e * <int32_t>stride
                            for e in range(BLOCK, <int32_t>n):
                                outof[e] = out_row + e
                    count[t] += <int32_t>n
                    apart -= step
            i += 1
        run += 1
    for t in range(taps):
        hits[t] = count[t]
    return at


cdef inline void put(const Merge* merge, int k, int64_t count, const int32_t* found, const int32_t* asked,
                     int64_t start, const int64_t* offset_ptr, int32_t* in_rows, int32_t* out_rows) noexcept nogil:
    # The mirror image of an offset has the same pairs with their sides swapped, in the same order.
    cdef size_t size = <size_t>count * sizeof(int32_t)
    memcpy(in_rows + start, found, size)
    memcpy(out_rows + start, asked, size)
    if merge.n_merged < merge.n_offsets:
        start += offset_ptr[merge.n_offsets - 1 - k] - offset_ptr[k]
        memcpy(in_rows + start, asked, size)
        memcpy(out_rows + start, found, size)


cdef void point_tiles(const int32_t* out_rows, const int64_t* offset_ptr, int64_t n_offsets, int64_t first,
                      int64_t n_out, int64_t* tile_ptr, int n_threads) noexcept nogil:
    # tile_ptr of the offsets from `first` on.
    cdef int64_t k
    for k in prange(first, n_offsets, schedule="dynamic", num_threads=n_threads):
        point_offset(out_rows, offset_ptr[k], offset_ptr[k + 1], (n_out + TILE_ROWS - 1) // TILE_ROWS,
                     tile_ptr + k * ((n_out + TILE_ROWS - 1) // TILE_ROWS + 1))


cdef void point_offset(const int32_t* out_rows, int64_t start, int64_t stop, int64_t n_tiles,
                       int64_t* tiles) noexcept nogil:
    # A tile has at most TILE_ROWS pairs of an offset, which bounds the search for its end.
    cdef int64_t t, low = start, step, next_low
    tiles[0] = start
    for t in range(1, n_tiles + 1):
        step = TILE_ROWS
        while step:
            next_low = min(low + step, stop)
            low = next_low if next_low > low and out_rows[next_low - 1] < t * TILE_ROWS else low
            step //= 2
        tiles[t] = low
