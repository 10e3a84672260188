// Matrix products for NEON on aarch64: 32 registers of 4 floats.
#include "vector_neon.hpp"

namespace {

constexpr bool WEIGHTS_STAY = true;
constexpr int BLOCK[] = {0, 16, 8, 8, 6};

}  // namespace

#include "igemm.inl"
