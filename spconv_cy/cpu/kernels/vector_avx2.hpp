// The vector of AVX2 with FMA: 16 registers of 8 floats.
#pragma once
#include <cstdint>
#include <immintrin.h>

#define NAME avx2

namespace {

typedef __m256 vec;
constexpr int LANES = 8, VECTORS = 4;
constexpr bool FUSED = true;

alignas(64) const int32_t ONES[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

inline vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, vec a) { _mm256_storeu_ps(p, a); }
inline __m256i part(int n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ONES + LANES - n)); }
inline vec load_part(const float* p, int n) { return _mm256_maskload_ps(p, part(n)); }
inline void store_part(float* p, vec a, int n) { _mm256_maskstore_ps(p, part(n), a); }
inline vec splat(const float* p) { return _mm256_broadcast_ss(p); }
inline vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }

}  // namespace
