"""Passes over rows of a frozen network, into given memory: maps of columns, sums and maxima without winners."""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from spconv_cy.cpu.pool cimport FEW, Lists, list_rows, max_row
from spconv_cy.cpu.rules cimport TILE_ROWS
from spconv_cy.cpu.threads cimport Turns, share_jobs, take_job, team


cdef void map_rows(const KernelTable* table, const float* x, int64_t x_stride, float* y, int64_t y_stride, int64_t n,
                   int64_t c, const Finish* how, int n_threads) noexcept nogil:
    # y = leaky(map(x) + residual), as at the end of a convolution; n and c >= 1. y may be x.
    cdef int64_t n_chunks = (n + TILE_ROWS - 1) // TILE_ROWS, chunk
    n_threads = team(n_threads, n_chunks, <double>n * <double>c)
    for chunk in prange(n_chunks, schedule="static", num_threads=n_threads):
        map_chunk(table, x, x_stride, y, y_stride, chunk * TILE_ROWS, min((chunk + 1) * TILE_ROWS, n), c, how)


cdef void map_chunk(const KernelTable* table, const float* x, int64_t x_stride, float* y, int64_t y_stride,
                    int64_t low, int64_t high, int64_t c, const Finish* how) noexcept nogil:
    cdef Finish here = how[0]
    if here.residual != NULL:
        here.residual += low * here.residual_stride
    table.finish(y + low * y_stride, y_stride, x + low * x_stride, x_stride, high - low, c, &here)


cdef void max_pool(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, const Rules* rules, int64_t c, float slope, int n_threads) noexcept nogil:
    # As pool.max_pool, through a leaky ReLU; winner: c places for each thread, which nobody reads.
    cdef Turns turns
    cdef int64_t tile
    cdef int thread
    n_threads = team(n_threads, rules.n_tiles, <double>rules.n_pairs * <double>c)
    share_jobs(&turns, rules.n_tiles, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        tile = take_job(&turns, thread)
        while tile >= 0:
            max_tile(table, x, ground, is_open, y, winner + thread * c, rules, c, slope, tile)
            tile = take_job(&turns, thread)


cdef void max_tile(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, const Rules* rules, int64_t c, float slope, int64_t tile) noexcept nogil:
    # The first pair of a row is copied without comparing: no initial value is below all others, NaN and -inf included.
    cdef uint8_t begun[TILE_ROWS]
    cdef int64_t low = tile * TILE_ROWS, high = min(low + TILE_ROWS, rules.n_out), offset, pair, row
    cdef const int64_t* start
    cdef Lists lists
    if list_rows(rules, tile, &lists):
        for row in range(low, high):
            max_row(table, x, ground, ground != NULL and is_open[row] != 0, y + row * c, winner, c,
                    lists.rows + (row - low) * FEW, lists.n[row - low])
        if slope != 1:
            table.leaky(y + low * c, y + low * c, slope, (high - low) * c)
        return
    memset(begun, 0, TILE_ROWS)
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr + offset * (rules.n_tiles + 1) + tile
        for pair in range(start[0], start[1]):
            row = rules.out_rows[pair]
            if begun[row - low]:
                table.max(y + row * c, winner, x + rules.in_rows[pair] * c, rules.in_rows[pair], c)
            else:
                begun[row - low] = 1
                memcpy(y + row * c, x + rules.in_rows[pair] * c, <size_t>c * sizeof(float))
    for row in range(low, high):
        if begun[row - low]:
            if ground != NULL and is_open[row]:
                table.max(y + row * c, winner, ground, -1, c)
        elif ground == NULL:
            memset(y + row * c, 0, <size_t>c * sizeof(float))
        else:
            memcpy(y + row * c, ground, <size_t>c * sizeof(float))
    if slope != 1:
        table.leaky(y + low * c, y + low * c, slope, (high - low) * c)
