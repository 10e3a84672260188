// Rows of small numbers by words: `dot` multiplies the inputs of a word and adds them to a vector of sums. The including
// file defines NAME, DOTS (the kernel's name), Sums (a vector), LANES, VECTORS, ROWS[V], and load_sums, store_sums,
// add, splat, load_words, dot. With NARROW_PRODUCTS the extras follow.
#include <cassert>

#include "pairs.inl"

SPCONV_CY_DOTS(NAME, DOTS)

namespace spconv_cy {
namespace NAME {
namespace {

template <int V, int G>
INLINED inline void add_word(Sums (*sum)[V], const uint32_t* const* x, int64_t i, const uint32_t* w) {
    if constexpr (V <= G) {
        Words row[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) row[v] = load_words(w + v * LANES);
#pragma GCC unroll 32
        for (int g = 0; g < G; ++g) {
            const Words b = splat(x[g] + i);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[g][v] = dot(sum[g][v], b, row[v]);
        }
    } else {
        Words b[G];
#pragma GCC unroll 32
        for (int g = 0; g < G; ++g) b[g] = splat(x[g] + i);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            const Words row = load_words(w + v * LANES);
#pragma GCC unroll 32
            for (int g = 0; g < G; ++g) sum[g][v] = dot(sum[g][v], b[g], row);
        }
    }
}

template <int V, int G>
INLINED inline void rows_block(const Dots& job, const int32_t* in_rows, const int32_t* out_rows) {
    const uint32_t* x[G];
    Sums sum[G][V];
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) {
        x[g] = job.x + in_rows[g] * job.x_stride;
        begin_row<V>(sum[g], job, out_rows[g]);
    }
    const uint32_t* w = job.w;
    for (int64_t i = 0; i < job.words; ++i, w += V * LANES) add_word<V, G>(sum, x, i, w);
#ifdef NARROW_PRODUCTS
    w = job.extra_w;
    for (int64_t i = 0; i < job.extras; ++i, w += V * LANES) add_word<V, G>(sum, x, job.extra_words[i], w);
#endif
#pragma GCC unroll 32
    for (int g = 0; g < G; ++g) end_row<V>(sum[g], job, out_rows[g]);
}

struct Block {
    template <int V, int G>
    static void run(const Dots& job, const int32_t* in_rows, const int32_t* out_rows) {
        rows_block<V, G>(job, in_rows, out_rows);
    }
};

}  // namespace

void DOTS(const Dots* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job->words > 0 && job->vectors > 0 && job->vectors <= VECTORS);
    run_pairs<VECTORS, Block>(job->vectors, *job, in_rows, out_rows, pairs);
}

}  // namespace NAME
}  // namespace spconv_cy
