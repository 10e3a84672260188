"""Attention among the rows of windows, and its gradient: a window and a head at a time, in memory that stays cached."""

from cython.parallel cimport prange, threadid
from libc.math cimport expf
from libc.stdint cimport int64_t


cdef void attend(const Attention* given, float* y, float* shares, float* scratch, int n_threads) noexcept nogil:
    # y (n, heads * d) for the windows' rows; shares (windows, heads, m, m). scratch: m * d for each thread.
    cdef int64_t w
    for w in prange(given.windows, schedule="static", num_threads=n_threads):
        attend_window(given, w, y, shares, scratch + threadid() * given.m * given.d)


cdef void attend_window(const Attention* given, int64_t w, float* y, float* shares, float* keys) noexcept nogil:
    cdef int64_t m = given.m, d = given.d, c = given.heads * d, h, i
    cdef const int64_t* window = given.window + w * m
    cdef float* share
    for h in range(given.heads):
        turn(given.rows + c + h * d, window, m, d, 3 * c, keys)
        for i in range(m):
            share = shares + ((w * given.heads + h) * m + i) * m
            score(given, w, h, i, given.rows + window[i] * 3 * c + h * d, keys, share)
            softmax(share, m)
            mix(share, 1, given.rows + 2 * c + h * d, window, m, d, 3 * c, 1, y + window[i] * c + h * d)


cdef void turn(const float* rows, const int64_t* window, int64_t m, int64_t d, int64_t stride,
               float* turned) noexcept nogil:
    # turned (d, m): the rows of a window side by side.
    cdef int64_t j, e
    for j in range(m):
        for e in range(d):
            turned[e * m + j] = rows[window[j] * stride + e]


cdef void score(const Attention* given, int64_t w, int64_t h, int64_t i, const float* query, const float* keys,
                float* scores) noexcept nogil:
    cdef int64_t m = given.m, j
    cdef const int64_t* places
    products(query, given.scale, keys, m, given.d, scores)
    if given.positions != NULL:
        places = given.places + (w * m + i) * m
        for j in range(m):
            scores[j] += given.positions[places[j] * given.heads + h]


cdef void products(const float* row, float scale, const float* turned, int64_t m, int64_t d,
                   float* found) noexcept nogil:
    # found (m): the products of a row with each of those side by side.
    cdef int64_t j, e
    cdef float factor
    for j in range(m):
        found[j] = 0
    for e in range(d):
        factor = row[e] * scale
        for j in range(m):
            found[j] += factor * turned[e * m + j]


cdef void softmax(float* scores, int64_t m) noexcept nogil:
    # A NaN among the scores makes all shares NaN, as in numpy.
    cdef int64_t j
    cdef float highest = scores[0], total = 0
    for j in range(1, m):
        highest = scores[j] if scores[j] > highest else highest
    for j in range(m):
        scores[j] = expf(scores[j] - highest)
        total += scores[j]
    for j in range(m):
        scores[j] /= total


cdef void mix(const float* share, int64_t step, const float* rows, const int64_t* window, int64_t m, int64_t d,
              int64_t stride, float scale, float* y) noexcept nogil:
    # y (d): the sum of the rows of a window, each times share[j * step], times scale.
    cdef int64_t j, e
    cdef float factor
    cdef const float* row
    for e in range(d):
        y[e] = 0
    for j in range(m):
        row, factor = rows + window[j] * stride, share[j * step] * scale
        for e in range(d):
            y[e] += factor * row[e]


cdef void attend_dx(const Attention* given, const float* dy, const float* shares, float* drows, float* dscores,
                    float* scratch, int n_threads) noexcept nogil:
    # drows (n, 3 * heads * d) for the windows' rows; dscores (windows, heads, m, m), before the scale. scratch: m * d
    # for each thread.
    cdef int64_t w
    for w in prange(given.windows, schedule="static", num_threads=n_threads):
        attend_dx_window(given, w, dy, shares, drows, dscores, scratch + threadid() * given.m * given.d)


cdef void attend_dx_window(const Attention* given, int64_t w, const float* dy, const float* shares, float* drows,
                           float* dscores, float* values) noexcept nogil:
    cdef int64_t m = given.m, d = given.d, c = given.heads * d, h, i, j
    cdef const int64_t* window = given.window + w * m
    cdef const float* share
    cdef float* dscore
    cdef float* drow
    cdef float total
    for h in range(given.heads):
        share, dscore = shares + (w * given.heads + h) * m * m, dscores + (w * given.heads + h) * m * m
        turn(given.rows + 2 * c + h * d, window, m, d, 3 * c, values)
        for i in range(m):
            products(dy + window[i] * c + h * d, 1, values, m, d, dscore + i * m)
            total = 0
            for j in range(m):
                total += dscore[i * m + j] * share[i * m + j]
            for j in range(m):
                dscore[i * m + j] = share[i * m + j] * (dscore[i * m + j] - total)
        for i in range(m):
            drow = drows + window[i] * 3 * c + h * d
            mix(dscore + i * m, 1, given.rows + c + h * d, window, m, d, 3 * c, given.scale, drow)
            mix(dscore + i, m, given.rows + h * d, window, m, d, 3 * c, given.scale, drow + c)
            mix(share + i, m, dy + h * d, window, m, d, c, 1, drow + 2 * c)
