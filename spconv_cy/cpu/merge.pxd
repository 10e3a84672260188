"""Merge two canonical lists of sites in one pass."""

from libc.stdint cimport int32_t, int64_t

cdef int64_t merge(const int32_t* a, int64_t n, const int32_t* b, int64_t m, int width, int32_t* left,
                   int32_t* right) noexcept nogil
