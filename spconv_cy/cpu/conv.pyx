"""Loops over tiles of the convolution: forward, and dx with transposed pairs and weights."""

from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset

from spconv_cy.cpu.isa cimport Igemm
from spconv_cy.cpu.rules cimport TILE_ROWS


cdef enum:
    WIDTH = 64                  # most columns of a block: KernelTable.lanes times vectors
    INPUTS = 160                # most inputs of a pass over a tile: their weights stay in the first cache
    SLOT = TILE_ROWS * WIDTH    # floats of a thread's sums; its stack may be too small for them


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
