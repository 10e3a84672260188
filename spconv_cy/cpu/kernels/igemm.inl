// Indirect matrix products on rows read in place. The including file defines what stays in registers for V vectors of
// columns: ROWS[V] rows of sums, with UNROLL[V] inputs a pass; or, in sets of 32 registers and for fewer inputs than
// STAY_BELOW, the weights of INPUTS[V] inputs. The sums are the same bits either way.
#include <cassert>

#include "registers.inl"

namespace spconv_cy {
namespace NAME {

extern const int32_t lanes = LANES, vectors = VECTORS;
extern int32_t stay_below;
int32_t stay_below = STAY_BELOW;    // the weights of fewer inputs stay in registers; dispatch.cpp knows the processor

namespace {

constexpr int64_t AHEAD = 8;    // pairs between prefetching a row of x and reading it

// V vectors of the weights of I inputs stay in registers for all pairs: no remainders of rows, no dispatch in the loop,
// and the processor overlaps several pairs. For sets of 32 registers.
template <int V, int I>
inline void weights_block(const Igemm& job, int64_t first, const int32_t* in_rows, const int32_t* out_rows,
                          int64_t pairs) {
    vec w[I][V];
#pragma GCC unroll 32
    for (int i = 0; i < I; ++i) read_row<V>(w[i], job.w + (first + i) * V * LANES);
    const auto product = [&](int64_t j) ALWAYS_INLINE {
        const float* x = job.x + first + in_rows[j] * job.x_stride;
        float* y = job.sums + (out_rows[j] - job.first_row) * V * LANES;
        vec sum[V];
        read_row<V>(sum, y);
#pragma GCC unroll 32
        for (int i = 0; i < I; ++i) {
            const vec b = splat(x + i);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[v] = fma(b, w[i][v], sum[v]);
        }
        write_row<V>(sum, y);
    };
    int64_t j = 0;
    for (; j < pairs - AHEAD; ++j) {
        const float* next = job.x + first + in_rows[j + AHEAD] * job.x_stride;
        __builtin_prefetch(next);
        __builtin_prefetch(next + I - 1);
        product(j);
    }
    for (; j < pairs; ++j) product(j);
}

template <int V, int I>
inline void weights_of(int n, const Igemm& job, int64_t first, const int32_t* in_rows, const int32_t* out_rows,
                       int64_t pairs) {
    if constexpr (I > 1) {
        if (n < I) return weights_of<V, I - 1>(n, job, first, in_rows, out_rows, pairs);
    }
    weights_block<V, I>(job, first, in_rows, out_rows, pairs);
}

// G pairs, V vectors of columns: G * V sums stay in registers for all c inputs. Each input's weights serve all G rows,
// so there are fewer loads than products.
template <int V, int G>
inline void rows_block(const Igemm& job, const int32_t* in_rows, const int32_t* out_rows) {
    const float* x[G];
    vec sum[G][V];
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) {
        x[g] = job.x + in_rows[g] * job.x_stride;
        read_row<V>(sum[g], job.sums + (out_rows[g] - job.first_row) * V * LANES);
    }
    const float* w = job.w;
    const int64_t c = job.c;
    int64_t i = 0;
    const auto add_input = [&](int64_t n) ALWAYS_INLINE {
        multiply_add<V, G>(sum, [&](int g) ALWAYS_INLINE { return splat(x[g] + n); }, w, LANES);
        w += V * LANES;
    };
    for (; i + UNROLL[V] <= c; i += UNROLL[V]) {
#pragma GCC unroll 8
        for (int n = 0; n < UNROLL[V]; ++n) add_input(i + n);
    }
    for (; UNROLL[V] > 1 && i < c; ++i) add_input(i);
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) write_row<V>(sum[g], job.sums + (out_rows[g] - job.first_row) * V * LANES);
}

template <int V, int G>
inline void rows_of(int g, const Igemm& job, const int32_t* in_rows, const int32_t* out_rows) {
    if constexpr (G > 1) {
        if (g < G) return rows_of<V, G - 1>(g, job, in_rows, out_rows);
    }
    rows_block<V, G>(job, in_rows, out_rows);
}

// Whole blocks as long as two are left; what remains is cut in halves: a block of one or two rows would leave most of
// the multipliers idle.
template <int V>
void run_rows(const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    constexpr int MOST = ROWS[V];
    int64_t j = 0;
    for (; pairs - j >= 2 * MOST; j += MOST) rows_block<V, MOST>(job, in_rows + j, out_rows + j);
    const int left = static_cast<int>(pairs - j), half = left > MOST ? (left + 1) / 2 : left;
    rows_of<V, MOST>(half, job, in_rows + j, out_rows + j);
    if (half < left) rows_of<V, MOST>(left - half, job, in_rows + j + half, out_rows + j + half);
}

// Blocks of nearly equal size: 33 inputs are 4 blocks of 8 or 9, and not 4 blocks and a remainder.
template <int V>
void run_weights(const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    constexpr int MOST = INPUTS[V];
    const int blocks = (job.c + MOST - 1) / MOST, size = job.c / blocks, longer = job.c % blocks;
    for (int b = 0, first = 0; b < blocks; ++b) {
        const int n = size + (b < longer);
        weights_of<V, MOST>(n, job, first, in_rows, out_rows, pairs);
        first += n;
    }
}

template <int V>
inline void igemm_of(int v, const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    if constexpr (V > 1) {
        if (v < V) return igemm_of<V - 1>(v, job, in_rows, out_rows, pairs);
    }
    if constexpr (STAY_BELOW > 0) {
        if (job.c < stay_below) return run_weights<V>(job, in_rows, out_rows, pairs);
    }
    run_rows<V>(job, in_rows, out_rows, pairs);
}

}  // namespace

void igemm(const Igemm* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job->c > 0 && job->vectors > 0 && job->vectors <= VECTORS);
    igemm_of<VECTORS>(job->vectors, *job, in_rows, out_rows, pairs);
}

}  // namespace NAME
}  // namespace spconv_cy
