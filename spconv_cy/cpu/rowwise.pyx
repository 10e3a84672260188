"""Activations and column-wise maps: one pass over memory each; sums are doubles by chunk, added in chunk order."""

from cython.parallel cimport prange
from libc.string cimport memset

from spconv_cy.cpu.isa cimport Finish
from spconv_cy.cpu.threads cimport Turns, ceiling, share_jobs, take_job, team


cdef enum:
    EXPONENTIAL = 4             # sums that take as long as one exponential


cdef void leaky(const KernelTable* table, const float* x, float* y, float slope, int64_t n,
                int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t i
    n_threads = team(n_threads, ceiling(n, PIECE), <double>n)
    share_jobs(&turns, ceiling(n, PIECE), n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        i = take_job(&turns, thread)
        while i >= 0:
            table.leaky(y + i * PIECE, x + i * PIECE, slope, min(PIECE, n - i * PIECE))
            i = take_job(&turns, thread)


cdef void leaky_dx(const KernelTable* table, const float* y, const float* dy, float* dx, float slope, int64_t n,
                   int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t i
    n_threads = team(n_threads, ceiling(n, PIECE), <double>n)
    share_jobs(&turns, ceiling(n, PIECE), n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        i = take_job(&turns, thread)
        while i >= 0:
            table.leaky_dx(dx + i * PIECE, y + i * PIECE, dy + i * PIECE, slope, min(PIECE, n - i * PIECE))
            i = take_job(&turns, thread)


cdef void add_chunks(double* sums, int64_t n_chunks, int64_t c) noexcept nogil:
    # Adds the sums of all chunks to those of the first.
    cdef int64_t chunk, i
    for chunk in range(1, n_chunks):
        for i in range(c):
            sums[i] += sums[chunk * c + i]


cdef void affine(const KernelTable* table, const float* x, const float* residual, float* y, const Affine* map,
                 int64_t n, int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t n_chunks = ceiling(n, CHUNK_ROWS), chunk
    n_threads = team(n_threads, n_chunks, <double>n * <double>map.c)
    share_jobs(&turns, n_chunks, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            affine_chunk(table, x, residual, y, map, chunk * CHUNK_ROWS * map.c,
                         min(CHUNK_ROWS, n - chunk * CHUNK_ROWS))
            chunk = take_job(&turns, thread)


cdef void affine_chunk(const KernelTable* table, const float* x, const float* residual, float* y, const Affine* map,
                       int64_t start, int64_t rows) noexcept nogil:
    cdef Finish how
    if residual == NULL:
        table.affine(y + start, x + start, map, rows)
        return
    how.centre, how.rest, how.scale, how.shift = map.centre, map.rest, map.scale, map.shift
    how.residual, how.residual_stride, how.slope = residual + start, map.c, map.slope
    table.finish(y + start, map.c, x + start, map.c, rows, map.c, &how)


cdef void affine_sums(const KernelTable* table, const float* x, const float* dy, float* found, double* sums,
                      const Affine* map, int64_t n, int n_threads) noexcept nogil:
    # Sets found (2, c) to total and dot. sums has 2 * c places for each chunk, at least for one.
    cdef Turns turns
    cdef int thread
    cdef int64_t n_chunks = ceiling(n, CHUNK_ROWS), chunk, i
    n_threads = team(n_threads, n_chunks, 2 * <double>n * <double>map.c)
    memset(sums, 0, <size_t>(2 * max(n_chunks, 1) * map.c) * sizeof(double))
    share_jobs(&turns, n_chunks, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            table.affine_sums(sums + 2 * chunk * map.c, sums + (2 * chunk + 1) * map.c, x + chunk * CHUNK_ROWS * map.c,
                              dy + chunk * CHUNK_ROWS * map.c, map, min(CHUNK_ROWS, n - chunk * CHUNK_ROWS))
            chunk = take_job(&turns, thread)
    add_chunks(sums, n_chunks, 2 * map.c)
    for i in range(2 * map.c):
        found[i] = <float>sums[i]


cdef void affine_dx(const KernelTable* table, const float* x, const float* dy, float* dx, const Affine* map,
                    const float* ab, int64_t n, int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t n_chunks = ceiling(n, CHUNK_ROWS), chunk, start
    n_threads = team(n_threads, n_chunks, <double>n * <double>map.c)
    share_jobs(&turns, n_chunks, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            start = chunk * CHUNK_ROWS * map.c
            table.affine_dx(dx + start, x + start, dy + start, map, ab, ab + map.c,
                            min(CHUNK_ROWS, n - chunk * CHUNK_ROWS))
            chunk = take_job(&turns, thread)


cdef void sum(const KernelTable* table, const float* a, const float* b, float* y, int64_t n,
              int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t i
    n_threads = team(n_threads, ceiling(n, PIECE), <double>n)
    share_jobs(&turns, ceiling(n, PIECE), n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        i = take_job(&turns, thread)
        while i >= 0:
            table.sum(y + i * PIECE, a + i * PIECE, b + i * PIECE, min(PIECE, n - i * PIECE))
            i = take_job(&turns, thread)


cdef void join(const KernelTable* table, const vector[Part]& parts, float* y, int64_t n, int64_t c,
               int n_threads) noexcept nogil:
    # Sets y (n, c) to the columns of all parts.
    cdef Turns turns
    cdef int thread
    cdef int64_t n_chunks = ceiling(n, CHUNK_ROWS), chunk
    n_threads = team(n_threads, n_chunks, <double>n * <double>c)
    share_jobs(&turns, n_chunks, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            join_chunk(table, parts, y + chunk * CHUNK_ROWS * c, chunk, n, c)
            chunk = take_job(&turns, thread)


cdef void join_chunk(const KernelTable* table, const vector[Part]& parts, float* y, int64_t chunk, int64_t n,
                     int64_t c) noexcept nogil:
    cdef size_t i
    for i in range(parts.size()):
        table.copy(y, c, parts[i].rows + chunk * CHUNK_ROWS * parts[i].c, parts[i].c,
                   min(CHUNK_ROWS, n - chunk * CHUNK_ROWS), parts[i].c)
        y += parts[i].c


cdef void part(const KernelTable* table, const float* x, const vector[Part]& parts, int64_t n, int64_t c,
               int n_threads) noexcept nogil:
    # Sets the parts to their columns of x (n, c).
    cdef Turns turns
    cdef int thread
    cdef int64_t n_chunks = ceiling(n, CHUNK_ROWS), chunk
    n_threads = team(n_threads, n_chunks, <double>n * <double>c)
    share_jobs(&turns, n_chunks, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            part_chunk(table, x + chunk * CHUNK_ROWS * c, parts, chunk, n, c)
            chunk = take_job(&turns, thread)


cdef void part_chunk(const KernelTable* table, const float* x, const vector[Part]& parts, int64_t chunk, int64_t n,
                     int64_t c) noexcept nogil:
    cdef size_t i
    for i in range(parts.size()):
        table.copy(parts[i].rows + chunk * CHUNK_ROWS * parts[i].c, parts[i].c, x, c,
                   min(CHUNK_ROWS, n - chunk * CHUNK_ROWS), parts[i].c)
        x += parts[i].c


cdef inline const float* at(const float* numbers, int64_t start) noexcept nogil:
    if numbers == NULL:
        return NULL
    return numbers + start


cdef int64_t misfit(const int64_t* labels, int64_t n, int64_t c) noexcept nogil:
    # Returns the first place of a label that is not from -1 to c - 1, or -1.
    cdef int64_t i
    for i in range(n):
        if labels[i] < -1 or labels[i] >= c:
            return i
    return -1


cdef double entropy(const KernelTable* table, const float* x, const int64_t* labels, const float* counts, float* found,
                    double* sums, int64_t n, int64_t c, int n_threads) noexcept nogil:
    # Returns the sum of all losses. sums has a place for each chunk; counts may be NULL.
    cdef Turns turns
    cdef int thread
    cdef int64_t n_chunks = ceiling(n, CHUNK_ROWS), chunk, start
    cdef double total = 0
    n_threads = team(n_threads, n_chunks, EXPONENTIAL * <double>n * <double>c)
    memset(sums, 0, <size_t>n_chunks * sizeof(double))
    share_jobs(&turns, n_chunks, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            start = chunk * CHUNK_ROWS
            table.entropy(sums + chunk, found + 2 * start, x + start * c, labels + start,
                          at(counts, start), min(CHUNK_ROWS, n - start), c)
            chunk = take_job(&turns, thread)
    for chunk in range(n_chunks):
        total += sums[chunk]
    return total


cdef void entropy_dx(const KernelTable* table, const float* x, const float* found, const int64_t* labels,
                     const float* counts, float factor, float* dx, int64_t n, int64_t c, int n_threads) noexcept nogil:
    cdef Turns turns
    cdef int thread
    cdef int64_t n_chunks = ceiling(n, CHUNK_ROWS), chunk, start
    n_threads = team(n_threads, n_chunks, EXPONENTIAL * <double>n * <double>c)
    share_jobs(&turns, n_chunks, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        chunk = take_job(&turns, thread)
        while chunk >= 0:
            start = chunk * CHUNK_ROWS
            table.entropy_dx(dx + start * c, x + start * c, found + 2 * start, labels + start,
                             at(counts, start), factor, min(CHUNK_ROWS, n - start), c)
            chunk = take_job(&turns, thread)
