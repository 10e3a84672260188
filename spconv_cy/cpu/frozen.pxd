"""Passes over rows of a frozen network, into given memory: maps of columns, sums and maxima without winners."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from spconv_cy.cpu.isa cimport Finish, KernelTable
from spconv_cy.cpu.rules cimport Rules


cdef void map_rows(const KernelTable* table, const float* x, int64_t x_stride, float* y, int64_t y_stride, int64_t n,
                   int64_t c, const Finish* how, int n_threads) noexcept nogil
cdef void max_pool(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, const Rules* rules, int64_t c, float slope, int n_threads) noexcept nogil
