"""Pooling by rulebook, scattering and reductions over float32 rows."""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memset

from spconv_cy.cpu.isa cimport KernelTable
from spconv_cy.cpu.rules cimport TILE_ROWS, Rules


cdef enum:
    CHUNK_ROWS = 1024           # rows of one partial sum
    FEW = 9                     # pairs of a row that are read together

cdef struct Lists:              # the input rows of each row of a tile, in the order of the offsets
    int32_t rows[TILE_ROWS * FEW]
    int32_t n[TILE_ROWS]


cdef inline bint list_rows(const Rules* rules, int64_t tile, Lists* lists) noexcept nogil:
    # False if a row has more than FEW pairs.
    cdef int64_t low = tile * TILE_ROWS, offset, pair, row
    cdef const int64_t* start
    if rules.n_offsets > FEW:
        return False
    memset(lists.n, 0, sizeof(lists.n))
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr + offset * (rules.n_tiles + 1) + tile
        for pair in range(start[0], start[1]):
            row = rules.out_rows[pair] - low
            if lists.n[row] == FEW:                                      # pairs that nobody checked
                return False
            lists.rows[row * FEW + lists.n[row]] = rules.in_rows[pair]
            lists.n[row] += 1
    return True


cdef inline void first_row(float* y, int32_t* winner, const float* x, int32_t row, int64_t c) noexcept nogil:
    cdef int64_t i
    if x == NULL:
        memset(y, 0, <size_t>c * sizeof(float))
    else:
        memcpy(y, x, <size_t>c * sizeof(float))
    for i in range(c):
        winner[i] = row


cdef inline void max_row(const KernelTable* table, const float* x, const float* ground, bint is_open, float* y,
                         int32_t* winner, int64_t c, const int32_t* rows, int64_t n) noexcept nogil:
    if n == 0:
        first_row(y, winner, ground, -1, c)
        return
    table.max_rows(y, winner, x, rows, n, c)
    if is_open:
        table.max(y, winner, ground, -1, c)


cdef void max_pool(const KernelTable* table, const float* x, const float* ground, const uint8_t* is_open, float* y,
                   int32_t* winner, const Rules* rules, int64_t c, float slope, int n_threads) noexcept nogil
cdef void max_pool_dx(const KernelTable* table, const float* dy, const int32_t* winner, float* dx, float* dground,
                      int32_t* bounds, float* sums, const Rules* turned, int64_t m, int64_t n, int64_t c,
                      int n_threads) noexcept nogil
cdef void sum_pool(const KernelTable* table, const float* x, float* y, const Rules* rules, int64_t c,
                   int n_threads) noexcept nogil
cdef void segment_sum(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                      double* sums, float* y, int64_t b, int64_t c, int n_threads) noexcept nogil
cdef void sum_chunk(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                    double* total, int64_t chunk, int64_t b, int64_t c) noexcept nogil
cdef void join_chunks(const int64_t* chunk_starts, double* sums, float* y, int64_t b, int64_t c) noexcept nogil
cdef void segment_max(const KernelTable* table, const float* x, const int64_t* starts, const int64_t* chunk_starts,
                      float* best, int32_t* best_rows, float* y, int32_t* winner, int64_t b, int64_t c,
                      int n_threads) noexcept nogil
