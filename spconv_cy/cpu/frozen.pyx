"""Passes over rows of a frozen network, into given memory: maps of columns, sums and maxima without winners."""

from cython.parallel cimport prange

from spconv_cy.cpu.pool cimport max_tile
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
            max_tile(table, x, ground, is_open, y, winner + thread * c, 0, rules, c, slope, tile)
            tile = take_job(&turns, thread)
