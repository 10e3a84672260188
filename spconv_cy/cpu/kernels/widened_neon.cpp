// bfloat16 on NEON, widened: the bits of AVX-512 BF16, which ARM's own instruction does not give. And the end of a tile.
#include <arm_neon.h>
#include <cstdint>

#include "subnormals.inl"

#define NAME neon

namespace spconv_cy {
namespace neon {
namespace {

typedef float32x4_t Sums;
constexpr int LANES = 4, VECTORS = 4;
constexpr int ROWS[] = {0, 12, 8, 6, 4};

struct Halves {
    Sums first, second;
};

inline Sums load_sums(const void* p) { return vld1q_f32(static_cast<const float*>(p)); }
inline void store_sums(void* p, Sums a) { vst1q_f32(static_cast<float*>(p), a); }
inline Sums add(Sums a, Sums b) { return vaddq_f32(a, b); }
inline Sums splat_float(const float* p) { return vld1q_dup_f32(p); }
inline Sums multiply_add(Sums a, Sums b, Sums c) { return vfmaq_f32(c, a, b); }

inline Halves widen_words(const uint32_t* p) {
    const uint32x4_t w = vld1q_u32(p);
    return {vreinterpretq_f32_u32(vandq_u32(w, vdupq_n_u32(0xffff0000))), vreinterpretq_f32_u32(vshlq_n_u32(w, 16))};
}

inline void widen_row(float* to, const uint32_t* from, int64_t words) {
    for (int64_t i = 0; i < words; ++i, to += 2) {
        vst1_f32(to, vreinterpret_f32_u64(vcreate_u64((from[i] & 0xffff0000) | static_cast<uint64_t>(from[i]) << 48)));
    }
}

}  // namespace
}  // namespace neon
}  // namespace spconv_cy

#include "widened.inl"
#include "close.inl"
