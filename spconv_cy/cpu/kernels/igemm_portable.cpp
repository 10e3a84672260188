// Matrix products for any processor: vectors of 4 floats by the compiler's own vector type (SSE2 on x86-64).
#include "vector_portable.hpp"

namespace {

constexpr int ROWS[] = {0, 8, 4, 4, 3};
constexpr int INPUTS[VECTORS + 1] = {};     // 16 registers hold too few weights
constexpr int UNROLL[] = {0, 1, 1, 1, 1};
constexpr int PAIRS[VECTORS + 1] = {};
constexpr int STAY_BELOW[VECTORS + 1] = {};

}  // namespace

#include "igemm.inl"
