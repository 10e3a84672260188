// Matrix products for AVX2 with FMA: 16 registers of 8 floats.
#include "vector_avx2.hpp"

namespace {

constexpr bool WEIGHTS_STAY = false;
constexpr int BLOCK[] = {0, 12, 6, 4, 3};

}  // namespace

#include "igemm.inl"
