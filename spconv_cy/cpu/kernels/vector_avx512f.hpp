// The vector of AVX-512F: 32 registers of 16 floats, masked loads and stores cost nothing.
#pragma once
#include <immintrin.h>

#define NAME avx512f

namespace {

typedef __m512 vec;
constexpr int LANES = 16, VECTORS = 4;
constexpr bool FUSED = true;

inline vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, vec a) { _mm512_storeu_ps(p, a); }
inline __mmask16 part(int n) { return static_cast<__mmask16>((1u << n) - 1); }
inline vec load_part(const float* p, int n) { return _mm512_maskz_loadu_ps(part(n), p); }
inline void store_part(float* p, vec a, int n) { _mm512_mask_storeu_ps(p, part(n), a); }
inline vec splat(const float* p) { return _mm512_set1_ps(*p); }
inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

}  // namespace
