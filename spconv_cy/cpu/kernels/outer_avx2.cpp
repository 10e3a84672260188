// The weight gradient for AVX2 with FMA: 16 registers of 8 floats.
#include "vector_avx2.hpp"

namespace {

constexpr int INNER[] = {0, 12, 6, 4, 3};
constexpr int POINTERS = 2, PANELS = 256, NEAR_FLOATS = 4096;

}  // namespace

#include "outer.inl"
