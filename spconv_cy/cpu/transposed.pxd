"""Copies of numbers in another order."""

from libc.stdint cimport int64_t

cdef bint transpose(const float* x, int64_t row, int64_t m, int64_t n, float* y) noexcept nogil
