"""Copies of numbers in another order."""

cdef extern from *:
    """
    #include <cstdint>
    namespace {
    // 16 lines of the cache are read, 16 are written. Zeros are added to sums, or NaN for numbers that are not finite.
    inline void turn(const float* __restrict x, int64_t x_row, float* __restrict y, int64_t y_row,
                     float* __restrict sums) {
        float held[16][16];
        for (int j = 16; j < 32; ++j) __builtin_prefetch(x + j * x_row);    // the next rows, wherever they end
        for (int j = 0; j < 16; ++j)
            for (int i = 0; i < 16; ++i) held[j][i] = x[j * x_row + i];
        for (int j = 0; j < 16; ++j)
            for (int i = 0; i < 16; ++i) sums[i] += held[j][i] * 0.0f;
        for (int i = 0; i < 16; ++i)
            for (int j = 0; j < 16; ++j) y[i * y_row + j] = held[j][i];
    }
    }
    """
    void turn(const float* x, int64_t x_row, float* y, int64_t y_row, float* sums) noexcept nogil


cdef bint transpose(const float* x, int64_t row, int64_t m, int64_t n, float* y) noexcept nogil:
    # y (n, m) from x (m, n), whose rows lie `row` floats apart; whether all numbers are finite.
    cdef int64_t i, j, a, b
    cdef float[16] sums
    for i in range(16):
        sums[i] = 0
    for i in range(0, m, 16):
        for j in range(0, n, 16):
            if i + 16 <= m and j + 16 <= n:
                turn(x + i * row + j, row, y + j * m + i, m, sums)
            else:
                for b in range(j, min(j + 16, n)):
                    for a in range(i, min(i + 16, m)):
                        y[b * m + a] = x[a * row + b]
                        sums[0] += x[a * row + b] * <float>0
    for i in range(1, 16):
        sums[0] += sums[i]
    return sums[0] == 0
