// The weight gradient for AVX2 with FMA: 16 registers of 8 floats.
#include "vector_avx2.hpp"

namespace {

constexpr bool WEIGHTS_STAY = false;
constexpr int INNER[] = {0, 12, 6, 4, 3};

}  // namespace

#include "outer.inl"
