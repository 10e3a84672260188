"""Rules from sorted packed keys: the pairs of every offset."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.maps cimport Map

cdef enum:
    TILE_ROWS = 128                     # output rows of a tile
    PAIRS_ROOM = 5280                   # rows that a thread of fill_pairs keeps aside; its stack may be too small

cdef enum:                              # what may be known of the pairs of a rulebook
    ASCENDING = 1                       # input rows ascend strictly in each offset, as output rows do
    MIRRORED = 2                        # so do they, and pairs of offset k are those of the k-th from the end, swapped

# Pointers into the arrays of a rulebook; the Pairs object that holds this struct owns them.
cdef struct Rules:
    const int32_t* in_rows
    const int32_t* out_rows
    const int64_t* tile_ptr     # (n_offsets, n_tiles + 1)
    int64_t n_offsets
    int64_t n_tiles
    int64_t n_out
    int64_t n_pairs

cdef struct Runs:                       # rows whose keys are consecutive, none across a tile
    int64_t* first                      # key of the first row of each run, ascending; then twice FAR
    int32_t* row                        # its number; then n, n + 1
    int64_t* tiles                      # first run of each tile; then their number

cdef struct Walk:                       # offsets that one walk along the runs serves: neighbours on the last axis
    int64_t first, taps, step           # the first of them, their number, and how far apart they lie

cdef struct Merge:                      # input runs against wanted runs + shift of the offset
    Map map                             # with a map of the inputs there are no runs
    const int64_t* keys                 # then these are wanted
    Runs inputs
    Runs wanted
    const int64_t* shifts
    const Walk* walks
    int64_t n_runs, m, stride           # of the inputs; wanted rows; of the last axis
    # Of n_offsets the first n_merged are merged, the others (all but the centre) are their mirror images.
    int n_walks, n_offsets, n_merged
    bint lone                           # most runs are a single row

cdef bint are_mirrored(const int32_t* offsets, int64_t n_offsets, int d) noexcept nogil
cdef int64_t cut_walks(const int32_t* offsets, int64_t n_offsets, int d, Walk* walks) noexcept nogil

cdef int64_t count_runs(const int64_t* keys, int64_t n, int64_t step, int64_t* tiles, int n_threads) noexcept nogil
cdef void fill_runs(const int64_t* keys, int64_t n, int64_t step, const Runs* runs, int n_threads) noexcept nogil
cdef int64_t fill_tile(const int64_t* keys, int64_t start, int64_t stop, int64_t step, int64_t* first,
                       int32_t* row) noexcept nogil
cdef void stage_pairs(const Merge* merge, int64_t* tile_ptr, int64_t* offset_ptr, int32_t* staged, int64_t most,
                      int32_t* found) noexcept nogil
cdef void place_pairs(const Merge* merge, int64_t* tile_ptr, const int64_t* offset_ptr, const int32_t* staged,
                      int64_t most, int32_t* in_rows, int32_t* out_rows) noexcept nogil
cdef void count_pairs(const Merge* merge, int64_t* tile_ptr, int64_t* offset_ptr, int n_threads) noexcept nogil
cdef void fill_pairs(const Merge* merge, int64_t* tile_ptr, const int64_t* offset_ptr, int32_t* in_rows,
                     int32_t* out_rows, int32_t* room, int n_threads) noexcept nogil
cdef void point_tiles(const int32_t* out_rows, const int64_t* offset_ptr, int64_t n_offsets, int64_t first,
                      int64_t n_out, int64_t* tile_ptr, int n_threads) noexcept nogil
