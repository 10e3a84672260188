// bfloat16 on AVX-512F, widened: the bits of AVX-512 BF16. And the end of a tile for all sets with AVX-512.
#include <immintrin.h>
#include <cstdint>

#include "subnormals.inl"

#define NAME avx512f

namespace spconv_cy {
namespace avx512f {
namespace {

typedef __m512 Sums;
constexpr int LANES = 16, VECTORS = 4;
constexpr int ROWS[] = {0, 8, 8, 8, 6};

struct Halves {
    Sums first, second;
};

inline Sums load_sums(const void* p) { return _mm512_loadu_ps(p); }
inline void store_sums(void* p, Sums a) { _mm512_storeu_ps(p, a); }
inline Sums add(Sums a, Sums b) { return _mm512_add_ps(a, b); }
inline Sums splat_float(const float* p) { return _mm512_set1_ps(*p); }
inline Sums multiply_add(Sums a, Sums b, Sums c) { return _mm512_fmadd_ps(a, b, c); }

// The layout is WORDS: the second input of a word stands in its upper half.
inline Halves widen_words(const uint32_t* p) {
    const __m512i w = _mm512_loadu_si512(p);
    return {_mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32(static_cast<int>(0xffff0000)))),
            _mm512_castsi512_ps(_mm512_slli_epi32(w, 16))};
}

inline void widen_row(float* to, const uint32_t* from, int64_t words) {
    for (int64_t i = 0; i < words; i += 8) {
        const __mmask8 there = static_cast<__mmask8>(words - i < 8 ? (1 << (words - i)) - 1 : 255);
        const __m512i x = _mm512_maskz_loadu_epi32(there, from + i);
        const __m512i wide = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(x));                  // second, first
        const __m512i high = _mm512_and_si512(wide, _mm512_set1_epi64(0xffff0000));
        _mm512_storeu_si512(to + 2 * i, _mm512_or_si512(high, _mm512_slli_epi64(wide, 48)));
    }
}

}  // namespace
}  // namespace avx512f
}  // namespace spconv_cy

#include "widened.inl"
#include "close.inl"
