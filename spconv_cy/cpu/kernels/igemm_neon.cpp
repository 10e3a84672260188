// Matrix products for NEON on aarch64: 32 registers of 4 floats.
#include "vector_neon.hpp"

namespace {

constexpr int ROWS[] = {0, 12, 8, 8, 6};
constexpr int INPUTS[] = {0, 16, 8, 8, 6};
constexpr int UNROLL[] = {0, 1, 1, 1, 1};
constexpr int PAIRS[] = {0, 1, 1, 1, 1};
constexpr int STAY_BELOW[] = {0, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};

}  // namespace

#include "igemm.inl"
