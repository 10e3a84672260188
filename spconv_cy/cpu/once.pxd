"""What the sums of a tile begin with, whether each of its rows has one pair, and which rows of x are read next."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcpy, memset

from spconv_cy.cpu.isa cimport FETCHED, KernelTable
from spconv_cy.cpu.rules cimport TILE_ROWS, Rules


cdef inline bint each_once(const KernelTable* table, const Rules* rules, int64_t tile, int64_t last, int64_t rows,
                           char* seen) noexcept nogil:
    # Whether each row of the tiles has one pair; seen: memory of as many bytes as rows. False where weights stay in
    # registers: sums are read for every few inputs then, whatever they begin with.
    cdef const int64_t* tiles = rules.tile_ptr
    cdef int64_t offset, pair, pairs = 0, first = tile * TILE_ROWS
    if table.weights_stay or rules.n_pairs != rules.n_out:
        return False
    memset(seen, 0, <size_t>rows)
    for offset in range(rules.n_offsets):
        tiles = rules.tile_ptr + offset * (rules.n_tiles + 1)
        pairs += tiles[last] - tiles[tile]
        for pair in range(tiles[tile], tiles[last]):
            seen[rules.out_rows[pair] - first] = 1
    return pairs == rows and memchr(seen, 0, <size_t>rows) == NULL


cdef inline const int32_t* next_rows(const Rules* rules, int64_t offset, int64_t tile, int64_t last) noexcept nogil:
    # Behind the pairs of an offset in these tiles; or NULL.
    cdef int64_t at = tile + (offset + 1) * (rules.n_tiles + 1)
    if rules.n_pairs < FETCHED:
        return NULL
    if offset + 1 == rules.n_offsets:
        at = last if last < rules.n_tiles else tile
    return rules.in_rows + min(rules.tile_ptr[at], rules.n_pairs - FETCHED)


cdef inline void begin_sums(float* sums, int64_t rows, int64_t width, const float* bias,
                            int64_t cols) noexcept nogil:
    cdef int64_t row
    memset(sums, 0, <size_t>((rows if bias == NULL else 1) * width) * sizeof(float))
    if bias != NULL:
        memcpy(sums, bias, <size_t>cols * sizeof(float))
        for row in range(1, rows):
            memcpy(sums + row * width, sums, <size_t>width * sizeof(float))
