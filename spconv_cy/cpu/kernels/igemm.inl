// Indirect matrix products on rows read in place. The including file defines what stays in registers for V vectors of
// columns: the weights of BLOCK[V] inputs if WEIGHTS_STAY, else BLOCK[V] rows of sums.
#include <cassert>

#include "registers.inl"

namespace spconv_cy {
namespace NAME {

extern const int32_t lanes = LANES, vectors = VECTORS;

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
    const auto product = [&](int64_t j) {
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

// G pairs, V vectors of columns: G * V sums stay in registers for all c inputs. For sets of 16 registers.
template <int V, int G>
inline void pairs_block(const Igemm& job, const int32_t* in_rows, const int32_t* out_rows) {
    const float* x[G];
    vec sum[G][V];
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) {
        x[g] = job.x + in_rows[g] * job.x_stride;
        read_row<V>(sum[g], job.sums + (out_rows[g] - job.first_row) * V * LANES);
    }
    const float* w = job.w;
    const int64_t c = job.c;
    for (int64_t i = 0; i < c; ++i, w += V * LANES) {
        multiply_add<V, G>(sum, [&](int g) { return splat(x[g] + i); }, w, LANES);
    }
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) write_row<V>(sum[g], job.sums + (out_rows[g] - job.first_row) * V * LANES);
}

template <int V, int G>
inline void pairs_of(int g, const Igemm& job, const int32_t* in_rows, const int32_t* out_rows) {
    if constexpr (G > 1) {
        if (g < G) return pairs_of<V, G - 1>(g, job, in_rows, out_rows);
    }
    pairs_block<V, G>(job, in_rows, out_rows);
}

// Blocks of nearly equal size: a remainder of one or two would leave most of the multipliers idle.
template <int V>
void run(const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    constexpr int MOST = BLOCK[V];
    const int64_t all = WEIGHTS_STAY ? job.c : pairs, blocks = (all + MOST - 1) / MOST;
    for (int64_t i = 0, first = 0; i < blocks; ++i) {
        const int n = static_cast<int>(all / blocks + (i < all % blocks));
        if constexpr (WEIGHTS_STAY) weights_of<V, MOST>(n, job, first, in_rows, out_rows, pairs);
        else pairs_of<V, MOST>(n, job, in_rows + first, out_rows + first);
        first += n;
    }
}

template <int V>
inline void igemm_of(int v, const Igemm& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    if constexpr (V > 1) {
        if (v < V) return igemm_of<V - 1>(v, job, in_rows, out_rows, pairs);
    }
    run<V>(job, in_rows, out_rows, pairs);
}

}  // namespace

void igemm(const Igemm* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job->c > 0 && job->vectors > 0 && job->vectors <= VECTORS);
    igemm_of<VECTORS>(job->vectors, *job, in_rows, out_rows, pairs);
}

}  // namespace NAME
}  // namespace spconv_cy
