"""Rules of regions whose bounds differ from sample to sample: reached outputs, and the pairs of every offset."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.order cimport MAX_WIDTH

cdef struct Bounds:                     # of one axis
    int64_t side, step, low             # of the key's digit: a coordinate less `low`, of inputs and outputs alike
    int64_t samples, size, span         # of the table
    const int32_t* region               # (span, samples, size): which region has site x at this tap; -1: none
    # The axes are widened one after the other: n keys before this one, where[tap * n + i] the row of key i after it,
    # -1: none.
    int64_t n
    int32_t* where

cdef struct Regions:                    # axes 1 to width - 1 of a site; column 0 is the batch index
    int width
    int64_t batch_step, batch_low
    Bounds axes[MAX_WIDTH]

cdef int64_t widen_piece(const int64_t* keys, int64_t n, const Regions* regions, int axis, int64_t* mapped,
                         int64_t* spare, int64_t* found) noexcept nogil
cdef void locate_piece(const int64_t* keys, int64_t low, int64_t high, const Regions* regions, int axis,
                       const int64_t* widened, int64_t start, int64_t stop, int64_t* mapped,
                       int32_t* source) noexcept nogil
cdef int64_t sweep_piece(const int64_t* keys, int64_t low, int64_t high, const Regions* regions,
                         int64_t* found) noexcept nogil
cdef void widen(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Regions* regions, int axis,
                int64_t* mapped, int64_t* spare, int64_t* found, int64_t* counts, int n_threads) noexcept nogil
cdef void locate(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Regions* regions, int axis,
                 const int64_t* widened, const int64_t* starts, int64_t* mapped, int32_t* source,
                 int n_threads) noexcept nogil
cdef void sweep(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Regions* regions, int64_t* found,
                int64_t* counts, int n_threads) noexcept nogil
cdef void settle(const int64_t* pieces, int64_t n_pieces, const Regions* regions, const int64_t* starts,
                 int n_threads) noexcept nogil
cdef void count_pairs(const Regions* regions, int64_t chunk_rows, int64_t n_chunks, int64_t n_offsets, int32_t* scratch,
                      int64_t* counts, int n_threads) noexcept nogil
cdef void fill_pairs(const Regions* regions, int64_t chunk_rows, int64_t n_chunks, int64_t n_offsets, int32_t* scratch,
                     const int64_t* places, int32_t* in_rows, int32_t* out_rows, int n_threads) noexcept nogil
