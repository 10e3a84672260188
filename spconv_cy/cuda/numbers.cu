// What stands before every source: the names of types, float16 by PTX (CUDA's own header is not there for NVRTC).
// REAL is what a feature is stored as, float or Half: a source is compiled once for each, and computes in float.
typedef unsigned long long u64;
typedef long long i64;
struct Half { unsigned short bits; };
typedef REAL Real;

__device__ __forceinline__ float single(float v) { return v; }
__device__ __forceinline__ float single(Half h) {
  float v;
  asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(h.bits));
  return v;
}
__device__ __forceinline__ void put(float* at, float v) { *at = v; }
__device__ __forceinline__ void put(Half* at, float v) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(at->bits) : "f"(v)); }
