// Matrix products for AVX-512F: 32 registers of 16 floats, masked loads and stores cost nothing.
#include "vector_avx512f.hpp"

namespace {

constexpr int ROWS[] = {0, 8, 8, 8, 6};
constexpr int INPUTS[] = {0, 16, 8, 8, 6};
constexpr int UNROLL[] = {0, 8, 8, 8, 8};
// Of few inputs all weights stay, and there are no remainders of rows.
constexpr int STAY_BELOW = 12;

}  // namespace

#include "igemm.inl"
