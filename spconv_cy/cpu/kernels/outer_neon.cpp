// The weight gradient for NEON on aarch64: 32 registers of 4 floats.
#include "vector_neon.hpp"

namespace {

constexpr bool WEIGHTS_STAY = true;
constexpr int INNER[] = {0, 16, 12, 8, 6};

}  // namespace

#include "outer.inl"
