// Takes subnormal numbers for zero while it lives, as AVX-512 BF16 does.
#include <cstdint>

#ifdef __SSE2__
#include <xmmintrin.h>
#endif

namespace {

struct NoSubnormals {
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();
    NoSubnormals() { _mm_setcsr(before | 0x8040); }
    ~NoSubnormals() { _mm_setcsr(before); }
#elif defined(__aarch64__)
    uint64_t before;
    NoSubnormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before) : : "memory");
        asm volatile("msr fpcr, %0" : : "r"(before | 1 << 24) : "memory");
    }
    ~NoSubnormals() { asm volatile("msr fpcr, %0" : : "r"(before) : "memory"); }
#endif
};

}  // namespace
