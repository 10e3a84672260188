// Operations on whole rows for pooling, in plain loops that the compiler vectorises with the including file's flags.
#include "kernels.hpp"

SPCONV_CY_DECLARE(NAME)

namespace spconv_cy {
namespace NAME {

void add(float* __restrict y, const float* __restrict x, int64_t c) {
    for (int64_t i = 0; i < c; ++i) y[i] += x[i];
}

void add_wide(double* __restrict y, const float* __restrict x, int64_t c) {
    for (int64_t i = 0; i < c; ++i) y[i] += x[i];
}

void add_pairs(float* y, const float* x, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs, int64_t c) {
    for (int64_t j = 0; j < pairs; ++j) add(y + out_rows[j] * c, x + in_rows[j] * c, c);
}

// !(x <= y) holds for a greater x and for NaN on either side; y == y then keeps the first NaN.
void max(float* __restrict y, int32_t* __restrict winner, const float* __restrict x, int32_t row, int64_t c) {
    for (int64_t i = 0; i < c; ++i) {
        const bool take = !(x[i] <= y[i]) & (y[i] == y[i]);
        y[i] = take ? x[i] : y[i];
        winner[i] = take ? row : winner[i];
    }
}

void merge(float* __restrict y, int32_t* __restrict winner, const float* __restrict x, const int32_t* __restrict rows,
           int64_t c) {
    for (int64_t i = 0; i < c; ++i) {
        const bool take = !(x[i] <= y[i]) & (y[i] == y[i]);
        y[i] = take ? x[i] : y[i];
        winner[i] = take ? rows[i] : winner[i];
    }
}

void finish(float* __restrict y, int64_t y_stride, const float* __restrict sums, int64_t width, int64_t rows,
            int64_t cols, float slope) {
    for (int64_t row = 0; row < rows; ++row, y += y_stride, sums += width) {
        for (int64_t i = 0; i < cols; ++i) y[i] = sums[i] >= 0 ? sums[i] : slope * sums[i];
    }
}

}  // namespace NAME
}  // namespace spconv_cy
