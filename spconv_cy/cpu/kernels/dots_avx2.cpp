// Small numbers on AVX2 with FMA. Two products of 8 bits are added in 16 bits, where they would be cut off beyond 32767:
// weights that could reach it are split when they are packed, and the rests follow as extras.
#include <immintrin.h>
#include <cstdint>

#define NAME avx2
#define DOTS dots_int8
#define NARROW_PRODUCTS

namespace spconv_cy {
namespace avx2 {
namespace {

typedef __m256i Sums;
typedef __m256i Words;
constexpr int LANES = 8, VECTORS = 4;
constexpr int ROWS[] = {0, 8, 5, 3, 2};

inline __m256i load_words(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline Sums load_sums(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store_sums(void* p, Sums a) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }
inline Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
inline Words splat(const uint32_t* p) { return _mm256_set1_epi32(static_cast<int>(*p)); }
inline Sums dot(Sums sum, Words x, Words w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}

}  // namespace
}  // namespace avx2
}  // namespace spconv_cy

#include "dots.inl"
#include "close.inl"
