"""The pairs of a rulebook: whether they ascend, their transpose, their number by output row."""

from libc.stdint cimport int32_t, int64_t

cdef bint ascend(const int32_t* rows, const int64_t* offset_ptr, int64_t n_offsets, int n_threads) noexcept nogil
cdef void transpose(const int32_t* in_rows, const int32_t* out_rows, const int64_t* offset_ptr, int64_t n_offsets,
                    int64_t n_in, int32_t* places, int32_t* new_in, int32_t* new_out, int n_threads) noexcept nogil
cdef void fan_in(const int32_t* out_rows, const int64_t* tile_ptr, int64_t n_offsets, int64_t n_tiles, int32_t* counts,
                 int n_threads) noexcept nogil
