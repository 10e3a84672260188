"""Convolution by rulebook over float32 rows."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.isa cimport KernelTable


# Pointers into the arrays of a rulebook; the Pairs object that holds this struct owns them.
cdef struct Rules:
    const int32_t* in_rows
    const int32_t* out_rows
    const int64_t* tile_ptr     # (n_offsets, n_tiles + 1)
    int64_t n_offsets
    int64_t n_tiles
    int64_t n_out
    int64_t n_pairs


# Weights (offsets, groups, c, o) with any strides, counted in floats.
cdef struct Weights:
    const float* start
    int64_t stride[4]


# c and o count the channels of one group.
cdef struct Shape:
    int64_t groups
    int64_t c
    int64_t o


cdef struct Chunks:
    int64_t tiles               # tiles that are swept together
    int64_t chunks              # ranges of rows, each with a sum of its own
    int64_t parts               # ranges of (offset, group, slab of inputs) that share a chunk's sum


cdef int64_t scratch_floats(const KernelTable* table, const Rules* rules, Shape shape, int n_threads) noexcept nogil
cdef void conv(const KernelTable* table, const float* x, const Weights* w, float* scratch, const float* bias, float* y,
               const Rules* rules, Shape shape, float slope, int n_threads) noexcept nogil
cdef Chunks chunks_of(const Rules* rules, Shape shape) noexcept nogil
cdef void conv_dw(const KernelTable* table, const float* x, const float* dy, float* dw, float* sums, const Rules* rules,
                  Shape shape, Chunks chunks, int n_threads) noexcept nogil
