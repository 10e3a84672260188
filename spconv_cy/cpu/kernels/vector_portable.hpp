// The vector of any processor: vectors of 4 floats by the compiler's own vector type (SSE2 on x86-64).
#pragma once
#define NAME portable

namespace {

typedef float vec __attribute__((vector_size(16)));
constexpr int LANES = 4, VECTORS = 4;
#ifdef __FP_FAST_FMAF
constexpr bool FUSED = true;
#else
constexpr bool FUSED = false;       // a product needs a register before it is added
#endif

// Rows have the alignment of floats, and a pointer to vec would imply more.
struct [[gnu::packed, gnu::may_alias]] alignas(float) Within {
    vec a;
};

inline vec load(const float* p) { return reinterpret_cast<const Within*>(p)->a; }
inline void store(float* p, vec a) { reinterpret_cast<Within*>(p)->a = a; }
inline vec load_part(const float* p, int n) {
    vec a = {0, 0, 0, 0};
    for (int i = 0; i < n; ++i) a[i] = p[i];
    return a;
}
inline void store_part(float* p, vec a, int n) {
    for (int i = 0; i < n; ++i) p[i] = a[i];
}
inline vec splat(const float* p) { return vec{*p, *p, *p, *p}; }
inline vec fma(vec a, vec b, vec c) { return a * b + c; }

}  // namespace
