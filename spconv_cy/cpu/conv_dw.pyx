"""Loops over tiles of the weight gradient of convolution."""

from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t
from libc.string cimport memset

from spconv_cy.cpu.conv cimport Block, block_at, ceiling, team_of
from spconv_cy.cpu.isa cimport Outer
from spconv_cy.cpu.rules cimport TILE_ROWS


cdef enum:
    SLAB = 64                   # inputs of a unit of the weight gradient
    SWEEP_FLOATS = 131072       # of x and dy in a sweep of the weight gradient: they stay in the second cache
    SUM_FLOATS = 4194304        # of all chunks' sums together
    JOBS = 32                   # least number of jobs of a weight gradient, if there are so many units
    CHUNKS = 16


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
