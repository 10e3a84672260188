"""Rows taken, added up and compared by their numbers: each output row is written once, by one thread.

Rows that go to the same output row are met in the order of the input, so that bits do not depend on the threads.
"""

from cython.parallel cimport prange

from spconv_cy.cpu.threads cimport Turns, share_jobs, take_job, team

cdef extern from *:
    """
    #include <cstdint>
    #include <cstring>
    namespace {
    const int64_t AHEAD = 12;           // rows, whose memory is asked for before they are read

    inline void ask_for(const float* row, int64_t c) {
        const char* start = reinterpret_cast<const char*>(row);
        for (int64_t i = 0; i < c * 4 && i < 512; i += 64) __builtin_prefetch(start + i);
    }

    inline void copy_row(float* y, const float* x, int64_t c) { std::memcpy(y, x, c * sizeof(float)); }

    bool rows_lie_in(const int32_t* rows, int64_t n, int32_t low, int64_t high) {
        int32_t least = n ? rows[0] : low, most = n ? rows[0] : low - 1;
        for (int64_t i = 0; i < n; ++i) {
            least = rows[i] < least ? rows[i] : least;
            most = rows[i] > most ? rows[i] : most;
        }
        return least >= low && most < high;
    }

    void take_rows(const float* __restrict x, const int32_t* rows, const float* ground, float* __restrict y,
                   int64_t low, int64_t high, int64_t m, int64_t c) {
        for (int64_t i = low; i < high; ++i) {
            if (i + AHEAD < m && rows[i + AHEAD] >= 0) ask_for(x + rows[i + AHEAD] * c, c);
            if (rows[i] >= 0) copy_row(y + i * c, x + rows[i] * c, c);
            else if (ground) copy_row(y + i * c, ground, c);
            else std::memset(y + i * c, 0, c * sizeof(float));
        }
    }

    void weigh_rows(const float* __restrict x, const int32_t* rows, const float* weights, float* __restrict y,
                    int64_t low, int64_t high, int64_t k, int64_t m, int64_t c) {
        std::memset(y + low * c, 0, (high - low) * c * sizeof(float));
        for (int64_t i = low; i < high; ++i)
            for (int64_t t = i; t < k * m; t += m) {
                if (i + AHEAD < m && rows[t + AHEAD] >= 0) ask_for(x + rows[t + AHEAD] * c, c);
                const float weight = weights[t];
                if (rows[t] < 0 || weight == 0.0f) continue;            // 0 * NaN would be NaN
                float* __restrict to = y + i * c;
                const float* __restrict from = x + rows[t] * c;
                for (int64_t j = 0; j < c; ++j) to[j] += weight * from[j];
            }
    }

    // The target of entry t, the first of k * n; -1: none.
    inline int64_t target_of(const int32_t* rows, const float* weights, int64_t t) {
        return weights && weights[t] == 0.0f ? -1 : rows[t];
    }

    void sort_by_target(const int32_t* rows, const float* weights, int64_t k, int64_t n, int64_t m, int32_t* starts,
                        int32_t* order, float* factors) {
        std::memset(starts, 0, (m + 1) * sizeof(int32_t));
        for (int64_t t = 0; t < k * n; ++t) {
            const int64_t target = target_of(rows, weights, t);
            if (target >= 0) ++starts[target];
        }
        int32_t place = 0;
        for (int64_t i = 0; i < m; ++i) {
            const int32_t count = starts[i];
            starts[i] = place;
            place += count;
        }
        for (int64_t t = 0, i = 0; t < k * n; ++t, i = i + 1 < n ? i + 1 : 0) {
            const int64_t target = target_of(rows, weights, t);
            if (target < 0) continue;
            if (factors) factors[starts[target]] = weights[t];
            order[starts[target]++] = static_cast<int32_t>(i);
        }
        for (int64_t i = m; i > 0; --i) starts[i] = starts[i - 1];      // each was moved to the end of its target
        starts[0] = 0;
    }

    inline void add_first(float* __restrict to, const float* __restrict from, float factor, bool weighted, int64_t c) {
        if (weighted) for (int64_t j = 0; j < c; ++j) to[j] = factor * from[j];
        else for (int64_t j = 0; j < c; ++j) to[j] = 0.0f + from[j];    // as if zero had been there: -0 becomes 0
    }

    inline void add_next(float* __restrict to, const float* __restrict from, float factor, bool weighted, int64_t c) {
        if (weighted) for (int64_t j = 0; j < c; ++j) to[j] += factor * from[j];
        else for (int64_t j = 0; j < c; ++j) to[j] += from[j];
    }

    void sum_rows(const float* __restrict x, const int32_t* starts, const int32_t* order, const float* factors,
                  float* __restrict y, int64_t low, int64_t high, int64_t m, int64_t c, bool mean) {
        const int64_t end = starts[m];
        for (int64_t i = low; i < high; ++i) {
            float* __restrict to = y + i * c;
            const int64_t first = starts[i], last = starts[i + 1];
            if (first == last) std::memset(to, 0, c * sizeof(float));
            for (int64_t k = first; k < last; ++k) {
                if (k + AHEAD < end) ask_for(x + order[k + AHEAD] * c, c);
                const float* __restrict from = x + order[k] * c;
                if (k == first) add_first(to, from, factors ? factors[k] : 0, factors, c);
                else add_next(to, from, factors ? factors[k] : 0, factors, c);
            }
            if (mean && last - first > 1) {
                const float share = static_cast<float>(1.0 / static_cast<double>(last - first));
                for (int64_t j = 0; j < c; ++j) to[j] *= share;
            }
        }
    }
    }
    """
    bint rows_lie_in(const int32_t* rows, int64_t n, int32_t low, int64_t high) noexcept nogil
    void ask_for(const float* row, int64_t c) noexcept nogil
    void copy_row(float* y, const float* x, int64_t c) noexcept nogil
    void take_rows(const float* x, const int32_t* rows, const float* ground, float* y, int64_t low, int64_t high,
                   int64_t m, int64_t c) noexcept nogil
    void weigh_rows(const float* x, const int32_t* rows, const float* weights, float* y, int64_t low, int64_t high,
                    int64_t k, int64_t m, int64_t c) noexcept nogil
    void sort_by_target(const int32_t* rows, const float* weights, int64_t k, int64_t n, int64_t m, int32_t* starts,
                        int32_t* order, float* factors) noexcept nogil
    void sum_rows(const float* x, const int32_t* starts, const int32_t* order, const float* factors, float* y,
                  int64_t low, int64_t high, int64_t m, int64_t c, bint mean) noexcept nogil
    const int64_t AHEAD


cdef bint lie_in(const int32_t* rows, int64_t n, int32_t low, int64_t high) noexcept nogil:
    # True if low <= row < high for all rows.
    return rows_lie_in(rows, n, low, high)


cdef void take(const float* x, const int32_t* rows, const float* ground, float* y, int64_t m, int64_t c,
               int n_threads) noexcept nogil:
    # y[i] = x[rows[i]]; where the row is -1, the ground, or zero if it is NULL.
    cdef int64_t n_jobs = (m + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, <double>m * <double>c)
    for job in prange(n_jobs, schedule="static", num_threads=n_threads):
        take_rows(x, rows, ground, y, job * ROWS, min(m, (job + 1) * ROWS), m, c)


cdef void weigh(const float* x, const int32_t* rows, const float* weights, float* y, int64_t k, int64_t m, int64_t c,
                int n_threads) noexcept nogil:
    # y[i] = the sum over t of weights[t, i] * x[rows[t, i]], without terms of row -1 or weight 0.
    cdef int64_t n_jobs = (m + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, <double>k * <double>m * <double>c)
    for job in prange(n_jobs, schedule="static", num_threads=n_threads):
        weigh_rows(x, rows, weights, y, job * ROWS, min(m, (job + 1) * ROWS), k, m, c)


cdef void by_target(const int32_t* rows, const float* weights, int64_t k, int64_t n, int64_t m, int32_t* starts,
                    int32_t* order, float* factors) noexcept nogil:
    # Sets order to the rows 0 to n - 1 by their targets rows[t, i] for t below k, those of one target in the order of
    # the entries, factors likewise to their weights, and starts (m + 1) to where each target begins. An entry of row -1
    # or weight 0 is left out. Without weights (NULL), k is 1.
    sort_by_target(rows, weights, k, n, m, starts, order, factors)


cdef void sums(const float* x, const int32_t* starts, const int32_t* order, const float* factors, float* y, int64_t m,
               int64_t c, bint mean, int n_threads) noexcept nogil:
    # y[i] = the sum of the rows of its target, each times its factor (NULL: 1), or their mean: the sum times the
    # rounded inverse of their number.
    cdef Turns turns
    cdef int thread
    cdef int64_t n_jobs = (m + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, <double>max(starts[m], m) * <double>c)
    share_jobs(&turns, n_jobs, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        job = take_job(&turns, thread)
        while job >= 0:
            sum_rows(x, starts, order, factors, y, job * ROWS, min(m, (job + 1) * ROWS), m, c, mean)
            job = take_job(&turns, thread)


cdef void maxima(const KernelTable* table, const float* x, const int32_t* starts, const int32_t* order, float* y,
                 int32_t* winner, int64_t m, int64_t c, int n_threads) noexcept nogil:
    # y[i], winner[i] = the largest of the rows of its target and the number of the first row that has it.
    cdef Turns turns
    cdef int thread
    cdef int64_t n_jobs = (m + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, 2 * <double>max(starts[m], m) * <double>c)
    share_jobs(&turns, n_jobs, n_threads)
    for thread in prange(n_threads, schedule="static", chunksize=1, num_threads=n_threads):
        job = take_job(&turns, thread)
        while job >= 0:
            compare(table, x, starts, order, y, winner, job * ROWS, min(m, (job + 1) * ROWS), m, c)
            job = take_job(&turns, thread)


cdef void compare(const KernelTable* table, const float* x, const int32_t* starts, const int32_t* order, float* y,
                  int32_t* winner, int64_t low, int64_t high, int64_t m, int64_t c) noexcept nogil:
    cdef int64_t i, j, k, end = starts[m]
    cdef int32_t row
    for i in range(low, high):
        row = -1
        for k in range(starts[i], starts[i + 1]):
            row = order[k]
            if k + AHEAD < end:
                ask_for(x + order[k + AHEAD] * c, c)
            if k > starts[i]:
                table.max(y + i * c, winner + i * c, x + row * c, row, c)
            else:
                copy_row(y + i * c, x + row * c, c)
                for j in range(c):
                    winner[i * c + j] = row
        if row < 0:
            for j in range(c):
                y[i * c + j] = 0
                winner[i * c + j] = -1
