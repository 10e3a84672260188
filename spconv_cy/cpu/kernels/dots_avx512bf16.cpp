// bfloat16 on AVX-512 BF16: two products and their sum in one instruction.
#include <immintrin.h>
#include <cstdint>

#define NAME avx512bf16
#define DOTS dots_bf16

namespace spconv_cy {
namespace avx512bf16 {
namespace {

typedef __m512 Sums;
typedef __m512bh Words;
constexpr int LANES = 16, VECTORS = 4;
constexpr int ROWS[] = {0, 8, 8, 8, 6};

inline Words load_words(const uint32_t* p) { return (Words)_mm512_loadu_si512(p); }
inline Sums load_sums(const void* p) { return _mm512_loadu_ps(p); }
inline void store_sums(void* p, Sums a) { _mm512_storeu_ps(p, a); }
inline Sums add(Sums a, Sums b) { return _mm512_add_ps(a, b); }
inline Words splat(const uint32_t* p) { return (Words)_mm512_set1_epi32(static_cast<int>(*p)); }
inline Sums dot(Sums sum, Words x, Words w) { return _mm512_dpbf16_ps(sum, x, w); }

}  // namespace
}  // namespace avx512bf16
}  // namespace spconv_cy

#include "dots.inl"
