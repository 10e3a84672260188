"""The pairs of a rulebook: whether they ascend, their transpose, their number by output row."""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t


cdef bint ascend(const int32_t* rows, const int64_t* offset_ptr, int64_t n_offsets, int n_threads) noexcept nogil:
    cdef int64_t k, falls = 0
    for k in prange(n_offsets, schedule="dynamic", num_threads=n_threads):
        falls += falls_of(rows, offset_ptr[k], offset_ptr[k + 1])
    return falls == 0


cdef int64_t falls_of(const int32_t* rows, int64_t start, int64_t stop) noexcept nogil:
    cdef int64_t i
    cdef int32_t falls = 0
    for i in range(start + 1, stop):
        falls |= rows[i] <= rows[i - 1]
    return falls


cdef void transpose(const int32_t* in_rows, const int32_t* out_rows, const int64_t* offset_ptr, int64_t n_offsets,
                    int64_t n_in, int32_t* places, int32_t* new_in, int32_t* new_out, int n_threads) noexcept nogil:
    # places: (n_threads, n_in), all -1 on entry and on return.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        transpose_part(in_rows, out_rows, offset_ptr, n_offsets, n_in, places + part * n_in, new_in, new_out, part,
                       n_threads)


cdef void transpose_part(const int32_t* in_rows, const int32_t* out_rows, const int64_t* offset_ptr, int64_t n_offsets,
                         int64_t n_in, int32_t* places, int32_t* new_in, int32_t* new_out, int part,
                         int n_threads) noexcept nogil:
    # An offset has an input row at most once, so one place for each row sorts them. If a row comes twice although it
    # must not, zeros fill the rest, so that the result does not ascend, which the caller checks.
    cdef int64_t k, i, row, last, count
    for k in range(n_offsets * part // n_threads, n_offsets * (part + 1) // n_threads):
        count, last = offset_ptr[k], offset_ptr[k + 1]
        for i in range(count, last):
            places[in_rows[i]] = out_rows[i]
        row = 0
        while count < last and row < n_in:
            if places[row] >= 0:
                new_in[count], new_out[count] = places[row], <int32_t>row
                places[row] = -1
                count += 1
            row += 1
        for i in range(count, last):
            new_in[i] = new_out[i] = 0


cdef void fan_in(const int32_t* out_rows, const int64_t* tile_ptr, int64_t n_offsets, int64_t n_tiles, int32_t* counts,
                 int n_threads) noexcept nogil:
    # On entry, counts are 0. A tile owns its rows.
    cdef int64_t tile
    for tile in prange(n_tiles, schedule="static", num_threads=n_threads):
        count_tile(out_rows, tile_ptr + tile, n_offsets, n_tiles + 1, counts)


cdef void count_tile(const int32_t* out_rows, const int64_t* tile_ptr, int64_t n_offsets, int64_t stride,
                     int32_t* counts) noexcept nogil:
    cdef int64_t k, i
    for k in range(n_offsets):
        for i in range(tile_ptr[k * stride], tile_ptr[k * stride + 1]):
            counts[out_rows[i]] += 1
