// 8 bits on AVX-VNNI: the instruction of AVX-512 VNNI with registers of AVX2.
#include <immintrin.h>
#include <cstdint>

#define NAME avxvnni
#define DOTS dots_int8

namespace spconv_cy {
namespace avxvnni {
namespace {

typedef __m256i Sums;
typedef __m256i Words;
constexpr int LANES = 8, VECTORS = 4;
constexpr int ROWS[] = {0, 12, 6, 4, 3};

inline Words load_words(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline Sums load_sums(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store_sums(void* p, Sums a) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }
inline Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
inline Words splat(const uint32_t* p) { return _mm256_set1_epi32(static_cast<int>(*p)); }
inline Sums dot(Sums sum, Words x, Words w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }

}  // namespace
}  // namespace avxvnni
}  // namespace spconv_cy

#include "dots.inl"
