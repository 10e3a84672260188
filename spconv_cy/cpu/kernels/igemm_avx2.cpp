// Matrix products for AVX2 with FMA: 16 registers of 8 floats.
#include "vector_avx2.hpp"

namespace {

constexpr int ROWS[] = {0, 12, 6, 4, 3};
constexpr int INPUTS[VECTORS + 1] = {};     // 16 registers hold too few weights
constexpr int UNROLL[] = {0, 1, 1, 1, 1};
constexpr int PAIRS[VECTORS + 1] = {};
constexpr int STAY_BELOW[VECTORS + 1] = {};

}  // namespace

#include "igemm.inl"
