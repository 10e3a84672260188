// Matrix products for AVX-512F: 32 registers of 16 floats, masked loads and stores cost nothing.
#include "vector_avx512f.hpp"

namespace {

constexpr bool WEIGHTS_STAY = true;
constexpr int BLOCK[] = {0, 16, 8, 8, 6};

}  // namespace

#include "igemm.inl"
