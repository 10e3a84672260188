"""Activations and column-wise maps over float32 rows, in fixed chunks of rows."""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from spconv_cy.cpu.isa cimport Affine, KernelTable


cdef enum:
    CHUNK_ROWS = 1024           # rows of one partial sum
    PIECE = 32768               # numbers of a job without sums

# Some columns of a matrix, in memory of their own.
cdef struct Part:
    float* rows
    int64_t c

cdef void leaky(const KernelTable* table, const float* x, float* y, float slope, int64_t n,
                int n_threads) noexcept nogil
cdef void leaky_dx(const KernelTable* table, const float* y, const float* dy, float* dx, float slope, int64_t n,
                   int n_threads) noexcept nogil
cdef void affine(const KernelTable* table, const float* x, const float* residual, float* y, const Affine* map,
                 int64_t n, int n_threads) noexcept nogil
cdef void affine_sums(const KernelTable* table, const float* x, const float* dy, float* found, double* sums,
                      const Affine* map, int64_t n, int n_threads) noexcept nogil
cdef void affine_dx(const KernelTable* table, const float* x, const float* dy, float* dx, const Affine* map,
                    const float* ab, int64_t n, int n_threads) noexcept nogil
cdef void sum(const KernelTable* table, const float* a, const float* b, float* y, int64_t n,
              int n_threads) noexcept nogil
cdef void join(const KernelTable* table, const vector[Part]& parts, float* y, int64_t n, int64_t c,
               int n_threads) noexcept nogil
cdef void part(const KernelTable* table, const float* x, const vector[Part]& parts, int64_t n, int64_t c,
               int n_threads) noexcept nogil
cdef int64_t misfit(const int64_t* labels, int64_t n, int64_t c) noexcept nogil
cdef double entropy(const KernelTable* table, const float* x, const int64_t* labels, const float* counts, float* found,
                    double* sums, int64_t n, int64_t c, int n_threads) noexcept nogil
cdef void entropy_dx(const KernelTable* table, const float* x, const float* found, const int64_t* labels,
                     const float* counts, float factor, float* dx, int64_t n, int64_t c, int n_threads) noexcept nogil
