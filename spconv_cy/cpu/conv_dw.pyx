"""Loops over tiles of the weight gradient of convolution."""

from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t, uintptr_t
from libc.string cimport memset

from spconv_cy.cpu.conv cimport conv_jobs, pack, team_of
from spconv_cy.cpu.fetch cimport Range, fetch_numbers, fetch_rows, rows_in, rows_out
from spconv_cy.cpu.isa cimport Outer
from spconv_cy.cpu.pool cimport CHUNK_ROWS, join_chunks, sum_chunk
from spconv_cy.cpu.rules cimport TILE_ROWS
from spconv_cy.cpu.threads cimport Turns, ceiling, share_jobs, take_job


cdef enum:
    SLAB = 256                  # most inputs of a unit
    SMALL_SLAB = 64             # the same where units are few
    SUM_FLOATS = 4194304        # of all chunks' sums together
    JOBS = 32                   # least number of jobs, if there are so many units
    CHUNKS = 16
    PIECE = 4096                # numbers of dw to which one job adds the sums of all chunks
    TILES = 16                  # of a sweep, where rows of x and dy have up to CHANNELS numbers; half of them elsewhere
    CHANNELS = 128              # together: all rows of a sweep stay in the second cache
    NEAR = 128                  # most pairs that are taken together
    FEW = 16                    # least
    PANEL_FLOATS = 262144       # of their rows, copied
    POINTER_FLOATS = 4          # two pointers
    PADDING = 16                # floats of the widest vector, and of 64 bytes


cdef Chunks chunks_of(const KernelTable* table, const Rules* rules, Shape shape) noexcept nogil:
    # Depends on sizes only, never on the number of threads, so that the order of the sum is always the same.
    cdef Chunks chunks
    cdef int64_t floats = rules.n_offsets * shape.groups * shape.c * shape.o, planes = rules.n_offsets * shape.groups
    cdef int64_t room = SUM_FLOATS // max(floats, 1), worth = rules.n_pairs // max(rules.n_offsets * TILE_ROWS, 1)
    cdef int64_t channels = shape.c + shape.o, inputs
    # With few offsets a row is read few times, and small rulebooks need short sweeps to have several chunks.
    chunks.tiles = TILES if channels * shape.groups <= CHANNELS else TILES // 2
    chunks.tiles = min(max(rules.n_tiles * rules.n_offsets // 64, 1), chunks.tiles)
    chunks.chunks = max(min(min(room, worth), min(ceiling(rules.n_tiles, chunks.tiles), CHUNKS)), 1)
    chunks.slabs = ceiling(shape.c, SLAB)
    if chunks.chunks * planes * chunks.slabs < JOBS:
        chunks.slabs = ceiling(shape.c, SMALL_SLAB)
    chunks.parts = max(min(JOBS // chunks.chunks, planes * chunks.slabs), 1) if rules.n_pairs >= TILE_ROWS else 1
    chunks.panels = channels >= table.panels
    chunks.near = min(max((PANEL_FLOATS if chunks.panels else table.near_floats) // max(channels, 1), FEW), NEAR)
    if not chunks.panels and table.near_floats == 0:
        chunks.near = chunks.tiles * TILE_ROWS                           # as many as an offset has in a sweep
    inputs = ceiling(shape.c, max(chunks.slabs, 1))
    chunks.room = POINTER_FLOATS
    if chunks.panels:
        chunks.room = inputs + (inputs // SMALL_SLAB + 1) * PADDING + shape.o + PADDING
    chunks.room = ceiling(chunks.near * chunks.room, PADDING) * PADDING
    return chunks


cdef int team_of_dw(const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil:
    return team_of(rules, shape, chunks.chunks * chunks.parts, n_threads)


cdef int64_t scratch_floats_dw(const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil:
    # Room of the threads, from the first 64-byte boundary on; then the sums of all chunks but the first.
    return (PADDING + n_threads * chunks.room
            + (chunks.chunks - 1) * rules.n_offsets * shape.groups * shape.c * shape.o)


cdef void conv_dw(const KernelTable* table, const float* x, const float* dy, float* dw, float* scratch,
                  const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil:
    # Overwrites dw, and scratch, which has scratch_floats_dw for these n_threads. There is at least one pair.
    cdef Gradient gradient
    cdef Turns turns
    cdef int64_t job
    cdef int thread
    share_jobs(&turns, chunks.chunks * chunks.parts, n_threads)
    begin_dw(&gradient, table, x, dy, dw, scratch, rules, shape, chunks, n_threads)
    with parallel(num_threads=n_threads):
        for thread in prange(n_threads, schedule="static", chunksize=1):
            dw_jobs(&gradient, &turns, thread)
        for job in prange(gradient.pieces, schedule="static"):
            add_chunks(&gradient, job)


cdef void begin_dw(Gradient* gradient, const KernelTable* table, const float* x, const float* dy, float* dw,
                   float* scratch, const Rules* rules, Shape shape, Chunks chunks, int n_threads) noexcept nogil:
    gradient.table, gradient.x, gradient.dy, gradient.dw = table, x, dy, dw
    gradient.room = scratch + (-<uintptr_t>scratch % 64) // sizeof(float)
    gradient.sums = gradient.room + n_threads * chunks.room
    gradient.rules, gradient.shape, gradient.chunks = rules, shape, chunks
    gradient.pieces = ceiling(rules.n_offsets * shape.groups * shape.c * shape.o, PIECE) if chunks.chunks > 1 else 0


cdef void gradients(Layer* layer, Gradient* gradient, double* sums, float* db, int n_threads) noexcept nogil:
    # All gradients of a convolution in one region: dx by the jobs of `layer`, dw by those of `gradient`, and the sums
    # of the columns of dy unless db is NULL; sums has a row for each chunk of dy. The longest jobs come first, so that
    # the threads end at the same time.
    cdef Turns of_dw, of_dx, of_db
    cdef int64_t starts[2]
    cdef int64_t parts[2]
    cdef int64_t o = gradient.shape.groups * gradient.shape.o, job, i
    cdef int thread
    starts[0] = parts[0] = 0
    starts[1], parts[1] = gradient.rules.n_out, ceiling(gradient.rules.n_out, CHUNK_ROWS) if db != NULL else 0
    share_jobs(&of_dw, gradient.chunks.chunks * gradient.chunks.parts, n_threads)
    share_jobs(&of_dx, layer.jobs, n_threads)
    share_jobs(&of_db, parts[1], n_threads)
    with parallel(num_threads=n_threads):
        for job in prange(layer.packs, schedule="static"):
            pack(layer, job)
        for thread in prange(n_threads, schedule="static", chunksize=1):
            dw_jobs(gradient, &of_dw, thread)
            conv_jobs(layer, &of_dx, thread)
            i = take_job(&of_db, thread)
            while i >= 0:
                sum_chunk(layer.table, gradient.dy, starts, parts, sums + i * o, i, 1, o)
                i = take_job(&of_db, thread)
        for job in prange(gradient.pieces, schedule="static"):
            add_chunks(gradient, job)
    if db != NULL:
        join_chunks(parts, sums, db, 1, o)


cdef void dw_jobs(const Gradient* gradient, Turns* turns, int thread) noexcept nogil:
    cdef int64_t job = take_job(turns, thread)
    while job >= 0:
        dw_job(gradient, job, thread)
        job = take_job(turns, thread)


cdef void dw_job(const Gradient* gradient, int64_t job, int thread) noexcept nogil:
    cdef Shape shape = gradient.shape
    cdef Chunks chunks = gradient.chunks
    cdef int64_t chunk = job // chunks.parts, part = job % chunks.parts, slabs = chunks.slabs
    cdef int64_t units = gradient.rules.n_offsets * shape.groups * slabs
    cdef int64_t sweeps = ceiling(gradient.rules.n_tiles, chunks.tiles), sweep, unit, slab, row, low, high, tile, last
    cdef int64_t c = shape.groups * shape.c, o = shape.groups * shape.o
    cdef const Rules* rules = gradient.rules
    cdef Range new_in, new_out
    cdef int64_t floats = gradient.rules.n_offsets * shape.groups * shape.c * shape.o
    cdef float* dw = gradient.dw if chunk == 0 else gradient.sums + (chunk - 1) * floats
    low, high = units * part // chunks.parts, units * (part + 1) // chunks.parts
    for unit in range(low, high):
        slab = unit % slabs
        row = unit // slabs * shape.c + slab * shape.c // slabs
        memset(dw + row * shape.o, 0,
               <size_t>((unit // slabs * shape.c + (slab + 1) * shape.c // slabs - row) * shape.o) * sizeof(float))
    for sweep in range(sweeps * chunk // chunks.chunks, sweeps * (chunk + 1) // chunks.chunks):
        # The next sweep's rows are fetched where the second cache holds those of both.
        tile = min((sweep + 1) * chunks.tiles, rules.n_tiles)
        last = min(tile + chunks.tiles, rules.n_tiles) if c + o <= CHANNELS else tile
        new_in, new_out = rows_in(rules, tile, last), rows_out(rules, tile, last)
        for unit in range(low, high):
            fetch_rows(gradient.x, c, c, new_in, unit - low, high - low)
            fetch_rows(gradient.dy, o, o, new_out, unit - low, high - low)
            if unit % slabs == 0 and unit // slabs % shape.groups == 0:
                fetch_numbers(rules, unit // slabs // shape.groups, tile, last)
            dw_unit(gradient, dw, sweep, unit, gradient.room + thread * chunks.room)


cdef void dw_unit(const Gradient* gradient, float* dw, int64_t sweep, int64_t unit, float* room) noexcept nogil:
    cdef const Rules* rules = gradient.rules
    cdef Shape shape = gradient.shape
    cdef int64_t slabs = gradient.chunks.slabs, plane = unit // slabs, slab = unit % slabs
    cdef int64_t group = plane % shape.groups, first = slab * shape.c // slabs
    cdef const int64_t* tile_ptr = rules.tile_ptr + plane // shape.groups * (rules.n_tiles + 1)
    cdef int64_t start = tile_ptr[sweep * gradient.chunks.tiles]
    cdef int64_t pairs = tile_ptr[min((sweep + 1) * gradient.chunks.tiles, rules.n_tiles)] - start
    cdef Outer product
    if pairs == 0:
        return
    product.x = gradient.x + group * shape.c + first
    product.dy = gradient.dy + group * shape.o
    product.dw = dw + (plane * shape.c + first) * shape.o
    product.room = room
    product.x_stride, product.dy_stride, product.dw_stride = shape.groups * shape.c, shape.groups * shape.o, shape.o
    product.c = <int32_t>((slab + 1) * shape.c // slabs - first)
    product.cols = <int32_t>shape.o
    product.near, product.panels = <int32_t>gradient.chunks.near, gradient.chunks.panels
    gradient.table.outer(&product, rules.in_rows + start, rules.out_rows + start, pairs)


cdef void add_chunks(const Gradient* gradient, int64_t piece) noexcept nogil:
    cdef int64_t floats = gradient.rules.n_offsets * gradient.shape.groups * gradient.shape.c * gradient.shape.o, chunk
    cdef int64_t low = piece * PIECE, n = min(floats - low, PIECE)
    for chunk in range(gradient.chunks.chunks - 1):
        gradient.table.add(gradient.dw + low, gradient.sums + chunk * floats + low, n)
