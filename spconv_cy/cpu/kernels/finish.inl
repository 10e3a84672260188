// The end of a convolution's tile, and the moments of rows. rows.inl includes it, inside its namespace.

namespace {

const int64_t SAMPLE = 16, GROUP = 64, NEAR = 64;

template <bool MAPPED, bool ADDED>
inline void finished(float* y, int64_t y_stride, const float* sums, int64_t width, int64_t rows, int64_t cols,
                     Finish how) {
    for (int64_t row = 0; row < rows; ++row, y += y_stride, sums += width) {
        each(cols, [=](auto at, int64_t i) {
            auto z = at.at(sums + i);
            if constexpr (MAPPED) {
                z = (z - at.at(how.centre + i) - at.at(how.rest + i)) * at.at(how.scale + i) + at.at(how.shift + i);
            }
            if constexpr (ADDED) z = z + at.at(how.residual + i);
            at.put(y + i, at.through(z, how.slope));
        });
        if constexpr (ADDED) how.residual += how.residual_stride;
    }
}

// Sums of x - shift and of its square over a few rows: floats in four chains, added to the doubles at the end.
template <class At>
inline void add_deviations(At at, double* sum, double* squares, const float* x, int64_t stride, int64_t rows,
                           const float* shift) {
    typedef typename At::Floats Floats;
    const Floats from = at.at(shift);
    Floats s[4] = {}, q[4] = {};
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4, x += 4 * stride) {
        for (int j = 0; j < 4; ++j) {
            const Floats d = at.at(x + j * stride) - from;
            s[j] += d;
            q[j] += d * d;
        }
    }
    for (; row < rows; ++row, x += stride) {
        const Floats d = at.at(x) - from;
        s[0] += d;
        q[0] += d * d;
    }
    at.put(sum, at.at(sum) + at.wide((s[0] + s[1]) + (s[2] + s[3])));
    at.put(squares, at.at(squares) + at.wide((q[0] + q[1]) + (q[2] + q[3])));
}

// The mean of a few rows from all over x. Deviations from it are about as small as those from the mean of all rows, so
// that floats hold their sums.
inline void sample_mean(float* shift, const float* x, int64_t stride, int64_t rows, int64_t c) {
    const int64_t count = rows < SAMPLE ? rows : SAMPLE, step = rows / count;
    const float share = 1.0f / static_cast<float>(count);
    each(c, [=](auto at, int64_t i) {
        auto sum = at.at(x + i) * at.all(share);
        for (int64_t k = 1; k < count; ++k) sum += at.at(x + k * step * stride + i) * at.all(share);
        at.put(shift + i, sum);
    });
}

}  // namespace

void finish(float* y, int64_t y_stride, const float* sums, int64_t width, int64_t rows, int64_t cols,
            const Finish* how) {
    if (how->scale) {
        (how->residual ? finished<true, true> : finished<true, false>)(y, y_stride, sums, width, rows, cols, *how);
    } else {
        (how->residual ? finished<false, true> : finished<false, false>)(y, y_stride, sums, width, rows, cols, *how);
    }
}

void measure(double* mean, double* spread, const float* x, int64_t stride, int64_t rows, int64_t c) {
    float shift[GROUP];
    const double n = static_cast<double>(rows);
    for (int64_t first = 0; first < c; first += GROUP, mean += GROUP, spread += GROUP, x += GROUP) {
        const int64_t cols = c - first < GROUP ? c - first : GROUP;
        sample_mean(shift, x, stride, rows, cols);
        for (int64_t i = 0; i < cols; ++i) mean[i] = spread[i] = 0;
        for (int64_t row = 0; row < rows; row += NEAR) {
            const int64_t few = rows - row < NEAR ? rows - row : NEAR;
            const float* from = shift;
            each(cols, [=](auto at, int64_t i) {
                add_deviations(at, mean + i, spread + i, x + row * stride + i, stride, few, from + i);
            });
        }
        for (int64_t i = 0; i < cols; ++i) {
            const double rest = mean[i] / n, squares = spread[i] - rest * mean[i];
            spread[i] = squares < 0 ? 0 : squares;                  // NaN stays
            mean[i] = shift[i] + rest;
        }
    }
}
