// bfloat16 on AVX2 with FMA, widened: the bits of AVX-512 BF16.
#include <immintrin.h>
#include <cstdint>

#include "subnormals.inl"

#define NAME avx2

namespace spconv_cy {
namespace avx2 {
namespace {

typedef __m256 Sums;
constexpr int LANES = 8, VECTORS = 3;
constexpr int ROWS[] = {0, 10, 5, 3};

struct Halves {
    Sums first, second;
};

inline Sums load_sums(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
inline void store_sums(void* p, Sums a) { _mm256_storeu_ps(static_cast<float*>(p), a); }
inline Sums add(Sums a, Sums b) { return _mm256_add_ps(a, b); }
inline Sums splat_float(const float* p) { return _mm256_broadcast_ss(p); }
inline Sums multiply_add(Sums a, Sums b, Sums c) { return _mm256_fmadd_ps(a, b, c); }

inline Halves widen_words(const uint32_t* p) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), zero = _mm256_setzero_si256();
    return {_mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, w)), _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, w))};
}

inline void widen_row(float* to, const uint32_t* from, int64_t words) {
    int64_t i = 0;
    for (; i + 4 <= words; i += 4) {
        const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
        const __m256i wide = _mm256_cvtepu16_epi32(_mm_or_si128(_mm_slli_epi32(x, 16), _mm_srli_epi32(x, 16)));
        _mm256_storeu_ps(to + 2 * i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
    for (; i < words; ++i) {
        const __m128i x = _mm_set_epi32(0, 0, static_cast<int>(from[i] << 16), static_cast<int>(from[i] & 0xffff0000));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 2 * i), x);
    }
}

}  // namespace
}  // namespace avx2
}  // namespace spconv_cy

#include "widened.inl"
