"""Attention among the rows of windows, and its gradient, over float32 rows."""

from libc.stdint cimport int64_t

cdef struct Attention:                  # `windows` windows of m rows each; heads of d channels
    const float* rows                   # (n, 3 * heads * d): queries, keys, values
    const float* positions              # (any, heads), or NULL
    const int64_t* window               # (windows, m)
    const int64_t* places               # (windows, m, m): rows of positions, or NULL
    int64_t windows, m, heads, d
    float scale

cdef void attend(const Attention* given, float* y, float* shares, float* scratch, int n_threads) noexcept nogil
cdef void attend_dx(const Attention* given, const float* dy, const float* shares, float* drows, float* dscores,
                    float* scratch, int n_threads) noexcept nogil
