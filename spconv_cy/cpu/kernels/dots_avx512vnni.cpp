// 8 bits on AVX-512 VNNI: four products and their sum in one instruction.
#include <immintrin.h>
#include <cstdint>

#define NAME avx512vnni
#define DOTS dots_int8

namespace spconv_cy {
namespace avx512vnni {
namespace {

typedef __m512i Sums;
typedef __m512i Words;
constexpr int LANES = 16, VECTORS = 4;
constexpr int ROWS[] = {0, 8, 8, 8, 6};

inline Words load_words(const uint32_t* p) { return _mm512_loadu_si512(p); }
inline Sums load_sums(const void* p) { return _mm512_loadu_si512(p); }
inline void store_sums(void* p, Sums a) { _mm512_storeu_si512(p, a); }
inline Sums add(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
inline Words splat(const uint32_t* p) { return _mm512_set1_epi32(static_cast<int>(*p)); }
inline Sums dot(Sums sum, Words x, Words w) { return _mm512_dpbusd_epi32(sum, x, w); }

}  // namespace
}  // namespace avx512vnni
}  // namespace spconv_cy

#include "dots.inl"
