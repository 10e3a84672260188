// Pairs in blocks of ROWS[V], for the products of small numbers: as in igemm.inl.
#include "dots.hpp"

#define INLINED __attribute__((always_inline))

namespace spconv_cy {
namespace NAME {
namespace {

// The sums of a pair's output row, with what every pair begins with.
template <int V>
INLINED inline void begin_row(Sums* sum, const Dots& job, int32_t out_row) {
    const char* from = static_cast<const char*>(job.sums) + (out_row - job.first_row) * V * LANES * 4;
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[v] = load_sums(from + v * LANES * 4);
    if (job.begin) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[v] = add(sum[v], load_sums(static_cast<const char*>(job.begin) + v * LANES * 4));
    }
}

template <int V>
INLINED inline void end_row(const Sums* sum, const Dots& job, int32_t out_row) {
    char* to = static_cast<char*>(job.sums) + (out_row - job.first_row) * V * LANES * 4;
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store_sums(to + v * LANES * 4, sum[v]);
}

template <class Block, int V, int G>
inline void block_of(int g, const Dots& job, const int32_t* in_rows, const int32_t* out_rows) {
    if constexpr (G > 1) {
        if (g < G) return block_of<Block, V, G - 1>(g, job, in_rows, out_rows);
    }
    Block::template run<V, G>(job, in_rows, out_rows);
}

template <int V, class Block>
inline void run_pairs(int v, const Dots& job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    if constexpr (V > 1) {
        if (v < V) return run_pairs<V - 1, Block>(v, job, in_rows, out_rows, pairs);
    }
    constexpr int MOST = ROWS[V];
    int64_t j = 0;
    for (; pairs - j >= 2 * MOST; j += MOST) Block::template run<V, MOST>(job, in_rows + j, out_rows + j);
    const int left = static_cast<int>(pairs - j), half = left > MOST ? (left + 1) / 2 : left;
    block_of<Block, V, MOST>(half, job, in_rows + j, out_rows + j);
    if (half < left) block_of<Block, V, MOST>(left - half, job, in_rows + j + half, out_rows + j + half);
}

}  // namespace
}  // namespace NAME
}  // namespace spconv_cy
