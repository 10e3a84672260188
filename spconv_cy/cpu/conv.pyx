"""Loops over tiles of the convolution: forward, and dx with transposed pairs and weights."""

from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.string cimport memcpy

from spconv_cy.cpu.fetch cimport Range, fetch_numbers, fetch_rows, rows_in, rows_out
from spconv_cy.cpu.isa cimport Igemm
from spconv_cy.cpu.once cimport begin_sums, each_once, next_rows
from spconv_cy.cpu.rules cimport TILE_ROWS
from spconv_cy.cpu.threads cimport ceiling, share_jobs, take_job


cdef enum:
    WIDEST = 64                 # most columns of a block
    WIDTH = 128                 # most columns of all tiles of a job: their sums lie in the first two caches
    DEEP = 96                   # inputs from which on sums are used so seldom that there may be twice as many
    INPUTS = 160                # most inputs of a pass over a tile: their weights stay in the first cache
    FEW = 8                     # offsets up to which rows are read and written so seldom that they are waited for
    JOBS = 24                   # least number of jobs that have more than one tile


cdef int64_t widest_block(const KernelTable* table, Shape shape) noexcept nogil:
    cdef int64_t vectors = ceiling(shape.o, table.lanes)
    return ceiling(vectors, ceiling(vectors, table.vectors)) * table.lanes


cdef int64_t span_of(const KernelTable* table, const Rules* rules, Shape shape, int64_t least,
                     bint beside=False) noexcept nogil:
    # How many tiles a job takes. Their pairs are consecutive in each offset, so each load of the weights serves more
    # pairs. A job takes more than one only if `least` jobs are left, so that all threads have work.
    cdef int64_t width = widest_block(table, shape), span = 1
    cdef int64_t jobs = rules.n_tiles * shape.groups * ceiling(ceiling(shape.o, table.lanes), table.vectors)
    cdef int64_t most = 2 * WIDTH if shape.c >= DEEP else WIDTH
    if beside:                                                           # as many rows lie in the caches again
        jobs, most = rules.n_tiles, most // 2
    while 2 * span * width <= most and jobs >= 2 * least * span:
        span *= 2
    return span


cdef int64_t jobs_of(const Weights* w, int n_threads) noexcept nogil:
    # The least number of jobs. Moments are taken for each job, and their bits must not depend on the threads; those of
    # y do not depend on the jobs. With packed weights there are no moments, and one thread reads weights seldom.
    return JOBS if w.packed == NULL else min(JOBS, 8 * (n_threads - 1))


cdef int64_t packed_floats(const KernelTable* table, Shape shape, int64_t n_offsets) noexcept nogil:
    return n_offsets * shape.groups * shape.c * ceiling(shape.o, table.lanes) * table.lanes


cdef int64_t scratch_floats(const KernelTable* table, const Weights* w, const Rules* rules, Shape shape,
                            int n_threads, const Beside* beside=NULL) noexcept nogil:
    # Slots of sums for as many threads as conv can use, from the first 64-byte boundary on; then the packed weights.
    cdef int64_t jobs = rules.n_tiles * shape.groups * ceiling(shape.o, table.lanes)
    cdef int64_t span = span_of(table, rules, shape, jobs_of(w, n_threads), beside != NULL)
    return (16 + team_of(rules, shape, jobs, n_threads) * (slot_of(table, shape, span, beside)
                                                           + room_of(shape, span, beside))
            + (packed_floats(table, shape, rules.n_offsets) if w.packed == NULL else 0))


cdef int64_t slot_of(const KernelTable* table, Shape shape, int64_t span, const Beside* beside) noexcept nogil:
    # Floats of the sums of a job.
    cdef int64_t width = widest_block(table, shape)
    if beside != NULL:
        width = max(width, max(widest_block(table, Shape(1, 1, max(beside.before.o, 1))),
                               widest_block(table, Shape(1, 1, max(beside.then.o, 1)))))
    return span * TILE_ROWS * width


cdef int64_t room_of(Shape shape, int64_t span, const Beside* beside) noexcept nogil:
    # Floats of a job's rows before and of those for the product after, and the numbers of its rows.
    if beside == NULL:
        return 0
    return span * TILE_ROWS * (ceiling(beside.before.o, 16) * 16 + ceiling(shape.o, 16) * 16 + 1)


cdef int64_t job_rows(const KernelTable* table, const Rules* rules, Shape shape) noexcept nogil:
    return span_of(table, rules, shape, JOBS) * TILE_ROWS


cdef void conv(const KernelTable* table, const float* x, const Weights* w, float* scratch, const float* bias, float* y,
               const Rules* rules, Shape shape, const After* after, int n_threads,
               const Beside* beside=NULL) noexcept nogil:
    # A tile owns its output rows, and a job owns a block of their columns, so no two threads write the same value.
    # Every value is summed in the order of the offsets, for any number of threads.
    cdef Layer layer
    cdef Turns turns
    cdef int64_t job
    cdef int thread
    n_threads = begin(&layer, table, x, w, scratch, bias, y, rules, shape, after, n_threads, beside)
    share_jobs(&turns, layer.jobs, n_threads)
    with parallel(num_threads=n_threads):
        for job in prange(layer.packs, schedule="static"):
            pack(&layer, job)
        for thread in prange(n_threads, schedule="static", chunksize=1):
            conv_jobs(&layer, &turns, thread)


cdef void conv_jobs(const Layer* layer, Turns* turns, int thread) noexcept nogil:
    cdef int64_t job = take_job(turns, thread)
    while job >= 0:
        if layer.beside == NULL:
            conv_tile(layer, job, thread)
        else:
            conv_beside(layer, job, thread)
        job = take_job(turns, thread)


cdef int begin(Layer* layer, const KernelTable* table, const float* x, const Weights* w, float* scratch,
               const float* bias, float* y, const Rules* rules, Shape shape, const After* after, int n_threads,
               const Beside* beside) noexcept nogil:
    # Fills `layer`, and returns the number of threads that it has room for. First all packs run, then all jobs.
    layer.table, layer.x, layer.w, layer.bias, layer.y = table, x, w, bias, y
    layer.rules, layer.shape, layer.after, layer.beside = rules, shape, after, beside
    layer.vectors = ceiling(shape.o, table.lanes)
    layer.blocks = ceiling(layer.vectors, table.vectors)
    layer.packs = shape.groups * layer.blocks * rules.n_offsets
    layer.span = span_of(table, rules, shape, jobs_of(w, n_threads), beside != NULL)
    layer.spans = ceiling(rules.n_tiles, layer.span)
    layer.jobs = layer.spans * (1 if beside != NULL else shape.groups * layer.blocks)
    n_threads = team_of(rules, shape, layer.jobs, n_threads)
    layer.sums = scratch + (-<uintptr_t>scratch % 64) // sizeof(float)
    layer.room = room_of(shape, layer.span, beside)
    layer.slot = slot_of(table, shape, layer.span, beside) + layer.room
    layer.packed, layer.first_row, layer.first_added = layer.sums + n_threads * layer.slot, 0, 0
    layer.in_place = (layer.blocks == 1 and beside == NULL and x != y
                      and after.finish.residual == NULL and after.y_stride == layer.vectors * table.lanes
                      and shape.groups == 1 and shape.o == after.y_stride and <uintptr_t>y % 64 == 0)
    if w.packed != NULL:
        layer.packed, layer.packs = <float*>w.packed, 0
    return n_threads


cdef inline float* packed_at(const Layer* layer, Block block, int64_t group, int64_t offset) noexcept nogil:
    # Order of the packed weights: group, block, offset, input, column; a job reads them from front to back.
    cdef int64_t before = (group * layer.vectors + block.first) * layer.rules.n_offsets + offset * block.vectors
    return layer.packed + before * layer.shape.c * layer.table.lanes


cdef Layer packing(const KernelTable* table, Shape shape, Rules* rules, float* packed) noexcept nogil:
    # What pack and packed_at read of a layer.
    cdef Layer layer
    layer.table, layer.shape, layer.rules, layer.packed = table, shape, rules, packed
    layer.vectors = ceiling(shape.o, table.lanes)
    layer.blocks = ceiling(layer.vectors, table.vectors)
    return layer


cdef void pack_weights(const KernelTable* table, const Weights* w, Shape shape, int64_t n_offsets,
                       float* packed) noexcept nogil:
    cdef int64_t offset
    for offset in range(n_offsets):
        pack_offset(table, w, shape, n_offsets, packed, offset)


cdef void pack_offset(const KernelTable* table, const Weights* w, Shape shape, int64_t n_offsets, float* packed,
                      int64_t offset) noexcept nogil:
    # Its weights are read once for each block, and from the cache but for the first.
    cdef Rules rules
    cdef int64_t index
    rules.n_offsets = n_offsets
    cdef Layer layer = packing(table, shape, &rules, packed)
    layer.w = w
    for index in range(shape.groups * layer.blocks):
        pack(&layer, index * n_offsets + offset)


cdef void unpack_weights(const KernelTable* table, const float* packed, Shape shape, int64_t n_offsets,
                         float* w) noexcept nogil:
    # w (n_offsets, groups, c, o), C-contiguous.
    cdef Rules rules
    cdef Block block
    cdef int64_t offset, group, index, i
    cdef const float* source
    rules.n_offsets = n_offsets
    cdef Layer layer = packing(table, shape, &rules, <float*>packed)
    for group in range(shape.groups):
        for index in range(layer.blocks):
            block = block_at(table, shape.o, layer.vectors, layer.blocks, index)
            for offset in range(n_offsets):
                source = packed_at(&layer, block, group, offset)
                for i in range(shape.c):
                    memcpy(w + ((offset * shape.groups + group) * shape.c + i) * shape.o + block.first * table.lanes,
                           source + i * block.vectors * table.lanes, <size_t>block.cols * sizeof(float))


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
    # The sums stay in the first caches: in y itself if they can, else padded to whole vectors, and y is written once.
    cdef float* sums = layer.sums + thread * layer.slot
    cdef const Rules* rules = layer.rules
    cdef int64_t columns = layer.shape.groups * layer.blocks, index = job % columns
    cdef int64_t tile = job // columns * layer.span, last = min(tile + layer.span, rules.n_tiles)
    cdef int64_t group = index // layer.blocks, c = layer.shape.c, offset, start, pairs, i, taken
    cdef Block block = block_at(layer.table, layer.shape.o, layer.vectors, layer.blocks, index % layer.blocks)
    cdef int64_t first_column = group * layer.shape.o + block.first * layer.table.lanes
    cdef int64_t width = block.vectors * layer.table.lanes, rows = min(last * TILE_ROWS, rules.n_out) - tile * TILE_ROWS
    cdef int64_t passes = ceiling(c, INPUTS)
    cdef const float* w
    cdef const float* bias = layer.bias
    cdef Igemm product
    cdef bint few = rules.n_offsets <= FEW and block.vectors > 1
    cdef Range new, own = rows_out(rules, tile, last)
    cdef int64_t ahead = min(last + layer.span, rules.n_tiles) if index == 0 else last      # behind the next job
    cdef float[WIDEST] first_sums
    cdef const float* once = NULL
    if bias != NULL:
        bias += first_column
    if layer.in_place:
        sums = layer.y + (tile * TILE_ROWS - layer.first_row) * width
    product.x_stride = layer.after.x_stride
    product.sums, product.first_row, product.vectors = sums, tile * TILE_ROWS, <int32_t>block.vectors
    product.next = NULL
    new = rows_in(rules, last, ahead)
    if rules.n_offsets <= FEW and c > 0 and each_once(layer.table, rules, tile, last, rows, <char*>sums):
        once = first_sums
        begin_sums(first_sums, 1, width, bias, block.cols)
    else:
        begin_sums(sums, rows, width, bias, block.cols)
    for offset in range(rules.n_offsets):
        start = rules.tile_ptr[offset * (rules.n_tiles + 1) + tile]
        pairs = rules.tile_ptr[offset * (rules.n_tiles + 1) + last] - start
        # At each offset a share of the rows that are written at the end, and of those that the next job reads first.
        if not layer.in_place:
            fetch_rows(layer.y + first_column - layer.first_row * layer.after.y_stride, layer.after.y_stride,
                       block.cols, own, offset, rules.n_offsets)
        fetch_rows(layer.x, layer.after.x_stride, layer.shape.groups * c, new, offset, rules.n_offsets)
        fetch_numbers(rules, offset, last, ahead)
        if few:
            product.next = next_rows(rules, offset, tile, last)
        if pairs == 0 or c == 0:
            continue
        w = packed_at(layer, block, group, offset)
        for i in range(passes):
            taken = i * c // passes
            product.x, product.begin = layer.x + group * c + taken, once if i == 0 else NULL
            product.w = w + taken * width
            product.c = <int32_t>((i + 1) * c // passes - taken)
            layer.table.igemm(&product, rules.in_rows + start, rules.out_rows + start, pairs)
    finish_tile(layer, tile, rows, first_column, sums, width, block.cols)


cdef void conv_beside(const Layer* layer, int64_t job, int thread) noexcept nogil:
    # All columns of a job's rows, with what is computed beside: rows that no other job reads stay in the second cache.
    cdef const Rowwise* before = &layer.beside.before
    cdef const Rowwise* then = &layer.beside.then
    cdef int64_t tile = job * layer.span, rows = min((tile + layer.span) * TILE_ROWS, layer.rules.n_out)
    cdef int64_t i, o = ceiling(layer.shape.o, 16) * 16, width = ceiling(before.o, 16) * 16
    cdef float* sums = layer.sums + thread * layer.slot
    cdef float* added = sums + layer.slot - layer.room
    cdef float* made = added + layer.span * TILE_ROWS * width
    cdef int32_t* numbers = <int32_t*>(made + layer.span * TILE_ROWS * o)
    cdef After after = layer.after[0]
    cdef Layer own = layer[0]
    rows -= tile * TILE_ROWS
    for i in range(rows):
        numbers[i] = <int32_t>i
    own.after = &after
    own.first_row = own.first_added = 0
    if before.packed != NULL:
        conv_rows(layer.table, before, before.x + tile * TILE_ROWS * before.x_stride, before.x_stride, added, width,
                  sums, numbers, rows)
        after.finish.residual, after.finish.residual_stride, own.first_added = added, width, tile * TILE_ROWS
    if then.packed != NULL:
        own.y, after.y_stride, own.first_row = made, o, tile * TILE_ROWS
    for i in range(layer.blocks):
        conv_tile(&own, job * layer.blocks + i, thread)
    if then.packed != NULL:
        conv_rows(layer.table, then, made, o, layer.y + tile * TILE_ROWS * layer.after.y_stride, layer.after.y_stride,
                  sums, numbers, rows)


cdef void conv_rows(const KernelTable* table, const Rowwise* what, const float* x, int64_t x_stride, float* y,
                    int64_t y_stride, float* sums, const int32_t* numbers, int64_t rows) noexcept nogil:
    # The product of each of a few rows by itself, summed in the order of conv_tile.
    cdef int64_t vectors = ceiling(what.o, table.lanes), blocks = ceiling(vectors, table.vectors)
    cdef int64_t passes = ceiling(what.c, INPUTS), index, i, taken, first, width
    cdef const float* bias
    cdef const float* w
    cdef Block block
    cdef Igemm product
    cdef Finish how
    product.x_stride, product.sums, product.first_row = x_stride, sums, 0
    product.begin = product.next = NULL
    for index in range(blocks):
        block = block_at(table, what.o, vectors, blocks, index)
        first, width = block.first * table.lanes, block.vectors * table.lanes
        bias = what.bias
        if bias != NULL:
            bias += first
        w = what.packed + block.first * what.c * table.lanes
        product.vectors = <int32_t>block.vectors
        begin_sums(sums, rows, width, bias, block.cols)
        for i in range(passes if what.c > 0 else 0):
            taken = i * what.c // passes
            product.x, product.w = x + taken, w + taken * width
            product.c = <int32_t>((i + 1) * what.c // passes - taken)
            table.igemm(&product, numbers, numbers, rows)
        how = what.finish
        if how.scale != NULL:
            how.centre, how.rest = how.centre + first, how.rest + first
            how.scale, how.shift = how.scale + first, how.shift + first
        table.finish(y + first, y_stride, sums, width, rows, block.cols, &how)


cdef void finish_tile(const Layer* layer, int64_t tile, int64_t rows, int64_t first_column, const float* sums,
                      int64_t width, int64_t cols) noexcept nogil:
    cdef int64_t o = layer.shape.groups * layer.shape.o, step = layer.after.y_stride
    cdef int64_t at = (tile * TILE_ROWS - layer.first_row) * step + first_column
    cdef Finish how = layer.after.finish
    cdef double* part = layer.after.room
    if how.scale != NULL:
        how.centre, how.rest = how.centre + first_column, how.rest + first_column
        how.scale, how.shift = how.scale + first_column, how.shift + first_column
    if how.residual != NULL:
        how.residual += (tile * TILE_ROWS - layer.first_added) * how.residual_stride + first_column
    if not layer.in_place or how.scale != NULL or how.slope != 1:
        layer.table.finish(layer.y + at, step, sums, width, rows, cols, &how)
    if part != NULL:
        part += 2 * (tile // layer.span + 1) * o + first_column
        layer.table.measure(part, part + o, layer.y + at, step, rows, cols)
