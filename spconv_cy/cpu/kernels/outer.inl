// The weight gradient on rows read in place. The including file defines INNER[V]: of how many inputs' rows of dw V vectors
// of columns stay in registers.
#include <cassert>

#include "registers.inl"

namespace spconv_cy {
namespace NAME {
namespace {

// I inputs by V vectors of outputs: the sums stay in registers for all pairs.
template <int V, int I>
inline void outer_block(const Outer& job, int64_t first, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs,
                        int tail) {
    vec sum[I][V];
    float* dw = job.dw + first * job.dw_stride;
#pragma GCC unroll 32
    for (int i = 0; i < I; ++i) read_row<V>(sum[i], dw + i * job.dw_stride, tail);
    for (int64_t j = 0; j < pairs; ++j) {
        const float* x = job.x + first + in_rows[j] * job.x_stride;
        multiply_add<V, I>(sum, [&](int i) { return splat(x + i); }, job.dy + out_rows[j] * job.dy_stride, tail);
    }
#pragma GCC unroll 32
    for (int i = 0; i < I; ++i) write_row<V>(sum[i], dw + i * job.dw_stride, tail);
}

template <int V, int I>
inline void outer_of(int n, const Outer& job, int64_t first, const int32_t* in_rows, const int32_t* out_rows,
                     int64_t pairs, int tail) {
    if constexpr (I > 1) {
        if (n < I) return outer_of<V, I - 1>(n, job, first, in_rows, out_rows, pairs, tail);
    }
    outer_block<V, I>(job, first, in_rows, out_rows, pairs, tail);
}

// If many blocks of inputs use the same pairs, few pairs at a time, so that their rows stay in the first cache.
template <int V>
void run_outer(const Outer& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    constexpr int I = INNER[V];
    const int tail = job.cols - (V - 1) * LANES;
    const int blocks = (job.c + I - 1) / I, size = job.c / blocks, longer = job.c % blocks;
    const int64_t near = WEIGHTS_STAY ? pairs : 32;
    for (int64_t j = 0; j < pairs; j += near) {
        for (int b = 0, first = 0; b < blocks; ++b) {
            const int n = size + (b < longer);
            outer_of<V, I>(n, job, first, in_rows + j, out_rows + j, pairs - j < near ? pairs - j : near, tail);
            first += n;
        }
    }
}

template <int V>
inline void outer_width(int v, const Outer& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    if constexpr (V > 1) {
        if (v < V) return outer_width<V - 1>(v, job, in_rows, out_rows, pairs);
    }
    run_outer<V>(job, in_rows, out_rows, pairs);
}

}  // namespace

void outer(const Outer* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job->c > 0 && job->cols > 0 && job->cols <= VECTORS * LANES);
    outer_width<VECTORS>((job->cols + LANES - 1) / LANES, *job, in_rows, out_rows, pairs);
}

}  // namespace NAME
}  // namespace spconv_cy
