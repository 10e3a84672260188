"""Pooling by rulebook, scattering and reductions; the order of sums does not depend on the number of threads."""

from cython.parallel cimport parallel, prange
from libc.string cimport memcpy, memset

from spconv_cy.cpu.rules cimport TILE_ROWS
from spconv_cy.cpu.threads cimport Turns, share_jobs, take_job, team


cdef enum:
    FEW = 9                     # pairs of a row that are read together

cdef struct Lists:              # the input rows of each row of a tile, in the order of the offsets
    int32_t rows[TILE_ROWS * FEW]
    int32_t n[TILE_ROWS]


cdef inline bint list_rows(const Rules* rules, int64_t tile, Lists* lists) noexcept nogil:
    # False if a row has more than FEW pairs.
    cdef int64_t low = tile * TILE_ROWS, offset, pair, row
    cdef const int64_t* start
    if rules.n_offsets > FEW:
        return False
    memset(lists.n, 0, sizeof(lists.n))
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr + offset * (rules.n_tiles + 1) + tile
        for pair in range(start[0], start[1]):
            row = rules.out_rows[pair] - low
            if lists.n[row] == FEW:                                      # pairs that nobody checked
                return False
            lists.rows[row * FEW + lists.n[row]] = rules.in_rows[pair]
            lists.n[row] += 1
    return True


cdef inline void first_row(float* y, int32_t* winner, const float* x, int32_t row, int64_t c) noexcept nogil:
    cdef int64_t i
    if x == NULL:
        memset(y, 0, <size_t>c * sizeof(float))
    else:
        memcpy(y, x, <size_t>c * sizeof(float))
    for i in range(c):
        winner[i] = row


cdef inline void max_row(const KernelTable* table, const float* x, const float* ground, bint is_open, float* y,
                         int32_t* winner, int64_t c, const int32_t* rows, int64_t n) noexcept nogil:
    if n == 0:
        first_row(y, winner, ground, -1, c)
        return
    table.max_rows(y, winner, x, rows, n, c)
    if is_open:
        table.max(y, winner, ground, -1, c)


cdef void max_pool(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, const Rules* rules, int64_t c, float slope, int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t tile
    n_threads = team(n_threads, rules.n_tiles, <double>rules.n_pairs * <double>c)
    share_jobs(&turns, rules.n_tiles, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        tile = take_job(&turns, thread)
        while tile >= 0:
            max_tile(table, x, ground, is_open, y, winner, c, rules, c, slope, tile)
            tile = take_job(&turns, thread)


cdef void max_tile(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, int64_t step, const Rules* rules, int64_t c, float slope,
                   int64_t tile) noexcept nogil:
    # The first pair of a row is copied without comparing: no initial value is below all others, NaN and -inf included.
    # step: from the winners of a row to those of the next; 0: nobody reads them.
    cdef uint8_t begun[TILE_ROWS]
    cdef int64_t low = tile * TILE_ROWS, high = min(low + TILE_ROWS, rules.n_out), offset, pair, row
    cdef const int64_t* start
    cdef Lists lists
    if list_rows(rules, tile, &lists):
        for row in range(low, high):
            max_row(table, x, ground, ground != NULL and is_open[row] != 0, y + row * c, winner + row * step, c,
                    lists.rows + (row - low) * FEW, lists.n[row - low])
    else:
        memset(begun, 0, TILE_ROWS)
        for offset in range(rules.n_offsets):
            start = rules.tile_ptr + offset * (rules.n_tiles + 1) + tile
            for pair in range(start[0], start[1]):
                row = rules.out_rows[pair]
                if begun[row - low]:
                    table.max(y + row * c, winner + row * step, x + rules.in_rows[pair] * c, rules.in_rows[pair], c)
                else:
                    begun[row - low] = 1
                    first_row(y + row * c, winner + row * step, x + rules.in_rows[pair] * c, rules.in_rows[pair], c)
        for row in range(low, high):
            if not begun[row - low]:
                first_row(y + row * c, winner + row * step, ground, -1, c)
            elif ground != NULL and is_open[row]:
                table.max(y + row * c, winner + row * step, ground, -1, c)
    if slope != 1:
        table.leaky(y + low * c, y + low * c, slope, (high - low) * c)


cdef void max_pool_dx(const KernelTable* table, const float* dy, const int32_t* winner, float* dx, float* dground,
                      int32_t* bounds, float* sums, const Rules* turned, int64_t m, int64_t n, int64_t c,
                      int n_threads) noexcept nogil:
    # A range of input rows has one owner. With the transposed rules of the pooling, that is a tile, read pair by pair.
    # Without (NULL), it is a part, whose owner reads the chunks of outputs that have a winner in it, in their order.
    # On entry, dground is 0, and without rules dx too; bounds has 2, sums c places for each chunk.
    cdef int64_t n_chunks = (m + CHUNK_ROWS - 1) // CHUNK_ROWS, chunk, part, n_parts
    cdef Turns turns
    cdef int thread
    n_threads = team(n_threads, n_chunks, <double>m * <double>c)
    n_parts = 4 * n_threads if n_threads > 1 else 1
    share_jobs(&turns, n_parts if turned == NULL else turned.n_tiles, n_threads)
    with parallel(num_threads=n_threads):
        for chunk in prange(n_chunks, schedule="static"):
            memset(sums + chunk * c, 0, <size_t>c * sizeof(float))
            table.lost_rows(sums + chunk * c, dy + chunk * CHUNK_ROWS * c, winner + chunk * CHUNK_ROWS * c,
                            min(CHUNK_ROWS, m - chunk * CHUNK_ROWS), c)
            if turned == NULL:
                chunk_bounds(winner, bounds + 2 * chunk, chunk * CHUNK_ROWS * c, min((chunk + 1) * CHUNK_ROWS, m) * c)
        for thread in prange(n_threads, schedule="static", chunksize=1):
            part = take_job(&turns, thread)
            while part >= 0:
                if turned != NULL:
                    dx_tile(table, dy, winner, dx, turned, c, part)
                else:
                    dx_part(dy, winner, dx, bounds, m, c, n * part // n_parts, n * (part + 1) // n_parts)
                part = take_job(&turns, thread)
    for chunk in range(n_chunks):
        table.add(dground, sums + chunk * c, c)


cdef void chunk_bounds(const int32_t* rows, int32_t* bounds, int64_t low, int64_t high) noexcept nogil:
    cdef int32_t least = rows[low], most = rows[low]
    cdef int64_t i
    for i in range(low, high):
        least = rows[i] if rows[i] < least else least
        most = rows[i] if rows[i] > most else most
    bounds[0] = least
    bounds[1] = most


cdef void dx_tile(const KernelTable* table, const float* dy, const int32_t* winner, float* dx, const Rules* turned,
                  int64_t c, int64_t tile) noexcept nogil:
    cdef int64_t offset, low = tile * TILE_ROWS, row
    cdef const int64_t* start
    cdef Lists lists
    if list_rows(turned, tile, &lists):
        for row in range(low, min(low + TILE_ROWS, turned.n_out)):
            table.won_rows(dx + row * c, dy, winner, lists.rows + (row - low) * FEW, lists.n[row - low],
                           <int32_t>row, c)
        return
    memset(dx + low * c, 0, <size_t>(min(TILE_ROWS, turned.n_out - low) * c) * sizeof(float))
    for offset in range(turned.n_offsets):
        start = turned.tile_ptr + offset * (turned.n_tiles + 1) + tile
        table.won_pairs(dx, dy, winner, turned.out_rows + start[0], turned.in_rows + start[0], start[1] - start[0], c)


cdef void dx_part(const float* dy, const int32_t* winner, float* dx, const int32_t* bounds, int64_t m, int64_t c,
                  int64_t low, int64_t high) noexcept nogil:
    cdef int64_t chunk, row, i, to
    for chunk in range((m + CHUNK_ROWS - 1) // CHUNK_ROWS):
        if bounds[2 * chunk] >= high or bounds[2 * chunk + 1] < low:
            continue
        for row in range(chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, m)):
            for i in range(c):
                to = winner[row * c + i]
                if low <= to < high:
                    dx[to * c + i] += dy[row * c + i]


cdef void sum_pool(const KernelTable* table, const float* x, float* y, const Rules* rules, int64_t c,
                   int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t tile
    n_threads = team(n_threads, rules.n_tiles, <double>rules.n_pairs * <double>c)
    share_jobs(&turns, rules.n_tiles, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        tile = take_job(&turns, thread)
        while tile >= 0:
            sum_tile(table, x, y, rules, c, tile)
            tile = take_job(&turns, thread)


cdef void sum_tile(const KernelTable* table, const float* x, float* y, const Rules* rules, int64_t c,
                   int64_t tile) noexcept nogil:
    cdef int64_t offset, low = tile * TILE_ROWS
    cdef const int64_t* start
    memset(y + low * c, 0, <size_t>(min(TILE_ROWS, rules.n_out - low) * c) * sizeof(float))
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr + offset * (rules.n_tiles + 1) + tile
        table.add_pairs(y, x, rules.in_rows + start[0], rules.out_rows + start[0], start[1] - start[0], c)


cdef void segment_sum(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                      double* sums, float* y, int64_t b, int64_t c, int n_threads) noexcept nogil:
    # Segment s has the chunks chunk_starts[s] to chunk_starts[s + 1], each with its own sum in doubles: gradients of
    # biases, norms and ground states are sums of many rows that nearly cancel. On entry, y is 0.
    cdef Turns turns
    cdef int thread
    cdef int64_t chunk
    n_threads = team(n_threads, chunk_starts[b], <double>(starts[b] - starts[0]) * <double>c)
    share_jobs(&turns, chunk_starts[b], n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            sum_chunk(table, x, starts, chunk_starts, sums + chunk * c, chunk, b, c)
            chunk = take_job(&turns, thread)
    join_chunks(chunk_starts, sums, y, b, c)


cdef void join_chunks(const int64_t* chunk_starts, double* sums, float* y, int64_t b, int64_t c) noexcept nogil:
    cdef int64_t segment, chunk, first, i
    for segment in range(b):
        first = chunk_starts[segment]
        if first == chunk_starts[segment + 1]:
            continue
        for chunk in range(first + 1, chunk_starts[segment + 1]):
            for i in range(c):
                sums[first * c + i] += sums[chunk * c + i]
        for i in range(c):
            y[segment * c + i] = <float>sums[first * c + i]


cdef inline int64_t segment_of(const int64_t* chunk_starts, int64_t chunk, int64_t b) noexcept nogil:
    # Returns the last segment that begins at or before the chunk, by bisection; so empty segments are skipped.
    cdef int64_t low = 0, high = b, middle
    while high - low > 1:
        middle = (low + high) // 2
        if chunk_starts[middle] <= chunk:
            low = middle
        else:
            high = middle
    return low


cdef void sum_chunk(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                    double* total, int64_t chunk, int64_t b, int64_t c) noexcept nogil:
    cdef int64_t segment = segment_of(chunk_starts, chunk, b)
    cdef int64_t low = starts[segment] + (chunk - chunk_starts[segment]) * CHUNK_ROWS
    memset(total, 0, <size_t>c * sizeof(double))
    table.add_rows(total, x + low * c, min(CHUNK_ROWS, starts[segment + 1] - low), c)


cdef void segment_max(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                      float* best, int32_t* best_rows, float* y, int32_t* winner, int64_t b, int64_t c,
                      int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t segment, chunk
    n_threads = team(n_threads, chunk_starts[b], <double>(starts[b] - starts[0]) * <double>c)
    share_jobs(&turns, chunk_starts[b], n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            max_chunk(table, x, starts, chunk_starts, best + chunk * c, best_rows + chunk * c, chunk, b, c)
            chunk = take_job(&turns, thread)
    for segment in range(b):
        chunk = chunk_starts[segment]
        if chunk == chunk_starts[segment + 1]:
            first_row(y + segment * c, winner + segment * c, NULL, -1, c)
            continue
        memcpy(y + segment * c, best + chunk * c, <size_t>c * sizeof(float))
        memcpy(winner + segment * c, best_rows + chunk * c, <size_t>c * sizeof(int32_t))
        for chunk in range(chunk_starts[segment] + 1, chunk_starts[segment + 1]):
            table.merge(y + segment * c, winner + segment * c, best + chunk * c, best_rows + chunk * c, c)


cdef void max_chunk(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                    float* best, int32_t* best_rows, int64_t chunk, int64_t b, int64_t c) noexcept nogil:
    cdef int64_t segment = segment_of(chunk_starts, chunk, b), row
    cdef int64_t low = starts[segment] + (chunk - chunk_starts[segment]) * CHUNK_ROWS
    first_row(best, best_rows, x + low * c, <int32_t>low, c)
    for row in range(low + 1, min(low + CHUNK_ROWS, starts[segment + 1])):
        table.max(best, best_rows, x + row * c, <int32_t>row, c)
