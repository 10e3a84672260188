"""Attention among the rows of windows, and its gradient: a window and a head at a time, in memory that stays cached."""

from cython.parallel cimport prange, threadid
from libc.math cimport expf
from libc.stdint cimport int32_t, int64_t, uint64_t

from spconv_cy.cpu.order cimport MAX_WIDTH, Box, bounds_part, lay_out

cdef extern from *:
    """
    #include <algorithm>
    #include <cstdint>
    #include <cstring>
    #include <new>
    #include <vector>
    namespace {
    struct Keyed { int64_t key, row; };

    // Sorts rows by the key of their window, and windows by their number of rows; equal ones keep their order. Sets
    // groups (first, windows, m) of windows of m rows; returns how many, or -1 without memory.
    int64_t group_rows(const int64_t* keys, int64_t n, int64_t* rows, int64_t* groups) try {
        std::vector<Keyed> order(n);
        std::vector<int64_t> starts, counts;
        for (int64_t i = 0; i < n; ++i) order[i] = {keys[i], i};
        std::sort(order.begin(), order.end(), [](const Keyed& a, const Keyed& b) {
            return a.key != b.key ? a.key < b.key : a.row < b.row;
        });
        for (int64_t i = 0; i < n; ++i)
            if (!i || order[i].key != order[i - 1].key) starts.push_back(i);
        starts.push_back(n);
        for (size_t w = 0; w + 1 < starts.size(); ++w) {
            const int64_t m = starts[w + 1] - starts[w];
            if (m >= static_cast<int64_t>(counts.size())) counts.resize(m + 1);
            ++counts[m];
        }
        int64_t place = 0, n_groups = 0;
        for (int64_t m = 1; m < static_cast<int64_t>(counts.size()); ++m) {
            if (!counts[m]) continue;
            groups[3 * n_groups] = place, groups[3 * n_groups + 1] = counts[m], groups[3 * n_groups + 2] = m;
            ++n_groups;
            const int64_t end = place + counts[m] * m;
            counts[m] = place;
            place = end;
        }
        for (size_t w = 0; w + 1 < starts.size(); ++w) {
            int64_t& at = counts[starts[w + 1] - starts[w]];
            for (int64_t i = starts[w]; i < starts[w + 1]; ++i) rows[at++] = order[i].row;
        }
        return n_groups;
    } catch (const std::bad_alloc&) { return -1; }
    }
    """
    int64_t group_rows(const int64_t* keys, int64_t n, int64_t* rows, int64_t* groups) noexcept nogil


cdef int64_t partition(const int32_t* sites, int64_t n, int width, const int64_t* size, const int64_t* shift,
                       int64_t* keys, int64_t* rows, int64_t* codes, Group* groups) noexcept nogil:
    # Groups n >= 1 sites by the blocks of a partition; size and shift (width), from 1 on. keys (n): scratch; rows (n),
    # codes (n): what an Attention has; groups: room for all numbers of rows that windows may have. Returns the number
    # of groups, -1 if keys do not hold the extents, or without memory.
    cdef int32_t ends[2 * MAX_WIDTH]
    cdef Box box
    cdef int64_t i, key
    cdef uint64_t code                                                   # wraps for windows too large for positions
    cdef int axis
    bounds_part(sites, 0, n, width, ends)
    box.width, box.low[0], box.side[0] = width, ends[0], <int64_t>ends[width] - ends[0] + 1
    for axis in range(1, width):
        box.low[axis] = floored(ends[axis] + shift[axis], size[axis])
        box.side[axis] = floored(ends[width + axis] + shift[axis], size[axis]) - box.low[axis] + 1
    if not lay_out(&box):
        return -1
    for i in range(n):
        key, code = (sites[i * width] - box.low[0]) * box.step[0], 0
        for axis in range(1, width):
            key += (floored(sites[i * width + axis] + shift[axis], size[axis]) - box.low[axis]) * box.step[axis]
            code = code * <uint64_t>(2 * size[axis] - 1) + <uint64_t><int64_t>sites[i * width + axis]
        keys[i], codes[i] = key, <int64_t>code
    return group_rows(keys, n, rows, <int64_t*>groups)


cdef inline int64_t floored(int64_t value, int64_t step) noexcept nogil:
    cdef int64_t whole = value // step
    return whole - 1 if whole * step > value else whole


cdef void sum_places(const Attention* given, const float* dscores, float* room, float* dpositions, int64_t v,
                     int n_threads) noexcept nogil:
    # Adds to dpositions (v, heads) the sums of dscores over the pairs of each place, pairs in their order. room
    # (heads, v): zero, before and after.
    cdef int64_t h
    for h in prange(given.heads, schedule="static", num_threads=n_threads):
        sum_head(given, h, dscores, room + h * v, dpositions, v)


cdef void sum_head(const Attention* given, int64_t h, const float* dscores, float* room, float* dpositions,
                   int64_t v) noexcept nogil:
    cdef int64_t m = given.m, w, i, j, place, all_pairs = given.windows * m * m
    cdef const int64_t* window
    for w in range(given.windows):
        window = given.window + w * m
        for i in range(m):
            for j in range(m):
                place = given.codes[window[i]] + given.centre - given.codes[window[j]]
                room[place] += dscores[((w * given.heads + h) * m + i) * m + j]
    if all_pairs > v:
        for place in range(v):
            dpositions[place * given.heads + h] += room[place]
            room[place] = 0
        return
    for w in range(given.windows):                                       # only what has been touched
        window = given.window + w * m
        for i in range(m):
            for j in range(m):
                place = given.codes[window[i]] + given.centre - given.codes[window[j]]
                dpositions[place * given.heads + h] += room[place]
                room[place] = 0


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
    if given.positions != NULL and given.codes != NULL:
        for j in range(m):
            scores[j] += given.positions[
                (given.codes[given.window[w * m + i]] + given.centre - given.codes[given.window[w * m + j]])
                * given.heads + h]
    elif given.positions != NULL:
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
