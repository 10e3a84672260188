"""The table of micro-kernels that this processor runs; isa.pyx is the only module that links them."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool

cdef extern from "kernels.hpp" namespace "spconv_cy" nogil:
    const int FETCHED

    cdef struct Igemm:
        const float* x
        const float* w
        float* sums
        const float* begin
        const int32_t* next
        int64_t x_stride
        int64_t first_row
        int32_t c
        int32_t vectors

    cdef struct Outer:
        const float* x
        const float* dy
        float* dw
        float* room
        int64_t x_stride
        int64_t dy_stride
        int64_t dw_stride
        int32_t c
        int32_t cols
        int32_t near
        int32_t panels

    cdef struct Affine:
        const float* centre
        const float* rest
        const float* scale
        const float* shift
        int64_t c
        float slope

    cdef struct Finish:
        const float* centre
        const float* rest
        const float* scale
        const float* shift
        const float* residual
        int64_t residual_stride
        float slope

    cdef struct KernelTable:
        const char* name
        int32_t lanes
        int32_t vectors
        int32_t panels
        int32_t near_floats
        cbool weights_stay
        void (*igemm)(const Igemm*, const int32_t*, const int32_t*, int64_t) noexcept nogil
        void (*outer)(const Outer*, const int32_t*, const int32_t*, int64_t) noexcept nogil
        void (*add)(float*, const float*, int64_t) noexcept nogil
        void (*sum)(float*, const float*, const float*, int64_t) noexcept nogil
        void (*copy)(float*, int64_t, const float*, int64_t, int64_t, int64_t) noexcept nogil
        void (*add_rows)(double*, const float*, int64_t, int64_t) noexcept nogil
        void (*add_pairs)(float*, const float*, const int32_t*, const int32_t*, int64_t, int64_t) noexcept nogil
        void (*max)(float*, int32_t*, const float*, int32_t, int64_t) noexcept nogil
        void (*merge)(float*, int32_t*, const float*, const int32_t*, int64_t) noexcept nogil
        void (*max_rows)(float*, int32_t*, const float*, const int32_t*, int64_t, int64_t) noexcept nogil
        void (*won_rows)(float*, const float*, const int32_t*, const int32_t*, int64_t, int32_t, int64_t) noexcept nogil
        void (*won_pairs)(float*, const float*, const int32_t*, const int32_t*, const int32_t*, int64_t,
                          int64_t) noexcept nogil
        void (*lost_rows)(float*, const float*, const int32_t*, int64_t, int64_t) noexcept nogil
        void (*finish)(float*, int64_t, const float*, int64_t, int64_t, int64_t, const Finish*) noexcept nogil
        void (*measure)(double*, double*, const float*, int64_t, int64_t, int64_t) noexcept nogil
        void (*leaky)(float*, const float*, float, int64_t) noexcept nogil
        void (*leaky_dx)(float*, const float*, const float*, float, int64_t) noexcept nogil
        void (*affine)(float*, const float*, const Affine*, int64_t) noexcept nogil
        void (*affine_sums)(double*, double*, const float*, const float*, const Affine*, int64_t) noexcept nogil
        void (*affine_dx)(float*, const float*, const float*, const Affine*, const float*, const float*,
                          int64_t) noexcept nogil
        void (*entropy)(double*, float*, const float*, const int64_t*, const float*, int64_t, int64_t) noexcept nogil
        void (*entropy_dx)(float*, const float*, const float*, const int64_t*, const float*, float, int64_t,
                           int64_t) noexcept nogil

cdef extern from "dots.hpp" namespace "spconv_cy" nogil:
    cdef enum Kind:
        NONE, FLOAT32, BFLOAT16, INT8

    cdef enum Layout:
        WORDS, UNPACKED, NARROW, TILES

    cdef struct Dots:
        const uint32_t* x
        const uint32_t* w
        void* sums
        const void* begin
        const uint32_t* extra_w
        const int32_t* extra_words
        void* room
        int64_t x_stride
        int64_t first_row
        int32_t words
        int32_t vectors
        int32_t extras

    cdef struct Close:
        const float* scale
        const float* shift
        const float* residual_scale
        const void* residual
        int64_t residual_stride
        float slope
        float inverse
        float low
        float high
        int32_t zero
        int32_t source "from"
        int32_t added
        int32_t to

    cdef struct DotTable:
        const char* name
        const char* emulates
        int32_t lanes
        int32_t vectors
        int32_t layout
        int32_t signed_x
        int32_t room
        int32_t fixed_room
        void (*dots)(const Dots*, const int32_t*, const int32_t*, int64_t) noexcept nogil
        void (*close)(void*, int64_t, const void*, int64_t, int64_t, int64_t, const Close*) noexcept nogil

cdef const DotTable* dot_table_at(int kind, int index) noexcept nogil
cdef const DotTable* dot_table(int kind) noexcept nogil
cdef cbool select_dots(const char* name) noexcept nogil

cdef const KernelTable* kernels() noexcept nogil
cdef const KernelTable* available(int index) noexcept nogil
cdef cbool select_isa(const char* name) noexcept nogil
cdef const char* asked_isa() noexcept nogil

cdef uint32_t crc32(uint32_t before, const void* bytes, size_t n) noexcept nogil
cdef uint32_t crc32_joined(uint32_t first, uint32_t second, uint64_t n) noexcept nogil
cdef const char* crc_kernel() noexcept nogil
