// The weight gradient for AVX-512F: 32 registers of 16 floats, masked loads and stores cost nothing.
#include "vector_avx512f.hpp"

namespace {

constexpr int INNER[] = {0, 16, 12, 8, 6};
constexpr int POINTERS = 8, PANELS = 256, NEAR_FLOATS = 8192;

}  // namespace

#include "outer.inl"
