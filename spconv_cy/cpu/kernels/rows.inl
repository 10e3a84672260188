// Operations on whole rows, in plain loops that the compiler vectorises with the including file's flags.
#include "kernels.hpp"

SPCONV_CY_DECLARE(NAME)

namespace spconv_cy {
namespace NAME {
namespace {

template <int W, class One>
inline void piece(int64_t first, const One& one) {
#pragma GCC ivdep
    for (int i = 0; i < W; ++i) one(first + i);
}

// One call for each column, in pieces whose length the compiler knows: a loop of unknown length would end in single steps,
// up to 15 of them, and rows are short. What `one` reads and writes does not overlap.
template <class One>
inline void each(int64_t c, const One& one) {
    int64_t i = 0;
    for (; i + 16 <= c; i += 16) piece<16>(i, one);
    if (c & 8) piece<8>(i, one);
    if (c & 4) piece<4>(i + (c & 8), one);
    for (i = c - (c & 3); i < c; ++i) one(i);
}

// The same where doing a column twice does no harm: the last piece overlaps the one before it.
template <int W, class One>
inline void overlapping(int64_t c, const One& one) {
    for (int64_t i = 0; i + W <= c; i += W) piece<W>(i, one);
    if (c % W) piece<W>(c - W, one);
}

template <class One>
inline void every(int64_t c, const One& one) {
    if (c >= 16) return overlapping<16>(c, one);
    if (c >= 8) return overlapping<8>(c, one);
    if (c >= 4) return overlapping<4>(c, one);
    for (int64_t i = 0; i < c; ++i) one(i);
}

// z where it is 0 or more, slope * z elsewhere: without a branch, and NaN and infinities as these words say.
inline float through(float z, float slope) {
    const float above = 0 > z ? 0 : z, below = 0 < z ? 0 : z;
    return above + slope * below;
}

}  // namespace

void add(float* __restrict y, const float* __restrict x, int64_t c) {
    each(c, [=](int64_t i) { y[i] += x[i]; });
}

void add_wide(double* __restrict y, const float* __restrict x, int64_t c) {
    each(c, [=](int64_t i) { y[i] += x[i]; });
}

void add_pairs(float* y, const float* x, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs, int64_t c) {
    for (int64_t j = 0; j < pairs; ++j) add(y + out_rows[j] * c, x + in_rows[j] * c, c);
}

// !(x <= y) holds for a greater x and for NaN on either side; y == y then keeps the first NaN.
void max(float* __restrict y, int32_t* __restrict winner, const float* __restrict x, int32_t row, int64_t c) {
    every(c, [=](int64_t i) {
        const bool take = !(x[i] <= y[i]) & (y[i] == y[i]);
        y[i] = take ? x[i] : y[i];
        winner[i] = take ? row : winner[i];
    });
}

void merge(float* __restrict y, int32_t* __restrict winner, const float* __restrict x, const int32_t* __restrict rows,
           int64_t c) {
    every(c, [=](int64_t i) {
        const bool take = !(x[i] <= y[i]) & (y[i] == y[i]);
        y[i] = take ? x[i] : y[i];
        winner[i] = take ? rows[i] : winner[i];
    });
}

void won_pairs(float* dx, const float* dy, const int32_t* winner, const int32_t* in_rows, const int32_t* out_rows,
               int64_t pairs, int64_t c) {
    for (int64_t j = 0; j < pairs; ++j) {
        const int32_t row = in_rows[j];
        float* to = dx + row * c;
        const float* from = dy + out_rows[j] * c;
        const int32_t* won = winner + out_rows[j] * c;
        each(c, [=](int64_t i) {
            const float value = from[i];         // read first: GCC 12 gets a conditional read wrong for AVX2
            to[i] += won[i] == row ? value : 0.0f;
        });
    }
}

void lost_rows(float* __restrict total, const float* __restrict dy, const int32_t* __restrict winner, int64_t rows,
               int64_t c) {
    for (int64_t row = 0; row < rows; ++row, dy += c, winner += c) {
        each(c, [=](int64_t i) {
            const float value = dy[i];
            total[i] += winner[i] < 0 ? value : 0.0f;
        });
    }
}

void finish(float* __restrict y, int64_t y_stride, const float* __restrict sums, int64_t width, int64_t rows,
            int64_t cols, float slope) {
    for (int64_t row = 0; row < rows; ++row, y += y_stride, sums += width) {
        every(cols, [=](int64_t i) { y[i] = through(sums[i], slope); });
    }
}

void leaky(float* __restrict y, const float* __restrict x, float slope, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[i] = through(x[i], slope);
}

void leaky_dx(float* __restrict dx, const float* __restrict y, const float* __restrict dy, float slope, int64_t n) {
    for (int64_t i = 0; i < n; ++i) dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
}

void squares(double* __restrict sums, const float* __restrict x, const double* __restrict mean, int64_t rows, int64_t c) {
    for (int64_t row = 0; row < rows; ++row, x += c) {
        each(c, [=](int64_t i) {
            const double centred = x[i] - mean[i];
            sums[i] += centred * centred;
        });
    }
}

void affine(float* __restrict y, const float* __restrict x, const Affine* map, int64_t rows) {
    const Affine m = *map;
    for (int64_t row = 0; row < rows; ++row, x += m.c, y += m.c) {
        every(m.c, [=](int64_t i) {
            y[i] = through((x[i] - m.centre[i] - m.rest[i]) * m.scale[i] + m.shift[i], m.slope);
        });
    }
}

void affine_sums(double* __restrict total, double* __restrict dot, const float* __restrict x, const float* __restrict dy,
                 const Affine* map, int64_t rows) {
    const Affine m = *map;
    for (int64_t row = 0; row < rows; ++row, x += m.c, dy += m.c) {
        each(m.c, [=](int64_t i) {
            const float centred = x[i] - m.centre[i] - m.rest[i];
            const float dz = centred * m.scale[i] + m.shift[i] > 0 ? dy[i] : m.slope * dy[i];
            total[i] += dz;
            dot[i] += static_cast<double>(dz) * centred;
        });
    }
}

void affine_dx(float* __restrict dx, const float* __restrict x, const float* __restrict dy, const Affine* map,
               const float* __restrict a, const float* __restrict b, int64_t rows) {
    const Affine m = *map;
    for (int64_t row = 0; row < rows; ++row, x += m.c, dy += m.c, dx += m.c) {
        every(m.c, [=](int64_t i) {
            const float centred = x[i] - m.centre[i] - m.rest[i];
            const float dz = centred * m.scale[i] + m.shift[i] > 0 ? dy[i] : m.slope * dy[i];
            dx[i] = dz * m.scale[i] + (centred * a[i] + b[i]);
        });
    }
}

}  // namespace NAME
}  // namespace spconv_cy
