"""Packed keys of sites and their canonical order."""

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from *:
    """
    #define SPCONV_CY_FAR ((int64_t)1 << 62)
    """
    const int64_t FAR "SPCONV_CY_FAR"   # past every key; the sum of two does not pass int64

cdef enum:
    MAX_WIDTH = 9                       # columns of a site: the batch index and at most 8 coordinates
    DIGIT_BITS = 11
    BUCKETS = 2048

cdef struct Box:                        # the key of a site is the sum of (site[a] - low[a]) * step[a]
    int width
    uint64_t corner                     # the sum of low[a] * step[a]; unsigned, since it may wrap
    int64_t low[MAX_WIDTH]
    int64_t side[MAX_WIDTH]
    int64_t step[MAX_WIDTH]

cdef bint lay_out(Box* box) noexcept nogil
cdef void bounds(const int32_t* sites, int64_t n, int width, int32_t* found, int n_threads) noexcept nogil
cdef void bounds_part(const int32_t* sites, int64_t start, int64_t stop, int width, int32_t* found) noexcept nogil
cdef void pack_part(const int32_t* sites, int64_t start, int64_t stop, const Box* box, int64_t* keys) noexcept nogil
cdef void unpack_part(const int64_t* keys, int64_t start, int64_t stop, const Box* box, int32_t* sites) noexcept nogil
cdef void pack(const int32_t* sites, int64_t n, const Box* box, int64_t* keys, int n_threads) noexcept nogil
cdef void unpack(const int64_t* keys, int64_t n, const Box* box, int32_t* sites, int n_threads) noexcept nogil
cdef void repack(int64_t* keys, int64_t n, const Box* box, const Box* other, int32_t* sites,
                 int n_threads) noexcept nogil
cdef bint ascends(const int64_t* keys, int64_t n) noexcept nogil
cdef bint sort(int64_t* keys, int32_t* rows, int64_t* other_keys, int32_t* other_rows, int64_t n,
               int64_t* counts, int n_threads) noexcept nogil
cdef int64_t count_unique(const int64_t* keys, int64_t n, int64_t* counts, int n_threads) noexcept nogil
cdef void gather_unique(const int64_t* keys, const int32_t* order, int64_t n, const int32_t* sites, int width,
                        const int64_t* counts, int32_t* unique, int32_t* rows, int n_threads) noexcept nogil

cdef inline int64_t sums_before(int64_t* counts, int n) noexcept nogil:
    # Sets each of n counts to the sum of those before it, and returns the sum of all.
    cdef int i
    cdef int64_t total = 0, count
    for i in range(n):
        count = counts[i]
        counts[i] = total
        total += count
    return total


cdef inline int64_t border(int64_t n, int part, int parts) noexcept nogil:
    return n * part // parts


cdef inline int64_t lower_bound(const int64_t* keys, int64_t n, int64_t key) noexcept nogil:
    cdef int64_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low
