"""Rows taken, added up and compared by their numbers."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.isa cimport KernelTable

cdef enum:
    ROWS = 512                          # output rows of a job

cdef bint lie_in(const int32_t* rows, int64_t n, int32_t low, int64_t high) noexcept nogil
cdef void take(const float* x, const int32_t* rows, const float* ground, float* y, int64_t m, int64_t c,
               int n_threads) noexcept nogil
cdef void weigh(const float* x, const int32_t* rows, const float* weights, float* y, int64_t k, int64_t m, int64_t c,
                int n_threads) noexcept nogil
cdef void by_target(const int32_t* rows, const float* weights, int64_t k, int64_t n, int64_t m, int32_t* starts,
                    int32_t* order, float* factors) noexcept nogil
cdef void sums(const float* x, const int32_t* starts, const int32_t* order, const float* factors, float* y, int64_t m,
               int64_t c, bint mean, int n_threads) noexcept nogil
cdef void maxima(const KernelTable* table, const float* x, const int32_t* starts, const int32_t* order, float* y,
                 int32_t* winner, int64_t m, int64_t c, int n_threads) noexcept nogil
