"""Rows taken, added up and compared by their numbers: each output row is written once, by one thread.

Rows that go to the same output row are met in the order of the input, so that bits do not depend on the threads.
"""

from cython.parallel cimport prange

from spconv_cy.cpu.threads cimport team

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

    void sum_rows(const float* __restrict x, const int32_t* starts, const int32_t* order, float* __restrict y,
                  int64_t low, int64_t high, int64_t m, int64_t c, bool mean) {
        const int64_t end = starts[m];
        for (int64_t i = low; i < high; ++i) {
            float* __restrict to = y + i * c;
            const int64_t first = starts[i], last = starts[i + 1];
            if (first == last) std::memset(to, 0, c * sizeof(float));
            for (int64_t k = first; k < last; ++k) {
                if (k + AHEAD < end) ask_for(x + order[k + AHEAD] * c, c);
                const float* __restrict from = x + order[k] * c;
                if (k == first) for (int64_t j = 0; j < c; ++j) to[j] = 0.0f + from[j];
                else for (int64_t j = 0; j < c; ++j) to[j] += from[j];
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
    void sum_rows(const float* x, const int32_t* starts, const int32_t* order, float* y, int64_t low, int64_t high,
                  int64_t m, int64_t c, bint mean) noexcept nogil
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


cdef void by_target(const int32_t* rows, int64_t n, int64_t m, int32_t* starts, int32_t* order) noexcept nogil:
    # Sets order to the numbers of rows by their target rows[i], those of one target in their order, and starts (m + 1)
    # to where those of each target begin.
    cdef int64_t i, place = 0, count
    for i in range(m + 1):
        starts[i] = 0
    for i in range(n):
        starts[rows[i]] += 1
    for i in range(m):
        count = starts[i]
        starts[i] = <int32_t>place
        place += count
    for i in range(n):
        order[starts[rows[i]]] = <int32_t>i
        starts[rows[i]] += 1
    for i in range(m, 0, -1):                                           # each was moved to the end of its target
        starts[i] = starts[i - 1]
    starts[0] = 0


cdef void sums(const float* x, const int32_t* starts, const int32_t* order, float* y, int64_t m, int64_t c,
               bint mean, int n_threads) noexcept nogil:
    # y[i] = the sum of the rows of its target, or their mean: the sum times the rounded inverse of their number.
    cdef int64_t n_jobs = (m + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, <double>max(starts[m], m) * <double>c)
    for job in prange(n_jobs, schedule="dynamic", chunksize=4, num_threads=n_threads):
        sum_rows(x, starts, order, y, job * ROWS, min(m, (job + 1) * ROWS), m, c, mean)


cdef void maxima(const KernelTable* table, const float* x, const int32_t* starts, const int32_t* order, float* y,
                 int32_t* winner, int64_t m, int64_t c, int n_threads) noexcept nogil:
    # y[i], winner[i] = the largest of the rows of its target and the number of the first row that has it.
    cdef int64_t n_jobs = (m + ROWS - 1) // ROWS, job
    n_threads = team(n_threads, n_jobs, 2 * <double>max(starts[m], m) * <double>c)
    for job in prange(n_jobs, schedule="dynamic", chunksize=4, num_threads=n_threads):
        compare(table, x, starts, order, y, winner, job * ROWS, min(m, (job + 1) * ROWS), m, c)


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
