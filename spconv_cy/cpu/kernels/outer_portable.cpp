// The weight gradient for any processor: vectors of 4 floats by the compiler's own vector type (SSE2 on x86-64).
#include "vector_portable.hpp"

namespace {

constexpr bool WEIGHTS_STAY = false;
constexpr int INNER[] = {0, 8, 4};

}  // namespace

#include "outer.inl"
