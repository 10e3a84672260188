// CRC-32: which instructions the processor has, the bytes that make no whole block, and the CRC-32 of joined pieces.
#include "crc.hpp"

#if defined(SPCONV_CY_ARMCRC) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace spconv_cy {
namespace {

struct Table {
    std::uint32_t of[256];
    Table() {
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ CRC_POLYNOMIAL : value >> 1;
            of[i] = value;
        }
    }
};

std::uint32_t single_bytes(std::uint32_t state, const unsigned char* bytes, std::size_t n) {
    static const Table table;
    for (std::size_t i = 0; i < n; ++i) state = table.of[(state ^ bytes[i]) & 255] ^ state >> 8;
    return state;
}

// The product of two polynomials modulo that of CRC-32.
std::uint32_t times(std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (std::uint32_t bit = std::uint32_t(1) << 31; bit; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b & 1 ? b >> 1 ^ CRC_POLYNOMIAL : b >> 1;
    }
    return product;
}

enum Kernel { NONE, PCLMUL, ARMCRC };

Kernel found() {
#ifdef SPCONV_CY_PCLMUL
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse2")) return PCLMUL;
#endif
#if defined(SPCONV_CY_ARMCRC) && defined(__linux__)
    if (getauxval(AT_HWCAP) >> 7 & 1) return ARMCRC;                    // HWCAP_CRC32
#elif defined(SPCONV_CY_ARMCRC) && defined(__APPLE__)
    return ARMCRC;
#endif
    return NONE;
}

Kernel kernel() {
    static const Kernel asked = found();
    return asked;
}

std::uint32_t whole_blocks(std::uint32_t state, const unsigned char* bytes, std::size_t blocks) {
    switch (kernel()) {
#ifdef SPCONV_CY_PCLMUL
        case PCLMUL: return pclmul::crc_blocks(state, bytes, blocks);
#endif
#ifdef SPCONV_CY_ARMCRC
        case ARMCRC: return armcrc::crc_blocks(state, bytes, blocks);
#endif
        default: return single_bytes(state, bytes, blocks * CRC_BLOCK);
    }
}

}  // namespace

const char* crc_kernel() {
    const char* const names[] = {nullptr, "pclmul", "armcrc"};
    return names[kernel()];
}

std::uint32_t crc32(std::uint32_t before, const void* bytes, std::size_t n) {
    const unsigned char* from = static_cast<const unsigned char*>(bytes);
    const std::size_t blocks = n / CRC_BLOCK;
    std::uint32_t state = ~before;
    if (blocks) state = whole_blocks(state, from, blocks);
    return ~single_bytes(state, from + blocks * CRC_BLOCK, n % CRC_BLOCK);
}

std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::uint64_t n) {
    // The first is multiplied by x^(8 n).
    std::uint32_t power = std::uint32_t(1) << 23;                        // x^8
    for (; n; n >>= 1) {
        if (n & 1) first = times(first, power);
        power = times(power, power);
    }
    return first ^ second;
}

}  // namespace spconv_cy
