// The cross-entropy of rows and labels, and its gradient. The including file defines NAME and LANES.
#include <cmath>

#include "columns.inl"

namespace spconv_cy {
namespace NAME {
namespace {

// The exponential of a number of at most 0, or NaN, to 1e-7: 2^n times a polynomial of the rest, at most ln 2 / 2.
// Coefficients of the Cephes library. The sum with 1.5 * 2^23 rounds to n, whose bits are then the lowest ones.
template <class At>
inline typename At::Floats exponential(At, typename At::Floats x) {
    const auto shifted = x * 1.44269504f + 12582912.0f;
    const auto n = shifted - 12582912.0f;
    const auto r = x - n * 0.693359375f + n * 2.12194440e-4f;
    auto p = r * 1.98756915e-4f + 1.39819995e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657959e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.00000012e-1f;
    const auto power = At::of_bits((At::bits(shifted) << 23) + 0x3f800000);
    return x < -87.0f ? At::all(0.0f) : (p * r * r + r + 1.0f) * power;
}

// A number of all in a vector, by halves.
template <int W, class One>
inline float reduced(typename Columns<W>::Floats a, const One& one) {
    if constexpr (W == 1) {
        return a;
    } else {
        float numbers[static_cast<unsigned>(W)];
        Columns<W>::put(numbers, a);
        typedef Columns<W / 2> Half;
        return reduced<W / 2>(one(Half::at(numbers), Half::at(numbers + W / 2)), one);
    }
}

template <class At>
constexpr int width(At) {
    return sizeof(typename At::Floats) / sizeof(float);
}

const auto larger = [](auto a, auto b) { return a > b ? a : b; };
const auto added = [](auto a, auto b) { return a + b; };

// One number of all of one(Columns, first column) for a row of c columns.
template <class One, class Both>
inline float over_row(int64_t c, float start, const One& one, const Both& both) {
    float found = start;
    int64_t i = 0;
    if (c >= LANES) {
        auto sums = one(Columns<LANES>(), 0);
        for (i = LANES; i + LANES <= c; i += LANES) sums = both(sums, one(Columns<LANES>(), i));
        found = both(found, reduced<LANES>(sums, both));
    }
    halves<LANES / 2>(i, c, [&](auto at, int64_t j) { found = both(found, reduced<width(at)>(one(at, j), both)); });
    return found;
}

}  // namespace

void entropy(double* total, float* found, const float* x, const int64_t* labels, const float* counts, int64_t rows,
             int64_t c) {
    double losses = 0;
    for (int64_t row = 0; row < rows; ++row, x += c, found += 2) {
        const int64_t label = labels[row];
        found[0] = 0;
        found[1] = 1;
        if (label < 0) continue;
        const float most = over_row(c, x[0], [=](auto at, int64_t i) { return at.at(x + i); }, larger);
        const float sum = over_row(c, 0.0f, [=](auto at, int64_t i) { return exponential(at, at.at(x + i) - most); },
                                   added);
        found[0] = most;
        found[1] = sum;
        losses += (std::log(sum) - (x[label] - most)) * (counts ? counts[row] : 1.0f);
    }
    *total += losses;
}

void entropy_dx(float* dx, const float* x, const float* found, const int64_t* labels, const float* counts, float factor,
                int64_t rows, int64_t c) {
    for (int64_t row = 0; row < rows; ++row, x += c, dx += c, found += 2) {
        const int64_t label = labels[row];
        if (label < 0) {
            each(c, [=](auto at, int64_t i) { at.put(dx + i, at.all(0.0f)); });
            continue;
        }
        const float most = found[0], share = counts ? factor * counts[row] : factor, scale = share / found[1];
        each(c, [=](auto at, int64_t i) { at.put(dx + i, exponential(at, at.at(x + i) - most) * scale); });
        dx[label] -= share;
    }
}

}  // namespace NAME
}  // namespace spconv_cy
