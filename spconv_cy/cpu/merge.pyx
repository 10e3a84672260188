"""Merge two canonical lists of sites in one pass. Sites are compared without packed keys, so any extents fit."""

from libc.stdint cimport int32_t, int64_t


cdef int64_t merge(const int32_t* a, int64_t n, const int32_t* b, int64_t m, int width, int32_t* left,
                   int32_t* right) noexcept nogil:
    # Sets left[i] and right[i] to the rows in a and in b of site i of the union, -1 if it is not there. Returns the
    # number of sites of the union, at most n + m.
    cdef int64_t i = 0, j = 0, count = 0
    cdef int order
    while i < n and j < m:
        order = compare(a + i * width, b + j * width, width)
        left[count] = <int32_t>i if order <= 0 else -1
        right[count] = <int32_t>j if order >= 0 else -1
        i += order <= 0
        j += order >= 0
        count += 1
    while i < n:
        left[count], right[count] = <int32_t>i, -1
        i += 1
        count += 1
    while j < m:
        left[count], right[count] = -1, <int32_t>j
        j += 1
        count += 1
    return count
