"""Sums and moments of the parts that several processes have."""

from libc.stdint cimport int64_t

ctypedef fused real:
    float
    double

cdef void add(const unsigned char* parts, int64_t apart, int64_t n, int64_t m, real* total,
              int64_t divisor) noexcept nogil
cdef double join(const double* parts, int64_t n, int64_t c, real* found) noexcept nogil
