"""Rows chosen by a score, and what is computed for the chosen ones, in one pass."""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.threads cimport team

cdef enum:
    ROWS = 256                          # of a job

cdef extern from *:
    """
    #include <algorithm>
    #include <cmath>
    #include <cstdint>
    #include <cstring>
    #include <new>
    #include <vector>
    namespace {
    // Sets order to the k best of rows low to high - 1: of equal scores the first row, and NaN last.
    template <class T> void choose(const T* scores, std::vector<int32_t>& order, int64_t low, int64_t high, int64_t k) {
        order.resize(high - low);
        for (int64_t i = low; i < high; ++i) order[i - low] = static_cast<int32_t>(i);
        if (k >= high - low) return;
        std::nth_element(order.begin(), order.begin() + k, order.end(), [scores](int32_t a, int32_t b) {
            const T x = scores[a], y = scores[b];
            if (std::isnan(x) != std::isnan(y)) return std::isnan(y);
            return x != y && !std::isnan(x) ? x > y : a < b;
        });
        order.resize(k);
    }

    bool mark_best(const double* scores, const int64_t* starts, int64_t segments, const int64_t* ks,
                   unsigned char* keep) try {
        std::vector<int32_t> order;
        std::memset(keep, 0, starts[segments]);
        for (int64_t s = 0; s < segments; ++s) {
            choose(scores, order, starts[s], starts[s + 1], ks[s]);
            for (int32_t row : order) keep[row] = 1;
        }
        return true;
    } catch (const std::bad_alloc&) { return false; }

    int64_t best_of_each(const float* scores, const int32_t* sites, int64_t n, int64_t width, int64_t k, int32_t* rows)
        try {
        std::vector<int32_t> order;
        int64_t count = 0;
        for (int64_t low = 0, high; low < n; low = high) {
            for (high = low + 1; high < n && sites[high * width] == sites[low * width];) ++high;
            choose(scores, order, low, high, k);
            std::sort(order.begin(), order.end());
            std::copy(order.begin(), order.end(), rows + count);
            count += static_cast<int64_t>(order.size());
        }
        return count;
    } catch (const std::bad_alloc&) { return -1; }
    }
    """
    bint mark_best(const double* scores, const int64_t* starts, int64_t segments, const int64_t* ks,
                   unsigned char* keep) noexcept nogil
    int64_t best_of_each(const float* scores, const int32_t* sites, int64_t n, int64_t width, int64_t k,
                         int32_t* rows) noexcept nogil


cdef bint best(const double* scores, const int64_t* starts, int64_t segments, const int64_t* ks,
               unsigned char* keep) noexcept nogil:
    # keep (starts[segments]): 1 for the ks[s] best rows of each segment. Returns False without memory.
    return mark_best(scores, starts, segments, ks, keep)


cdef int64_t above(const float* scores, int64_t n, float threshold, int32_t* rows) noexcept nogil:
    # Sets the rows with a score above the threshold; returns how many.
    cdef int64_t i, count = 0
    for i in range(n):
        rows[count] = <int32_t>i
        count += scores[i] > threshold
    return count


cdef int64_t best_in_samples(const float* scores, const int32_t* sites, int64_t n, int width, int64_t k,
                             int32_t* rows) noexcept nogil:
    # Sets the rows of the k best of each sample, ascending; returns how many, -1 without memory.
    return best_of_each(scores, sites, n, width, k, rows)


cdef void place(const float* x, const float* scores, const int32_t* sites, const int32_t* rows, int64_t m, int64_t c,
                int width, float* y, int32_t* chosen, int n_threads) noexcept nogil:
    # y (m, c): the rows of x, each times its score if there are scores; chosen (m, width): the sites.
    cdef int64_t n_jobs = (m + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, <double>m * <double>c)
    for job in prange(n_jobs, schedule="static", num_threads=n_threads):
        place_rows(x, scores, sites, rows, job * ROWS, min(m, (job + 1) * ROWS), c, width, y, chosen)


cdef void place_rows(const float* x, const float* scores, const int32_t* sites, const int32_t* rows, int64_t low,
                     int64_t high, int64_t c, int width, float* y, int32_t* chosen) noexcept nogil:
    cdef int64_t i, j, row
    cdef float score
    for i in range(low, high):
        row = rows[i]
        score = scores[row] if scores != NULL else <float>1
        for j in range(c):
            y[i * c + j] = x[row * c + j] * score
        for j in range(width):
            chosen[i * width + j] = sites[row * width + j]


cdef void append_coordinates(const float* x, const int32_t* sites, const double* centre, const double* half, int64_t n,
                             int64_t c, int width, float* y, int n_threads) noexcept nogil:
    # y (n, c + width - 1): the rows of x, and (site - centre) / half of each axis.
    cdef int64_t n_jobs = (n + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, <double>n * <double>(c + width))
    for job in prange(n_jobs, schedule="static", num_threads=n_threads):
        append_to_rows(x, sites, centre, half, job * ROWS, min(n, (job + 1) * ROWS), c, width, y)


cdef void append_to_rows(const float* x, const int32_t* sites, const double* centre, const double* half, int64_t low,
                         int64_t high, int64_t c, int width, float* y) noexcept nogil:
    cdef int64_t i, j
    cdef int axis
    y += low * (c + width - 1)
    for i in range(low, high):
        for j in range(c):
            y[j] = x[i * c + j]
        for axis in range(width - 1):
            y[c + axis] = <float>((<double>sites[i * width + 1 + axis] - centre[axis]) / half[axis])
        y += c + width - 1
