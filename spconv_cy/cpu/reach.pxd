"""The output sites of a window: from sorted packed keys of sites to those of outputs."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.order cimport Box

cdef enum:
    PIECE = 4096                        # sites of a chunk of `widen`, up to the end of its last line
    SHARE = 32768                       # keys of a piece of a union, about

cdef struct Axis:                       # output digit j holds output coordinate out_low + j, and digits are < side
    int64_t side, step                  # of the key's digit
    int64_t low, out_low, out_high      # coordinate of digit zero; first and last output coordinate
    int64_t size, stride, dilation, origin

cdef struct Streams:                    # n ascending streams, stream k of keys + starts[k], each key plus shifts[k]
    const int64_t* keys
    const int64_t* starts
    const int64_t* counts
    const int64_t* shifts
    int64_t n

cdef int64_t growth(const Axis* axis) noexcept nogil
cdef int64_t cut(const int64_t* keys, int64_t n, int64_t line, int64_t* pieces) noexcept nogil
cdef void widen(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Axis* axis, int64_t* mapped,
                int64_t* spare, int64_t* found, int64_t* counts, int n_threads) noexcept nogil
cdef int64_t widen_piece(const int64_t* keys, int64_t n, const Axis* axis, int64_t* mapped, int64_t* spare,
                         int64_t* found) noexcept nogil
cdef int64_t unite(const int64_t* a, int64_t n, const int64_t* b, int64_t m, int64_t* united) noexcept nogil
cdef void join(const int64_t* found, const int64_t* starts, int64_t n_pieces, const int64_t* counts, int64_t* keys,
               int n_threads) noexcept nogil
cdef void classify(const int32_t* sites, int64_t n, const Box* box, const int32_t* stride, const int64_t* wanted,
                   int64_t n_wanted, int64_t* keys, int32_t* classes, int64_t* counts) noexcept nogil
cdef void deal(const int64_t* keys, const int32_t* classes, int64_t n, int64_t* places, int64_t* dealt) noexcept nogil
cdef void cut_streams(const Streams* streams, int64_t n_pieces, int64_t* places, int64_t* starts,
                      int n_threads) noexcept nogil
cdef void unite_streams(const Streams* streams, int64_t n_pieces, const int64_t* places, const int64_t* starts,
                        int64_t most, int64_t* scratch, int64_t* found, int64_t* counts, int n_threads) noexcept nogil
cdef const int64_t* unite_piece(const Streams* streams, const int64_t* first, const int64_t* last, int64_t* one,
                                int64_t* other, int64_t* lengths, int64_t* count) noexcept nogil
