// CRC-32 as zlib's, by the processor's own instructions where it has them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace spconv_cy {

// The CRC-32 of n bytes after others, of which `before` is the CRC-32; only where crc_kernel() names one.
std::uint32_t crc32(std::uint32_t before, const void* bytes, std::size_t n);

// The CRC-32 of two pieces one after the other, from that of each and the bytes of the second.
std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::uint64_t n);

// Name of the instructions that crc32 uses, or nullptr: zlib is faster then.
const char* crc_kernel();

// crc_blocks takes whole blocks, at least one, into a register of CRC-32: the complement of a CRC-32.
const std::size_t CRC_BLOCK = 64;                                        // bytes
const std::uint32_t CRC_POLYNOMIAL = 0xEDB88320;                         // the bit of x^31 is the lowest
namespace pclmul { std::uint32_t crc_blocks(std::uint32_t state, const unsigned char* bytes, std::size_t blocks); }
namespace armcrc { std::uint32_t crc_blocks(std::uint32_t state, const unsigned char* bytes, std::size_t blocks); }

}  // namespace spconv_cy
