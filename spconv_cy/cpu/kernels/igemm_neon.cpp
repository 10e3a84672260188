// Matrix products for NEON on aarch64: 32 registers of 4 floats.
#include <arm_neon.h>

#define NAME neon

namespace {

typedef float32x4_t vec;
constexpr int LANES = 4, VECTORS = 4;
constexpr bool WEIGHTS_STAY = true;
constexpr int BLOCK[] = {0, 16, 8, 8, 6};
constexpr int INNER[] = {0, 16, 12, 8, 6};

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

#include "igemm.inl"
