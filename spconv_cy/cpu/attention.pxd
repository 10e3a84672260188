"""Attention among the rows of windows, and its gradient, over float32 rows."""

from libc.stdint cimport int32_t, int64_t

cdef struct Attention:                  # `windows` windows of m rows each; heads of d channels
    const int64_t* codes                # (n), in place of `places`: codes[i] - codes[j] + centre; or NULL
    int64_t centre
    const float* rows                   # (n, 3 * heads * d): queries, keys, values
    const float* positions              # (any, heads), or NULL
    const int64_t* window               # (windows, m)
    const int64_t* places               # (windows, m, m): rows of positions, or NULL
    int64_t windows, m, heads, d
    float scale

cdef struct Group:                      # windows of m rows each, from `first` of a list of rows on
    int64_t first, windows, m

cdef int64_t partition(const int32_t* sites, int64_t n, int width, const int64_t* size, const int64_t* shift,
                       int64_t* keys, int64_t* rows, int64_t* codes, Group* groups) noexcept nogil
cdef void sum_places(const Attention* given, const float* dscores, float* room, float* dpositions, int64_t v,
                     int n_threads) noexcept nogil
cdef void attend(const Attention* given, float* y, float* shares, float* scratch, int n_threads) noexcept nogil
cdef void attend_dx(const Attention* given, const float* dy, const float* shares, float* drows, float* dscores,
                    float* scratch, int n_threads) noexcept nogil
