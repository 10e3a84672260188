// CRC-32 by products without carries: four sums of 16 bytes, each multiplied on by the 64 bytes that follow.
// Source: Gopal et al. 2009, "Fast CRC computation for generic polynomials using PCLMULQDQ".
#include <emmintrin.h>
#include <wmmintrin.h>

#include "crc.hpp"

namespace spconv_cy {
namespace pclmul {
namespace {

// a times x^(8 bytes) plus b; powers: x^(8 bytes - 32) and x^(8 bytes + 32) modulo the polynomial, bits reversed.
inline __m128i onward(__m128i a, __m128i powers, __m128i b) {
    const __m128i high = _mm_clmulepi64_si128(a, powers, 0x11), low = _mm_clmulepi64_si128(a, powers, 0x00);
    return _mm_xor_si128(_mm_xor_si128(high, low), b);
}

inline __m128i load(const unsigned char* bytes) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

// A sum of 16 bytes as the state after them: the products of its words with the remainders of powers of x.
std::uint32_t remainder_of(__m128i sum) {
    unsigned char bytes[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), sum);
    std::uint32_t state = 0;
    for (unsigned char byte : bytes) {
        state ^= byte;
        for (int bit = 0; bit < 8; ++bit) state = state & 1 ? state >> 1 ^ CRC_POLYNOMIAL : state >> 1;
    }
    return state;
}

}  // namespace

std::uint32_t crc_blocks(std::uint32_t state, const unsigned char* bytes, std::size_t blocks) {
    const __m128i by_64 = _mm_set_epi64x(0x1C6E41596, 0x154442BD4), by_16 = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
    __m128i a = load(bytes), b = load(bytes + 16), c = load(bytes + 32), d = load(bytes + 48);
    a = _mm_xor_si128(a, _mm_cvtsi32_si128(static_cast<int>(state)));
    while (--blocks) {
        bytes += CRC_BLOCK;
        a = onward(a, by_64, load(bytes));
        b = onward(b, by_64, load(bytes + 16));
        c = onward(c, by_64, load(bytes + 32));
        d = onward(d, by_64, load(bytes + 48));
    }
    return remainder_of(onward(onward(onward(a, by_16, b), by_16, c), by_16, d));
}

}  // namespace pclmul
}  // namespace spconv_cy
