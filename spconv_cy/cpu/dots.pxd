"""Convolution by rulebook over rows of bfloat16 or 8 bits."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t

from spconv_cy.cpu.isa cimport Close, DotTable
from spconv_cy.cpu.rules cimport Rules


# Weights (offsets, c, o) as a table's kernels read them: by blocks of columns, offset, word and column.
cdef struct Packed:
    const DotTable* table
    int kind
    int64_t offsets
    int64_t c
    int64_t o
    int64_t words               # of a row
    int64_t padded              # words of an offset's weights
    int64_t vectors             # of columns
    int64_t blocks
    uint32_t* w
    # Rests of weights, by block and offset; NULL where the layout has none.
    int64_t* extra_ptr          # (blocks * offsets + 1), in entries
    int64_t* extra_at           # (blocks * offsets), in words of extra_w
    int32_t* extra_words
    uint32_t* extra_w


cdef Packed shape_of(const DotTable* table, int kind, int64_t offsets, int64_t c, int64_t o) noexcept nogil
cdef int64_t packed_words(const Packed* p) noexcept nogil
cdef void pack_shorts(const Packed* p, uint16_t* w, bint unpack) noexcept nogil
cdef void pack_bytes(const Packed* p, int8_t* w, bint unpack) noexcept nogil
cdef int64_t split_bytes(const Packed* p, int8_t* w, int8_t* rest) noexcept nogil
cdef void count_extras(const Packed* p, const int8_t* rest, int64_t* entries, int64_t* size) noexcept nogil
cdef void pack_extras(const Packed* p, const int8_t* rest) noexcept nogil
cdef int64_t scratch_bytes(const Packed* p, const Rules* rules, int n_threads) noexcept nogil
cdef void conv(const Packed* p, const uint32_t* x, int64_t x_stride, const int32_t* begin, void* y, int64_t y_stride,
               char* scratch, const Rules* rules, const Close* how, int n_threads) noexcept nogil
cdef void convert(const DotTable* table, void* y, int64_t y_stride, const float* zeros, int64_t rows, int64_t cols,
                  const Close* how, int n_threads) noexcept nogil
cdef void max_pool(int kind, const void* x, void* y, int64_t cols, const void* ground, const uint8_t* is_open,
                   const Rules* rules, int n_threads) noexcept nogil
