// Operations on whole rows, in plain loops that the compiler vectorises with the including file's flags.
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

void leaky(float* __restrict y, const float* __restrict x, float slope, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] >= 0 ? x[i] : slope * x[i];
}

void leaky_dx(float* __restrict dx, const float* __restrict y, const float* __restrict dy, float slope, int64_t n) {
    for (int64_t i = 0; i < n; ++i) dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
}

void squares(double* __restrict sums, const float* __restrict x, const double* __restrict mean, int64_t rows, int64_t c) {
    for (int64_t row = 0; row < rows; ++row, x += c) {
        for (int64_t i = 0; i < c; ++i) {
            const double centred = x[i] - mean[i];
            sums[i] += centred * centred;
        }
    }
}

void affine(float* __restrict y, const float* __restrict x, const Affine* map, int64_t rows) {
    const float *__restrict centre = map->centre, *__restrict rest = map->rest;
    const float *__restrict scale = map->scale, *__restrict shift = map->shift;
    const int64_t c = map->c;
    const float slope = map->slope;
    for (int64_t row = 0; row < rows; ++row, x += c, y += c) {
        for (int64_t i = 0; i < c; ++i) {
            const float z = (x[i] - centre[i] - rest[i]) * scale[i] + shift[i];
            y[i] = z >= 0 ? z : slope * z;
        }
    }
}

void affine_sums(double* __restrict total, double* __restrict dot, const float* __restrict x, const float* __restrict dy,
                 const Affine* map, int64_t rows) {
    const float *__restrict centre = map->centre, *__restrict rest = map->rest;
    const float *__restrict scale = map->scale, *__restrict shift = map->shift;
    const int64_t c = map->c;
    const float slope = map->slope;
    for (int64_t row = 0; row < rows; ++row, x += c, dy += c) {
        for (int64_t i = 0; i < c; ++i) {
            const float centred = x[i] - centre[i] - rest[i];
            const float dz = centred * scale[i] + shift[i] > 0 ? dy[i] : slope * dy[i];
            total[i] += dz;
            dot[i] += static_cast<double>(dz) * centred;
        }
    }
}

void affine_dx(float* __restrict dx, const float* __restrict x, const float* __restrict dy, const Affine* map,
               const float* __restrict a, const float* __restrict b, int64_t rows) {
    const float *__restrict centre = map->centre, *__restrict rest = map->rest;
    const float *__restrict scale = map->scale, *__restrict shift = map->shift;
    const int64_t c = map->c;
    const float slope = map->slope;
    for (int64_t row = 0; row < rows; ++row, x += c, dy += c, dx += c) {
        for (int64_t i = 0; i < c; ++i) {
            const float centred = x[i] - centre[i] - rest[i];
            const float dz = centred * scale[i] + shift[i] > 0 ? dy[i] : slope * dy[i];
            dx[i] = dz * scale[i] + (centred * a[i] + b[i]);
        }
    }
}

}  // namespace NAME
}  // namespace spconv_cy
