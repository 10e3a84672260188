"""Loops over tiles of convolutions with bfloat16 or 8 bits, and the packing of their weights."""

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libc.string cimport memcpy, memset

from spconv_cy.cpu.isa cimport BFLOAT16, TILES, UNPACKED, Dots
from spconv_cy.cpu.rules cimport TILE_ROWS
from spconv_cy.cpu.threads cimport Turns, ceiling, share_jobs, take_job, team

cdef extern from *:
    """
    static inline void spconv_cy_max_bytes(uint8_t* y, const uint8_t* x, int64_t n) {
        for (int64_t i = 0; i < n; ++i) y[i] = y[i] > x[i] ? y[i] : x[i];
    }
    // Ordered as integers: all bits but the sign turned in negative numbers. A NaN stays, as in float32.
    static inline int16_t spconv_cy_key(int16_t a) { return (int16_t)(a ^ ((a >> 15) & 0x7fff)); }
    static inline void spconv_cy_max_shorts(int16_t* y, const int16_t* x, int64_t n) {
        for (int64_t i = 0; i < n; ++i) {
            const int16_t a = (x[i] & 0x7fff) > 0x7f80 ? 0x7fc0 : x[i], b = (y[i] & 0x7fff) > 0x7f80 ? 0x7fc0 : y[i];
            y[i] = spconv_cy_key(b) > spconv_cy_key(a) ? b : a;
        }
    }
    """
    void max_bytes "spconv_cy_max_bytes"(uint8_t* y, const uint8_t* x, int64_t n) noexcept nogil
    void max_shorts "spconv_cy_max_shorts"(int16_t* y, const int16_t* x, int64_t n) noexcept nogil

cdef enum:
    CHUNK_ROWS = 256
    WIDTH = 128                 # most columns of all tiles of a job
    JOBS = 24                   # least number of jobs that have more than one tile
    NARROWEST = 128             # largest sum of two weights whose products with 8 bits fit into 16


cdef Packed shape_of(const DotTable* table, int kind, int64_t offsets, int64_t c, int64_t o) noexcept nogil:
    # Everything but the memory.
    cdef Packed p
    memset(&p, 0, sizeof(Packed))
    p.table, p.kind, p.offsets, p.c, p.o = table, kind, offsets, c, o
    p.words = ceiling(c, 2 if kind == BFLOAT16 else 4)
    p.padded = ceiling(p.words, 16) * 16 if table.layout == TILES else p.words
    p.vectors = ceiling(o, table.lanes)
    p.blocks = ceiling(p.vectors, table.vectors)
    return p


cdef int64_t packed_words(const Packed* p) noexcept nogil:
    return p.offsets * p.padded * p.vectors * p.table.lanes


cdef inline int64_t first_of(const Packed* p, int64_t block) noexcept nogil:
    return block * p.vectors // p.blocks


cdef inline uint32_t* words_at(const Packed* p, int64_t block, int64_t offset) noexcept nogil:
    cdef int64_t first = first_of(p, block), vectors = first_of(p, block + 1) - first
    return p.w + (first * p.offsets + offset * vectors) * p.padded * p.table.lanes


cdef void pack_shorts(const Packed* p, uint16_t* w, bint unpack) noexcept nogil:
    # Between w (offsets, c, o) and the packed words; on entry the words are zeros, or w is to be filled.
    cdef int64_t block, offset, first, cols, i, j, n, place
    cdef int64_t lanes = p.table.lanes
    cdef uint16_t* packed
    for block in range(p.blocks):
        first = first_of(p, block) * lanes
        cols = first_of(p, block + 1) * lanes - first
        for offset in range(p.offsets):
            packed = <uint16_t*>words_at(p, block, offset)
            for i in range(p.c):
                for j in range(min(cols, p.o - first)):
                    n = j % lanes
                    place = 2 * n + (i & 1)
                    if p.table.layout == UNPACKED:
                        place = n // 4 * 8 + (0 if i & 1 else 4) + n % 4
                    place += 2 * ((i // 2) * cols + j - n)
                    if unpack:
                        w[(offset * p.c + i) * p.o + first + j] = packed[place]
                    else:
                        packed[place] = w[(offset * p.c + i) * p.o + first + j]


cdef void pack_bytes(const Packed* p, int8_t* w, bint unpack) noexcept nogil:
    # As for shorts; unpacked weights have their rests added.
    cdef int64_t block, offset, first, cols, i, j, place
    cdef int8_t* packed
    for block in range(p.blocks):
        first = first_of(p, block) * p.table.lanes
        cols = first_of(p, block + 1) * p.table.lanes - first
        for offset in range(p.offsets):
            packed = <int8_t*>words_at(p, block, offset)
            for i in range(p.c):
                for j in range(min(cols, p.o - first)):
                    place = 4 * ((i // 4) * cols + j) + i % 4
                    if unpack:
                        w[(offset * p.c + i) * p.o + first + j] = packed[place]
                    else:
                        packed[place] = w[(offset * p.c + i) * p.o + first + j]
            if unpack and p.extra_ptr != NULL:
                add_rests(p, w, block, offset)


cdef void add_rests(const Packed* p, int8_t* w, int64_t block, int64_t offset) noexcept nogil:
    cdef int64_t first = first_of(p, block) * p.table.lanes, cols = first_of(p, block + 1) * p.table.lanes - first
    cdef int64_t entry, i, j, at, job = block * p.offsets + offset
    cdef const int8_t* rests = <const int8_t*>(p.extra_w + p.extra_at[job])
    for entry in range(p.extra_ptr[job], p.extra_ptr[job + 1]):
        for i in range(4 * p.extra_words[entry], min(4 * p.extra_words[entry] + 4, p.c)):
            for j in range(min(cols, p.o - first)):
                at = (offset * p.c + i) * p.o + first + j
                w[at] = <int8_t>(w[at] + rests[4 * j + i % 4])
        rests += 4 * cols


cdef int64_t split_bytes(const Packed* p, int8_t* w, int8_t* rest) noexcept nogil:
    # Takes what is too much for 16 bits out of w, and into rest; returns how many weights that are.
    cdef int64_t offset, i, j, at, second, found = 0
    cdef int a, b, over
    for offset in range(p.offsets):
        for i in range(0, p.c - 1, 2):
            for j in range(p.o):
                at = (offset * p.c + i) * p.o + j
                second = at + p.o
                a, b = w[at], w[second]
                if (a > 0) != (b > 0) or -NARROWEST <= a + b <= NARROWEST:
                    continue
                over = a + b - NARROWEST if a > 0 else a + b + NARROWEST
                found += 1
                if (a if a > 0 else -a) < (b if b > 0 else -b):
                    at = second
                rest[at] = <int8_t>over
                w[at] = <int8_t>(w[at] - over)
    return found


cdef bint has_rest(const Packed* p, const int8_t* rest, int64_t block, int64_t offset, int64_t word) noexcept nogil:
    cdef int64_t first = first_of(p, block) * p.table.lanes, last = min(first_of(p, block + 1) * p.table.lanes, p.o)
    cdef int64_t i, j
    for i in range(4 * word, min(4 * word + 4, p.c)):
        for j in range(first, last):
            if rest[(offset * p.c + i) * p.o + j] != 0:
                return True
    return False


cdef void count_extras(const Packed* p, const int8_t* rest, int64_t* entries, int64_t* size) noexcept nogil:
    cdef int64_t block, offset, word, cols
    entries[0] = size[0] = 0
    for block in range(p.blocks):
        cols = (first_of(p, block + 1) - first_of(p, block)) * p.table.lanes
        for offset in range(p.offsets):
            for word in range(p.words):
                if has_rest(p, rest, block, offset, word):
                    entries[0] += 1
                    size[0] += cols


cdef void pack_extras(const Packed* p, const int8_t* rest) noexcept nogil:
    cdef int64_t block, offset, word, cols, first, i, j, n = 0, at = 0
    cdef int8_t* to
    for block in range(p.blocks):
        first = first_of(p, block) * p.table.lanes
        cols = first_of(p, block + 1) * p.table.lanes - first
        for offset in range(p.offsets):
            p.extra_ptr[block * p.offsets + offset] = n
            p.extra_at[block * p.offsets + offset] = at
            for word in range(p.words):
                if not has_rest(p, rest, block, offset, word):
                    continue
                p.extra_words[n] = <int32_t>word
                to = <int8_t*>(p.extra_w + at)
                memset(to, 0, <size_t>cols * sizeof(uint32_t))
                for i in range(4 * word, min(4 * word + 4, p.c)):
                    for j in range(min(cols, p.o - first)):
                        to[4 * j + i % 4] = rest[(offset * p.c + i) * p.o + first + j]
                n += 1
                at += cols
    p.extra_ptr[p.blocks * p.offsets] = n


cdef int64_t span_of(const Packed* p, const Rules* rules) noexcept nogil:
    # How many tiles a job takes, as for float32.
    cdef int64_t width = ceiling(p.vectors, p.blocks) * p.table.lanes, span = 1
    while 2 * span * width <= WIDTH and rules.n_tiles * p.blocks >= 2 * JOBS * span:
        span *= 2
    return span


cdef int64_t slot_bytes(const Packed* p, const Rules* rules) noexcept nogil:
    cdef int64_t sums = span_of(p, rules) * TILE_ROWS * ceiling(p.vectors, p.blocks) * p.table.lanes * 4
    return sums + ceiling(p.table.fixed_room + ceiling(p.words, 16) * 16 * p.table.room, 64) * 64


cdef int team_of(const Packed* p, const Rules* rules, int n_threads) noexcept nogil:
    return team(n_threads, ceiling(rules.n_tiles, span_of(p, rules)) * p.blocks,
                <double>rules.n_pairs * <double>(p.c * p.o) / 32)


cdef int64_t scratch_bytes(const Packed* p, const Rules* rules, int n_threads) noexcept nogil:
    return 64 + team_of(p, rules, n_threads) * slot_bytes(p, rules)


cdef struct Layer:
    const Packed* p
    const uint32_t* x
    int64_t x_stride            # words
    const int32_t* begin        # (offsets, vectors * lanes), or NULL
    char* y
    int64_t y_stride            # bytes
    char* scratch
    int64_t slot
    int64_t span
    const Rules* rules
    const Close* how


cdef void conv(const Packed* p, const uint32_t* x, int64_t x_stride, const int32_t* begin, void* y, int64_t y_stride,
               char* scratch, const Rules* rules, const Close* how, int n_threads) noexcept nogil:
    # As for float32: a job owns its rows and columns, and sums in the order of the offsets.
    cdef Layer layer
    cdef Turns turns
    cdef int64_t job, n_jobs
    cdef int thread
    layer.p, layer.x, layer.x_stride, layer.begin, layer.y, layer.y_stride = p, x, x_stride, begin, <char*>y, y_stride
    layer.rules, layer.how, layer.span, layer.slot = rules, how, span_of(p, rules), slot_bytes(p, rules)
    layer.scratch = scratch + (-<uintptr_t>scratch % 64)
    n_jobs = ceiling(rules.n_tiles, layer.span) * p.blocks
    n_threads = team_of(p, rules, n_threads)
    share_jobs(&turns, n_jobs, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        job = take_job(&turns, thread)
        while job >= 0:
            conv_tile(&layer, job, thread)
            job = take_job(&turns, thread)


cdef void conv_tile(const Layer* layer, int64_t job, int thread) noexcept nogil:
    cdef const Packed* p = layer.p
    cdef const Rules* rules = layer.rules
    cdef int64_t block = job % p.blocks, tile = job // p.blocks * layer.span
    cdef int64_t last = min(tile + layer.span, rules.n_tiles), lanes = p.table.lanes, offset, start, pairs, index
    cdef int64_t first = first_of(p, block), vectors = first_of(p, block + 1) - first, width = vectors * lanes
    cdef int64_t rows = min(last * TILE_ROWS, rules.n_out) - tile * TILE_ROWS
    cdef Dots product
    cdef char* sums = layer.scratch + thread * layer.slot
    product.x, product.x_stride, product.words = layer.x, layer.x_stride, <int32_t>p.words
    product.sums, product.first_row, product.vectors = sums, tile * TILE_ROWS, <int32_t>vectors
    product.room = sums + layer.span * TILE_ROWS * ceiling(p.vectors, p.blocks) * lanes * 4
    product.extras = 0
    product.begin = NULL
    product.extra_w = NULL
    product.extra_words = NULL
    memset(sums, 0, <size_t>(rows * width * 4))
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr[offset * (rules.n_tiles + 1) + tile]
        pairs = rules.tile_ptr[offset * (rules.n_tiles + 1) + last] - start
        if pairs == 0 or p.c == 0:
            continue
        product.w = words_at(p, block, offset)
        if layer.begin != NULL:
            product.begin = layer.begin + (offset * p.vectors + first) * lanes
        if p.extra_ptr != NULL:
            index = block * p.offsets + offset
            product.extras = <int32_t>(p.extra_ptr[index + 1] - p.extra_ptr[index])
            product.extra_w, product.extra_words = p.extra_w + p.extra_at[index], p.extra_words + p.extra_ptr[index]
        p.table.dots(&product, rules.in_rows + start, rules.out_rows + start, pairs)
    close_tile(layer, tile, rows, first * lanes, min(width, p.o - first * lanes), sums, width)


cdef int64_t size_of(int kind) noexcept nogil:
    return 4 if kind < BFLOAT16 else 2 if kind == BFLOAT16 else 1


cdef void close_tile(const Layer* layer, int64_t tile, int64_t rows, int64_t first_column, int64_t cols,
                     const char* sums, int64_t width) noexcept nogil:
    cdef Close how = layer.how[0]
    cdef int64_t row = tile * TILE_ROWS
    how.scale, how.shift = how.scale + first_column, how.shift + first_column
    how.residual_scale += first_column
    if how.residual != NULL:
        how.residual = (<const char*>how.residual + row * how.residual_stride + first_column * size_of(how.added))
    layer.p.table.close(layer.y + row * layer.y_stride + first_column * size_of(how.to), layer.y_stride, sums, width,
                        rows, cols, &how)


cdef void convert(const DotTable* table, void* y, int64_t y_stride, const float* zeros, int64_t rows, int64_t cols,
                  const Close* how, int n_threads) noexcept nogil:
    # The residual of `how` becomes y; the sums are zeros.
    cdef int64_t chunk, n_chunks = ceiling(rows, CHUNK_ROWS)
    for chunk in prange(n_chunks, num_threads=team(n_threads, n_chunks, <double>(rows * cols)), schedule="static"):
        convert_chunk(table, <char*>y, y_stride, zeros, chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, rows), cols,
                      how)


cdef void convert_chunk(const DotTable* table, char* y, int64_t y_stride, const float* zeros, int64_t first,
                        int64_t last, int64_t cols, const Close* how) noexcept nogil:
    cdef Close here = how[0]
    here.residual = <const char*>how.residual + first * how.residual_stride
    table.close(y + first * y_stride, y_stride, zeros, 0, last - first, cols, &here)


cdef void max_pool(int kind, const void* x, void* y, int64_t cols, const void* ground, const uint8_t* is_open,
                   const Rules* rules, int n_threads) noexcept nogil:
    # Rows of `cols` numbers; the ground competes where windows are open, and stands in rows without pairs.
    cdef Turns turns
    cdef int thread
    cdef int64_t tile
    n_threads = team(n_threads, rules.n_tiles, <double>rules.n_pairs * <double>cols / 8)
    share_jobs(&turns, rules.n_tiles, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        tile = take_job(&turns, thread)
        while tile >= 0:
            max_tile(kind, <const char*>x, <char*>y, cols, <const char*>ground, is_open, rules, tile)
            tile = take_job(&turns, thread)


cdef inline void max_row(int kind, char* y, const char* x, int64_t cols) noexcept nogil:
    if kind == BFLOAT16:
        max_shorts(<int16_t*>y, <const int16_t*>x, cols)
    else:
        max_bytes(<uint8_t*>y, <const uint8_t*>x, cols)


cdef void max_tile(int kind, const char* x, char* y, int64_t cols, const char* ground, const uint8_t* is_open,
                   const Rules* rules, int64_t tile) noexcept nogil:
    cdef uint8_t begun[TILE_ROWS]
    cdef int64_t size = cols * size_of(kind), low = tile * TILE_ROWS, row, offset, pair
    cdef const int64_t* start
    memset(begun, 0, TILE_ROWS)
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr + offset * (rules.n_tiles + 1) + tile
        for pair in range(start[0], start[1]):
            row = rules.out_rows[pair]
            if not begun[row - low]:
                begun[row - low] = 1
                memcpy(y + row * size, x + rules.in_rows[pair] * size, <size_t>size)
            max_row(kind, y + row * size, x + rules.in_rows[pair] * size, cols)
    for row in range(low, min(low + TILE_ROWS, rules.n_out)):
        if not begun[row - low]:
            memcpy(y + row * size, ground, <size_t>size)
        elif is_open != NULL and is_open[row]:
            max_row(kind, y + row * size, ground, cols)
