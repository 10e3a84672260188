"""Asks for rows that are read later, from the second cache on: many short streams, which processors do not follow."""

from libc.stdint cimport int64_t

from spconv_cy.cpu.rules cimport TILE_ROWS, Rules


cdef extern from *:
    """
    // Without the empty instruction GCC takes it for a function without effect, and removes its calls.
    static inline void spconv_cy_fetch(const void* start, int64_t bytes) {
        const char* p = (const char*)start;
        for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
        asm volatile("" : : "r"(p));
    }
    """
    void fetch "spconv_cy_fetch"(const void* start, int64_t n_bytes) noexcept nogil


cdef struct Range:
    int64_t first
    int64_t n


cdef inline Range rows_out(const Rules* rules, int64_t tile, int64_t last) noexcept nogil:
    # Output rows of the tiles from `tile` to `last`.
    return Range(tile * TILE_ROWS, max(min(last * TILE_ROWS, rules.n_out) - tile * TILE_ROWS, 0))


cdef inline Range rows_in(const Rules* rules, int64_t tile, int64_t last) noexcept nogil:
    # Input rows that the tiles from `tile` to `last` are the first to read; none if rows are in no order.
    cdef const int64_t* tiles
    cdef int64_t offset, read = -1, to = -1
    for offset in range(rules.n_offsets if last > tile else 0):
        tiles = rules.tile_ptr + offset * (rules.n_tiles + 1)
        if tiles[tile] > tiles[0]:
            read = max(read, <int64_t>rules.in_rows[tiles[tile] - 1])
        if tiles[last] > tiles[0]:
            to = max(to, <int64_t>rules.in_rows[tiles[last] - 1])
    if to - read > 16 * (last - tile) * TILE_ROWS:
        to = read
    return Range(read + 1, max(to - read, 0))


cdef inline void fetch_rows(const float* x, int64_t stride, int64_t c, Range rows, int64_t part,
                            int64_t parts) noexcept nogil:
    # One of equal parts of the rows, c floats of each.
    cdef int64_t row
    for row in range(rows.first + rows.n * part // parts, rows.first + rows.n * (part + 1) // parts):
        fetch(x + row * stride, c * <int64_t>sizeof(float))


cdef inline void fetch_numbers(const Rules* rules, int64_t offset, int64_t tile, int64_t last) noexcept nogil:
    # The numbers of the rows of an offset's pairs in the tiles from `tile` to `last`.
    cdef const int64_t* tiles = rules.tile_ptr + offset * (rules.n_tiles + 1)
    fetch(rules.in_rows + tiles[tile], (tiles[last] - tiles[tile]) * <int64_t>sizeof(rules.in_rows[0]))
    fetch(rules.out_rows + tiles[tile], (tiles[last] - tiles[tile]) * <int64_t>sizeof(rules.out_rows[0]))
