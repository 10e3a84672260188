"""Mean and variance of columns in one pass over memory: each part of the rows has its own; they are joined in order.

A part is (2, c) doubles: the means of its rows, and the sums of squares about them. The first place is for the result.
"""

from cython.parallel cimport prange
from libc.string cimport memset

from spconv_cy.cpu.threads cimport team


cdef int64_t room_of(int64_t n, int64_t part_rows, int64_t c) noexcept nogil:
    # Doubles for the result and the parts of n rows.
    return 2 * c * (1 + (n + part_rows - 1) // part_rows)


cdef void moments(const KernelTable* table, const float* x, float* found, double* room, int64_t n, int64_t c,
                  int n_threads) noexcept nogil:
    # found as in joined; n >= 1.
    cdef int64_t n_parts = (n + PART_ROWS - 1) // PART_ROWS, part
    n_threads = team(n_threads, n_parts, <double>n * <double>c)
    for part in prange(n_parts, schedule="static", num_threads=n_threads):
        table.measure(room + 2 * (part + 1) * c, room + (2 * part + 3) * c, x + part * PART_ROWS * c, c,
                      min(PART_ROWS, n - part * PART_ROWS), c)
    joined(room, PART_ROWS, found, n, c)


cdef void joined(double* room, int64_t part_rows, float* found, int64_t n, int64_t c) noexcept nogil:
    # Sets found (3, c) to the mean as a float, the rest of it that a float does not hold, and the biased variance of n
    # rows. Every part has part_rows rows, the last one what is left; n >= 1.
    cdef int64_t n_parts = (n + part_rows - 1) // part_rows, part, i
    cdef double rows, apart
    cdef const double* means
    memset(room, 0, <size_t>(2 * c) * sizeof(double))
    for part in range(n_parts):
        rows, means = <double>min(part_rows, n - part * part_rows), room + 2 * (part + 1) * c
        for i in range(c):
            room[i] += rows * means[i]
    for i in range(c):
        room[i] /= <double>n
        found[i] = <float>room[i]
        found[c + i] = <float>(room[i] - found[i])
    for part in range(n_parts):
        rows, means = <double>min(part_rows, n - part * part_rows), room + 2 * (part + 1) * c
        for i in range(c):
            apart = means[i] - room[i]
            room[c + i] += means[c + i] + rows * apart * apart
    for i in range(c):
        found[2 * c + i] = <float>(room[c + i] / <double>n)
