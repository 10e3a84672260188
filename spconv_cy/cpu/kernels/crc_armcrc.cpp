// CRC-32 by ARMv8's instructions for it, 8 bytes each.
#include <arm_acle.h>
#include <cstring>

#include "crc.hpp"

namespace spconv_cy {
namespace armcrc {

std::uint32_t crc_blocks(std::uint32_t state, const unsigned char* bytes, std::size_t blocks) {
    for (const unsigned char* end = bytes + blocks * CRC_BLOCK; bytes != end; bytes += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes, 8);
        state = __crc32d(state, word);
    }
    return state;
}

}  // namespace armcrc
}  // namespace spconv_cy
