// Matrix products for AVX-512F: 32 registers of 16 floats, masked loads and stores cost nothing.
#include <cstdint>

#include "vector_avx512f.hpp"

namespace {

constexpr int ROWS[] = {0, 8, 8, 8, 6};
constexpr int INPUTS[] = {0, 16, 8, 8, 6};
constexpr int UNROLL[] = {0, 8, 8, 8, 8};
constexpr int PAIRS[] = {0, 8, 4, 2, 1};
// With one vector of columns each product loads its input, so that no load is left for weights.
constexpr int STAY_BELOW[] = {0, INT32_MAX, 12, 12, 12};

}  // namespace

#include "igemm.inl"
