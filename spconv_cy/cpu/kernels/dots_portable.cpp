// Small numbers on any processor: vectors of 4 sums. On x86-64 SSE2 multiplies, and compilers elsewhere.
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NAME portable
#define DOTS dots_int8

namespace spconv_cy {
namespace portable {
namespace {

typedef int32_t Sums __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(16)));
constexpr int LANES = 4, VECTORS = 4;
constexpr int ROWS[] = {0, 4, 4, 2, 2};

template <class Vector>
inline Vector vector_at(const void* p) {
    Vector a;
    std::memcpy(&a, p, sizeof a);
    return a;
}

inline Words load_words(const uint32_t* p) { return vector_at<Words>(p); }
inline Sums load_sums(const void* p) { return vector_at<Sums>(p); }
inline void store_sums(void* p, Sums a) { std::memcpy(p, &a, sizeof a); }
inline Sums add(Sums a, Sums b) { return a + b; }
inline Words splat(const uint32_t* p) { return Words{} + *p; }

#ifdef __SSE2__
// Each half of a 16-bit lane widened in place.
inline Sums dot(Sums sum, Words x, Words w) {
    const __m128i a = (__m128i)x, b = (__m128i)w;
    const __m128i even = _mm_madd_epi16(_mm_and_si128(a, _mm_set1_epi16(255)), _mm_srai_epi16(_mm_slli_epi16(b, 8), 8));
    const __m128i odd = _mm_madd_epi16(_mm_srli_epi16(a, 8), _mm_srai_epi16(b, 8));
    return (Sums)_mm_add_epi32((__m128i)sum, _mm_add_epi32(even, odd));
}
#else
inline Sums dot(Sums sum, Words x, Words w) {
    for (int byte = 0; byte < 4; ++byte) {
        sum += (Sums)(x >> (8 * byte) & 255) * ((Sums)(w << (24 - 8 * byte)) >> 24);
    }
    return sum;
}
#endif

}  // namespace
}  // namespace portable
}  // namespace spconv_cy

#include "dots.inl"
#include "close.inl"
