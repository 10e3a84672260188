"""The rules of one window over few sites, without Python."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.order cimport MAX_WIDTH
from spconv_cy.cpu.rules cimport Walk

cdef enum:
    BUFFERS = 12

cdef struct Shape:                      # a window as numbers; arrays are borrowed. Axes count from 1, as in a Box
    const int32_t* offsets              # (n_offsets, width - 1), lexicographic
    const Walk* walks
    int width, n_offsets, n_walks, n_merged
    bint keeps                          # the outputs are at the input's sites
    int n_stages                        # 0, or of a transposed window, whose offsets are sums of a row of each stage
    const int32_t* stages               # (any, width - 1): one stage after the other
    const int64_t* counts               # (n_stages): of rows
    int64_t low[MAX_WIDTH]              # lowest and highest offset
    int64_t high[MAX_WIDTH]
    int64_t size[MAX_WIDTH]
    int64_t stride[MAX_WIDTH]
    int64_t dilation[MAX_WIDTH]
    int64_t origin[MAX_WIDTH]

cdef struct Scratch:                    # memory that is used again; all zero at first
    void* start[BUFFERS]
    size_t size[BUFFERS]

cdef struct Found:                      # what `link` finds, in one block of memory, which the caller frees
    void* block
    size_t size                         # in bytes
    int64_t n, m, n_pairs, n_tiles      # input and output rows, pairs, tiles of output rows
    int64_t* offset_ptr                 # (n_offsets + 1)
    int64_t* tile_ptr                   # (n_offsets, n_tiles + 1)
    int32_t* in_rows                    # (n_pairs)
    int32_t* out_rows
    int32_t* sites                      # (m, width), or NULL: the input's

cdef int64_t cut(const int32_t* offsets, int64_t n_offsets, int d, Walk* walks) noexcept nogil
cdef bint link(const Shape* shape, const int32_t* sites, int64_t n, const int64_t* out_size, int64_t most,
               Scratch* scratch, Found* found) noexcept nogil
cdef bint lay_block(Found* found, int64_t n_offsets, int64_t n_pairs, int64_t coordinates) noexcept nogil
cdef void* reserve(Scratch* scratch, int number, size_t size) noexcept nogil
cdef void release(Scratch* scratch, size_t most) noexcept nogil
