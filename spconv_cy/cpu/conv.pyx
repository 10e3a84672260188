"""Loops over tiles of the convolution: forward (with transposed pairs and weights, dx) and weight gradient."""

from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset

from spconv_cy.cpu.isa cimport Igemm, Outer
from spconv_cy.cpu.rules cimport TILE_ROWS
from spconv_cy.cpu.threads cimport team


cdef enum:
    WIDTH = 64                  # most columns of a block: KernelTable.lanes times vectors
    INPUTS = 160                # most inputs of a pass over a tile: their weights stay in the first cache
    SLAB = 64                   # inputs of a unit of the weight gradient
    SWEEP_FLOATS = 131072       # of x and dy in a sweep of the weight gradient: they stay in the second cache
    SUM_FLOATS = 4194304        # of all chunks' sums together
    SLOT = TILE_ROWS * WIDTH    # floats of a thread's sums; its stack may be too small for them
    JOBS = 32                   # least number of jobs of a weight gradient, if there are so many units
    CHUNKS = 16


cdef struct Layer:
    const KernelTable* table
    const float* x
    const Weights* w
    float* packed
    float* sums                 # a slot for each thread
    const float* bias
    float* y
    const Rules* rules
    Shape shape
    int64_t vectors             # in a group's outputs
    int64_t blocks              # of columns in a group, each at most table.vectors wide
    int64_t span                # tiles of a job
    int64_t spans               # jobs of a block of columns
    float slope                 # of what is below 0; 1: no activation


# Columns block * vectors // blocks to (block + 1) * vectors // blocks, in vectors.
cdef struct Block:
    int64_t first
    int64_t vectors
    int64_t cols


cdef inline Block block_at(const KernelTable* table, int64_t o, int64_t vectors, int64_t blocks,
                           int64_t index) noexcept nogil:
    cdef Block block
    block.first = index * vectors // blocks
    block.vectors = (index + 1) * vectors // blocks - block.first
    block.cols = min(block.vectors * table.lanes, o - block.first * table.lanes)
    return block


cdef inline int64_t ceiling(int64_t a, int64_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline int team_of(const Rules* rules, Shape shape, int64_t jobs, int n_threads) noexcept nogil:
    return team(n_threads, jobs, <double>rules.n_pairs * <double>(shape.groups * shape.c * shape.o) / 16)


cdef int64_t scratch_floats(const KernelTable* table, const Rules* rules, Shape shape, int n_threads) noexcept nogil:
    # Slots of sums for as many threads as conv can use, from the first 64-byte boundary on; then the packed weights.
    cdef int64_t jobs = rules.n_tiles * shape.groups * ceiling(shape.o, table.lanes)
    return (16 + team_of(rules, shape, jobs, n_threads) * SLOT
            + rules.n_offsets * shape.groups * shape.c * ceiling(shape.o, table.lanes) * table.lanes)


cdef void conv(const KernelTable* table, const float* x, const Weights* w, float* scratch, const float* bias, float* y,
               const Rules* rules, Shape shape, float slope, int n_threads) noexcept nogil:
    # A tile owns its output rows, and a job owns a block of their columns, so no two threads write the same value.
    # Every value is summed in the order of the offsets, for any number of threads.
    cdef Layer layer
    cdef int64_t job, n_jobs, n_packs
    cdef int chunk
    layer.table, layer.x, layer.w, layer.bias, layer.y = table, x, w, bias, y
    layer.rules, layer.shape, layer.slope = rules, shape, slope
    layer.vectors = ceiling(shape.o, table.lanes)
    layer.blocks = ceiling(layer.vectors, table.vectors)
    n_packs = shape.groups * layer.blocks * rules.n_offsets
    # Narrow blocks leave room for the sums of several tiles. Their pairs are consecutive in each offset, so each load
    # of the weights serves more pairs. With few tiles, a job takes one, so that all threads have work.
    layer.span = 1
    while (2 * layer.span * ceiling(layer.vectors, layer.blocks) * table.lanes <= WIDTH
            and rules.n_tiles >= 64 * layer.span):
        layer.span *= 2
    layer.spans = ceiling(rules.n_tiles, layer.span)
    n_jobs = layer.spans * shape.groups * layer.blocks
    n_threads = team_of(rules, shape, n_jobs, n_threads)
    layer.sums = scratch + (-<uintptr_t>scratch % 64) // sizeof(float)
    layer.packed = layer.sums + n_threads * SLOT
    chunk = <int>min(max(n_jobs // (16 * n_threads), 1), 8)
    with parallel(num_threads=n_threads):
        for job in prange(n_packs, schedule="static"):
            pack(&layer, job)
        for job in prange(n_jobs, schedule="dynamic", chunksize=chunk):
            conv_tile(&layer, job, threadid())


cdef inline float* packed_at(const Layer* layer, Block block, int64_t group, int64_t offset) noexcept nogil:
    # Order of the packed weights: group, block, offset, input, column; a job reads them from front to back.
    cdef int64_t before = (group * layer.vectors + block.first) * layer.rules.n_offsets + offset * block.vectors
    return layer.packed + before * layer.shape.c * layer.table.lanes


cdef void pack(const Layer* layer, int64_t job) noexcept nogil:
    cdef int64_t offset = job % layer.rules.n_offsets, index = job // layer.rules.n_offsets
    cdef int64_t group = index // layer.blocks, i, j
    cdef Block block = block_at(layer.table, layer.shape.o, layer.vectors, layer.blocks, index % layer.blocks)
    cdef int64_t width = block.vectors * layer.table.lanes
    cdef const int64_t* stride = &layer.w.stride[0]
    cdef const float* w = (layer.w.start + offset * stride[0] + group * stride[1]
                           + block.first * layer.table.lanes * stride[3])
    cdef float* to = packed_at(layer, block, group, offset)
    for i in range(layer.shape.c):
        if stride[3] == 1:
            memcpy(to, w + i * stride[2], <size_t>block.cols * sizeof(float))
        else:
            for j in range(block.cols):
                to[j] = w[i * stride[2] + j * stride[3]]
        for j in range(block.cols, width):
            to[j] = 0
        to += width


cdef void conv_tile(const Layer* layer, int64_t job, int thread) noexcept nogil:
    # The sums stay in the first cache, padded to whole vectors, and y is written once.
    cdef float* sums = layer.sums + thread * SLOT
    cdef const Rules* rules = layer.rules
    cdef int64_t columns = layer.shape.groups * layer.blocks, index = job % columns
    cdef int64_t tile = job // columns * layer.span, last = min(tile + layer.span, rules.n_tiles)
    cdef int64_t group = index // layer.blocks, c = layer.shape.c, offset, start, pairs, i, taken
    cdef Block block = block_at(layer.table, layer.shape.o, layer.vectors, layer.blocks, index % layer.blocks)
    cdef int64_t first_column = group * layer.shape.o + block.first * layer.table.lanes
    cdef int64_t width = block.vectors * layer.table.lanes, rows = min(last * TILE_ROWS, rules.n_out) - tile * TILE_ROWS
    cdef int64_t passes = ceiling(c, INPUTS), o = layer.shape.groups * layer.shape.o
    cdef const float* w
    cdef const float* bias = layer.bias
    cdef Igemm product
    if bias != NULL:
        bias += first_column
    product.x_stride = layer.shape.groups * c
    product.sums, product.first_row, product.vectors = sums, tile * TILE_ROWS, <int32_t>block.vectors
    begin_sums(sums, rows, width, bias, block.cols)
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr[offset * (rules.n_tiles + 1) + tile]
        pairs = rules.tile_ptr[offset * (rules.n_tiles + 1) + last] - start
        if pairs == 0 or c == 0:
            continue
        w = packed_at(layer, block, group, offset)
        for i in range(passes):
            taken = i * c // passes
            product.x = layer.x + group * c + taken
            product.w = w + taken * width
            product.c = <int32_t>((i + 1) * c // passes - taken)
            layer.table.igemm(&product, rules.in_rows + start, rules.out_rows + start, pairs)
    layer.table.finish(layer.y + tile * TILE_ROWS * o + first_column, o, sums, width, rows, block.cols, layer.slope)


cdef void begin_sums(float* sums, int64_t rows, int64_t width, const float* bias, int64_t cols) noexcept nogil:
    cdef int64_t row
    memset(sums, 0, <size_t>((rows if bias == NULL else 1) * width) * sizeof(float))
    if bias != NULL:
        memcpy(sums, bias, <size_t>cols * sizeof(float))
        for row in range(1, rows):
            memcpy(sums + row * width, sums, <size_t>width * sizeof(float))


cdef Chunks chunks_of(const Rules* rules, Shape shape) noexcept nogil:
    # Depends on sizes only, never on the number of threads, so that the order of the sum is always the same.
    cdef Chunks chunks
    cdef int64_t floats = rules.n_offsets * shape.groups * shape.c * shape.o
    cdef int64_t units = rules.n_offsets * shape.groups * ceiling(shape.c, SLAB)
    cdef int64_t room = SUM_FLOATS // max(floats, 1), worth = rules.n_pairs // max(rules.n_offsets * TILE_ROWS, 1)
    chunks.tiles = min(max(SWEEP_FLOATS // max(TILE_ROWS * shape.groups * (shape.c + shape.o), 1), 1), 16)
    chunks.chunks = min(min(room, worth), min(ceiling(rules.n_tiles, chunks.tiles), CHUNKS))
    chunks.chunks = max(chunks.chunks, 1)
    chunks.parts = max(min(JOBS // chunks.chunks, units), 1) if rules.n_pairs >= TILE_ROWS else 1
    return chunks


cdef struct Gradient:
    const KernelTable* table
    const float* x
    const float* dy
    float* dw
    float* sums
    const Rules* rules
    Shape shape
    Chunks chunks


cdef void conv_dw(const KernelTable* table, const float* x, const float* dy, float* dw, float* sums, const Rules* rules,
                  Shape shape, Chunks chunks, int n_threads) noexcept nogil:
    # Overwrites dw, and sums, which has room for chunks - 1 arrays like dw. There is at least one pair.
    cdef Gradient gradient
    cdef int64_t floats = rules.n_offsets * shape.groups * shape.c * shape.o, n_jobs = chunks.chunks * chunks.parts
    cdef int64_t n_pieces = ceiling(floats, 4096), job
    gradient.table, gradient.x, gradient.dy, gradient.dw, gradient.sums = table, x, dy, dw, sums
    gradient.rules, gradient.shape, gradient.chunks = rules, shape, chunks
    n_threads = team_of(rules, shape, n_jobs, n_threads)
    with parallel(num_threads=n_threads):
        for job in prange(n_jobs, schedule="dynamic", chunksize=1):
            dw_job(&gradient, job)
        for job in prange(n_pieces, schedule="static"):
            add_chunks(&gradient, job * 4096, min(floats, (job + 1) * 4096))


cdef void dw_job(const Gradient* gradient, int64_t job) noexcept nogil:
    cdef Shape shape = gradient.shape
    cdef Chunks chunks = gradient.chunks
    cdef int64_t chunk = job // chunks.parts, part = job % chunks.parts
    cdef int64_t slabs = ceiling(shape.c, SLAB), units = gradient.rules.n_offsets * shape.groups * slabs
    cdef int64_t sweeps = ceiling(gradient.rules.n_tiles, chunks.tiles), sweep, unit, slab, row
    cdef int64_t floats = gradient.rules.n_offsets * shape.groups * shape.c * shape.o
    cdef float* dw = gradient.dw if chunk == 0 else gradient.sums + (chunk - 1) * floats
    for unit in range(units * part // chunks.parts, units * (part + 1) // chunks.parts):
        slab = unit % slabs
        row = unit // slabs * shape.c + slab * shape.c // slabs
        memset(dw + row * shape.o, 0,
               <size_t>((unit // slabs * shape.c + (slab + 1) * shape.c // slabs - row) * shape.o) * sizeof(float))
    for sweep in range(sweeps * chunk // chunks.chunks, sweeps * (chunk + 1) // chunks.chunks):
        for unit in range(units * part // chunks.parts, units * (part + 1) // chunks.parts):
            dw_unit(gradient, dw, sweep, unit // slabs, unit % slabs)


cdef void dw_unit(const Gradient* gradient, float* dw, int64_t sweep, int64_t plane, int64_t slab) noexcept nogil:
    cdef const Rules* rules = gradient.rules
    cdef Shape shape = gradient.shape
    cdef int64_t group = plane % shape.groups, slabs = ceiling(shape.c, SLAB), first = slab * shape.c // slabs
    cdef int64_t vectors = ceiling(shape.o, gradient.table.lanes), blocks = ceiling(vectors, gradient.table.vectors), i
    cdef const int64_t* tile_ptr = rules.tile_ptr + plane // shape.groups * (rules.n_tiles + 1)
    cdef int64_t start = tile_ptr[sweep * gradient.chunks.tiles]
    cdef int64_t pairs = tile_ptr[min((sweep + 1) * gradient.chunks.tiles, rules.n_tiles)] - start
    cdef Block block
    cdef Outer product
    if pairs == 0:
        return
    product.x = gradient.x + group * shape.c + first
    product.x_stride = shape.groups * shape.c
    product.dy_stride = shape.groups * shape.o
    product.dw_stride = shape.o
    product.c = <int32_t>((slab + 1) * shape.c // slabs - first)
    for i in range(blocks):
        block = block_at(gradient.table, shape.o, vectors, blocks, i)
        product.dy = gradient.dy + group * shape.o + block.first * gradient.table.lanes
        product.dw = dw + (plane * shape.c + first) * shape.o + block.first * gradient.table.lanes
        product.cols = <int32_t>block.cols
        gradient.table.outer(&product, rules.in_rows + start, rules.out_rows + start, pairs)


cdef void add_chunks(const Gradient* gradient, int64_t low, int64_t high) noexcept nogil:
    cdef int64_t floats = gradient.rules.n_offsets * gradient.shape.groups * gradient.shape.c * gradient.shape.o, chunk
    for chunk in range(gradient.chunks.chunks - 1):
        gradient.table.add(gradient.dw + low, gradient.sums + chunk * floats + low, high - low)
