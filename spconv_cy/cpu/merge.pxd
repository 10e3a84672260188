"""Merge two canonical lists of sites in one pass."""

from libc.stdint cimport int32_t, int64_t

cdef int64_t merge(const int32_t* a, int64_t n, const int32_t* b, int64_t m, int width, int32_t* left,
                   int32_t* right) noexcept nogil


cdef inline int compare(const int32_t* a, const int32_t* b, int width) noexcept nogil:
    # Returns -1, 0 or 1 if site a comes before b, equals b, or comes after b.
    cdef int axis
    for axis in range(width):
        if a[axis] != b[axis]:
            return -1 if a[axis] < b[axis] else 1
    return 0
