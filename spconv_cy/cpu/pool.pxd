"""Pooling by rulebook, scattering and reductions over float32 rows."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from spconv_cy.cpu.isa cimport KernelTable
from spconv_cy.cpu.rules cimport Rules


cdef enum:
    CHUNK_ROWS = 1024           # rows of one partial sum

cdef void max_pool(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, const Rules* rules, int64_t c, float slope, int n_threads) noexcept nogil
cdef void max_tile(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, int64_t step, const Rules* rules, int64_t c, float slope,
                   int64_t tile) noexcept nogil
cdef void max_pool_dx(const KernelTable* table, const float* dy, const int32_t* winner, float* dx, float* dground,
                      int32_t* bounds, float* sums, const Rules* turned, int64_t m, int64_t n, int64_t c,
                      int n_threads) noexcept nogil
cdef void sum_pool(const KernelTable* table, const float* x, float* y, const Rules* rules, int64_t c,
                   int n_threads) noexcept nogil
cdef void segment_sum(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                      double* sums, float* y, int64_t b, int64_t c, int n_threads) noexcept nogil
cdef void sum_chunk(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                    double* total, int64_t chunk, int64_t b, int64_t c) noexcept nogil
cdef void join_chunks(const int64_t* chunk_starts, double* sums, float* y, int64_t b, int64_t c) noexcept nogil
cdef void segment_max(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                      float* best, int32_t* best_rows, float* y, int32_t* winner, int64_t b, int64_t c,
                      int n_threads) noexcept nogil
