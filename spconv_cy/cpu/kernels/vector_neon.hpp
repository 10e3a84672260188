// The vector of NEON on aarch64: 32 registers of 4 floats.
#pragma once
#include <arm_neon.h>

#define NAME neon

namespace {

typedef float32x4_t vec;
constexpr int LANES = 4, VECTORS = 4;
constexpr bool FUSED = true;

inline vec load(const float* p) { return vld1q_f32(p); }
inline void store(float* p, vec a) { vst1q_f32(p, a); }
inline vec load_part(const float* p, int n) {
    float lane[LANES] = {0, 0, 0, 0};
    for (int i = 0; i < n; ++i) lane[i] = p[i];
    return vld1q_f32(lane);
}
inline void store_part(float* p, vec a, int n) {
    float lane[LANES];
    vst1q_f32(lane, a);
    for (int i = 0; i < n; ++i) p[i] = lane[i];
}
inline vec splat(const float* p) { return vld1q_dup_f32(p); }
inline vec fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }

}  // namespace
