// 8 bits on ARM's dot products, which take both sides signed: 128 is subtracted from x, and added as sums of weights.
#include <arm_neon.h>
#include <cstdint>

#define NAME neondot
#define DOTS dots_int8

namespace spconv_cy {
namespace neondot {
namespace {

typedef int32x4_t Sums;
typedef int8x16_t Words;
constexpr int LANES = 4, VECTORS = 4;
constexpr int ROWS[] = {0, 12, 8, 6, 4};

inline Words load_words(const uint32_t* p) { return vreinterpretq_s8_u32(vld1q_u32(p)); }
inline Sums load_sums(const void* p) { return vld1q_s32(static_cast<const int32_t*>(p)); }
inline void store_sums(void* p, Sums a) { vst1q_s32(static_cast<int32_t*>(p), a); }
inline Sums add(Sums a, Sums b) { return vaddq_s32(a, b); }
inline Words splat(const uint32_t* p) {
    return vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(vld1q_dup_u32(p)), vdupq_n_u8(128)));
}
inline Sums dot(Sums sum, Words x, Words w) { return vdotq_s32(sum, x, w); }

}  // namespace
}  // namespace neondot
}  // namespace spconv_cy

#include "dots.inl"
