// Rows in registers, for every family of matrix products. The including file has included its set's vector_*.hpp:
// NAME, vec, LANES, VECTORS, FUSED, load, store, load_part, store_part, splat, fma.
#include "kernels.hpp"

// For what takes an array of registers: called, it would find them in memory. There are too many kernels in a file for
// compilers to do so by themselves.
#define ALWAYS_INLINE __attribute__((always_inline))

SPCONV_CY_DECLARE(NAME)

namespace spconv_cy {
namespace NAME {
namespace {

template <int V>
ALWAYS_INLINE inline void read_row(vec* row, const float* p, int tail = LANES) {
#pragma GCC unroll 8
    for (int v = 0; v < V - 1; ++v) row[v] = load(p + v * LANES);
    row[V - 1] = tail == LANES ? load(p + (V - 1) * LANES) : load_part(p + (V - 1) * LANES, tail);
}

template <int V>
ALWAYS_INLINE inline void write_row(const vec* row, float* p, int tail = LANES) {
#pragma GCC unroll 8
    for (int v = 0; v < V - 1; ++v) store(p + v * LANES, row[v]);
    if (tail == LANES) store(p + (V - 1) * LANES, row[V - 1]);
    else store_part(p + (V - 1) * LANES, row[V - 1], tail);
}

// sum[n] += factor(n) * row for N rows of sums. The fewer of the two kinds of factors stay in registers, the others are
// loaded one by one: 16 registers hold 12 sums and at most 4 factors. Without fused products, which need no register of
// their own, those others are loaded for each product: 3 factors, 12 sums and a product are 16 too.
template <int V, int N, typename Factor>
ALWAYS_INLINE inline void multiply_add(vec (*sum)[V], Factor factor, const float* p, int tail) {
    if constexpr (V <= N) {
        vec row[V];
        read_row<V>(row, p, tail);
#pragma GCC unroll 32
        for (int n = 0; n < N; ++n) {
            const vec b = factor(n);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[n][v] = fma(b, row[v], sum[n][v]);
        }
    } else {
        vec b[N];
#pragma GCC unroll 32
        for (int n = 0; n < N; ++n) b[n] = factor(n);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            if (!FUSED && (v < V - 1 || tail == LANES)) {
#pragma GCC unroll 32
                for (int n = 0; n < N; ++n) {
                    sum[n][v] = fma(load(p + v * LANES), b[n], sum[n][v]);
                    asm volatile("" ::: "memory");      // else the compiler keeps the row, and a sum goes to the stack
                }
                continue;
            }
            const vec row = v < V - 1 || tail == LANES ? load(p + v * LANES) : load_part(p + v * LANES, tail);
#pragma GCC unroll 32
            for (int n = 0; n < N; ++n) sum[n][v] = fma(b[n], row, sum[n][v]);
        }
    }
}

}  // namespace
}  // namespace NAME
}  // namespace spconv_cy
