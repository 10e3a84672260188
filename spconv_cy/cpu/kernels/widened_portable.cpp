// bfloat16 on any processor, widened: the bits of AVX-512 BF16. A product of two is exact as a float, so that a
// multiplication and an addition give what a fused one does.
#include <cstdint>
#include <cstring>

#include "subnormals.inl"

#define NAME portable

namespace spconv_cy {
namespace portable {
namespace {

typedef float Sums __attribute__((vector_size(16)));
typedef uint32_t Bits __attribute__((vector_size(16)));
constexpr int LANES = 4, VECTORS = 4;
constexpr int ROWS[] = {0, 8, 4, 4, 3};

struct Halves {
    Sums first, second;
};

template <class Vector>
inline Vector vector_at(const void* p) {
    Vector a;
    std::memcpy(&a, p, sizeof a);
    return a;
}

inline Sums load_sums(const void* p) { return vector_at<Sums>(p); }
inline void store_sums(void* p, Sums a) { std::memcpy(p, &a, sizeof a); }
inline Sums add(Sums a, Sums b) { return a + b; }
inline Sums splat_float(const float* p) { return Sums{*p, *p, *p, *p}; }
inline Sums multiply_add(Sums a, Sums b, Sums c) { return a * b + c; }

inline Halves widen_words(const uint32_t* p) {
    const Bits w = vector_at<Bits>(p);
    return {(Sums)(w & 0xffff0000), (Sums)(w << 16)};
}

inline void widen_row(float* to, const uint32_t* from, int64_t words) {
    for (int64_t i = 0; i < words; ++i) {
        const uint32_t both[2] = {from[i] & 0xffff0000, from[i] << 16};
        std::memcpy(to + 2 * i, both, sizeof both);
    }
}

}  // namespace
}  // namespace portable
}  // namespace spconv_cy

#include "widened.inl"
