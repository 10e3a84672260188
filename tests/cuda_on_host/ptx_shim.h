// PTX instructions of the CUDA sources, on the CPU: host_build.py makes a call ptx_NAME(operands) of each asm statement.
#pragma once

namespace shim {
inline float half_to_single(unsigned short bits) { _Float16 h; memcpy(&h, &bits, 2); return h; }
inline unsigned short single_to_half(float v) { _Float16 h = v; unsigned short bits; memcpy(&bits, &h, 2); return bits; }
}  // namespace shim

inline void ptx_cvt_f32_f16(float& d, unsigned short a) { d = shim::half_to_single(a); }
inline void ptx_cvt_rn_f16_f32(unsigned short& d, float a) { d = shim::single_to_half(a); }
