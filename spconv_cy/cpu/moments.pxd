"""Mean and variance of columns, from parts of the rows."""

from libc.stdint cimport int64_t

from spconv_cy.cpu.isa cimport KernelTable


cdef enum:
    PART_ROWS = 1024            # of `moments`

cdef int64_t room_of(int64_t n, int64_t part_rows, int64_t c) noexcept nogil
cdef void moments(const KernelTable* table, const float* x, float* found, double* room, int64_t n, int64_t c,
                  int n_threads) noexcept nogil
cdef void joined(double* room, int64_t part_rows, float* found, int64_t n, int64_t c) noexcept nogil
