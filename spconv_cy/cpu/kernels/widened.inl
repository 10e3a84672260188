// Products of bfloat16 by float32 multiply-adds: the bits of AVX-512 BF16, which adds the second product of a word
// first and takes subnormal numbers for zero. The rows of a block are widened into `room`, the weights in registers.
// The including file defines NAME, Sums (a vector of floats), LANES, VECTORS, ROWS[V], and load_sums, store_sums, add,
// splat_float, multiply_add, widen_words (two vectors of weights), widen_row, and NoSubnormals.
#include <cassert>

#include "pairs.inl"

SPCONV_CY_DOTS(NAME, dots_bf16)

namespace spconv_cy {
namespace NAME {
namespace {

template <int V, int G>
INLINED inline void add_word(Sums (*sum)[V], const float* x, int64_t x_stride, const uint32_t* w) {
    Sums second[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
        const Halves halves = widen_words(w + v * LANES);
        second[v] = halves.second;
#pragma GCC unroll 32
        for (int g = 0; g < G; ++g) sum[g][v] = multiply_add(splat_float(x + g * x_stride), halves.first, sum[g][v]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
#pragma GCC unroll 32
        for (int g = 0; g < G; ++g) {
            sum[g][v] = multiply_add(splat_float(x + g * x_stride + 1), second[v], sum[g][v]);
        }
    }
}

struct Block {
    template <int V, int G>
    static void run(const Dots& job, const int32_t* in_rows, const int32_t* out_rows) {
        Sums sum[G][V];
        float* x = static_cast<float*>(job.room);
        const int64_t x_stride = 2 * ((job.words + 15) / 16 * 16);
#pragma GCC unroll 32
        for (int g = 0; g < G; ++g) {
            widen_row(x + g * x_stride, job.x + in_rows[g] * job.x_stride, job.words);
            begin_row<V>(sum[g], job, out_rows[g]);
        }
        const uint32_t* w = job.w;
        for (int64_t i = 0; i < job.words; ++i, x += 2, w += V * LANES) add_word<V, G>(sum, x, x_stride, w);
#pragma GCC unroll 32
        for (int g = 0; g < G; ++g) end_row<V>(sum[g], job, out_rows[g]);
    }
};

}  // namespace

void dots_bf16(const Dots* job, const int32_t* in_rows, const int32_t* out_rows, int64_t pairs) {
    assert(pairs > 0 && job->words > 0 && job->vectors > 0 && job->vectors <= VECTORS);
    const NoSubnormals here;
    run_pairs<VECTORS, Block>(job->vectors, *job, in_rows, out_rows, pairs);
}

}  // namespace NAME
}  // namespace spconv_cy
