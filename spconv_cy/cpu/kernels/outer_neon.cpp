// The weight gradient for NEON on aarch64: 32 registers of 4 floats.
#include "vector_neon.hpp"

namespace {

constexpr int INNER[] = {0, 16, 12, 8, 6};
constexpr int POINTERS = 8, PANELS = 256, NEAR_FLOATS = 8192;

}  // namespace

#include "outer.inl"
