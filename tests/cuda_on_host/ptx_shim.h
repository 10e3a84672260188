// PTX instructions of the CUDA sources, on the CPU: host_build.py makes a call ptx_NAME(operands) of each asm statement.
//
// Operands stand in the instruction's order. Fragments are laid out as PTX's manual has it, section "Matrix Fragments for
// mma"; test_fragments.py compares with another source. Sums are float, in the order of k, which no tensor core promises.
// cp.async copies when it is waited for, no sooner: what was not waited for is not there.
#pragma once

namespace shim {
inline float half_to_single(unsigned short bits) { _Float16 h; memcpy(&h, &bits, 2); return h; }
inline unsigned short single_to_half(float v) { _Float16 h = (_Float16)v; unsigned short u; memcpy(&u, &h, 2); return u; }

// What the lanes of a warp put together: A by rows, B by columns; two, since one mma may follow another at once.
struct Matrices { float a[16][16], b[8][16]; };
inline Matrices matrices[32][2];

SHIM_NOTSAN inline Matrices& together() { Fiber* me = S.cur; return matrices[me->tid / 32][me->seq++ & 1]; }
SHIM_NOTSAN inline void put_halves(float* at, unsigned word) {
  at[0] = half_to_single(word & 0xffff); at[1] = half_to_single(word >> 16);
}
SHIM_NOTSAN inline void put_tf32(float* at, unsigned word) {       // the last 13 bits are not read
  word &= 0xffffe000u; memcpy(at, &word, 4);
}
SHIM_NOTSAN inline void sums(const Matrices& m, int depth, float& d0, float& d1, float& d2, float& d3, float c0, float c1,
                             float c2, float c3, int line) {
  // All lanes meet, and nothing else of theirs is ordered by it: a __syncthreads() that is missing still shows.
  Fiber* me = S.cur; me->line = line; me->mask = 0xffffffffu; me->st = WARP; to_host();
  int lane = S.cur->tid & 31, g = lane >> 2, t = lane & 3;
  float c[4] = {c0, c1, c2, c3};
  for (int i = 0; i < 4; i++) {
    const float *a = m.a[g + (i >> 1) * 8], *b = m.b[t * 2 + (i & 1)];
    for (int k = 0; k < depth; k++) c[i] += a[k] * b[k];
  }
  d0 = c[0]; d1 = c[1]; d2 = c[2]; d3 = c[3];
}

struct Copy { void* to; const void* from; int size; };
inline Copy copies[1024][64];
SHIM_NOTSAN inline void remember(void* to, const void* from, int size) {
  Fiber* me = S.cur;
  if (me->copies == 64) die("more cp.async at a time than the shim keeps", 0);
  copies[me->tid][me->copies++] = {to, from, size};
}
SHIM_NOTSAN inline bool next_copy(Copy& copy) {
  Fiber* me = S.cur;
  if (me->copies) copy = copies[me->tid][--me->copies];
  return copy.to != nullptr;
}
}  // namespace shim

inline void ptx_cvt_f32_f16(float& d, unsigned short a) { d = shim::half_to_single(a); }
inline void ptx_cvt_rn_f16_f32(unsigned short& d, float a) { d = shim::single_to_half(a); }
inline void ptx_cvt_rna_tf32_f32(unsigned& d, float a) {
  unsigned u; memcpy(&u, &a, 4); d = (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
}

inline void ptx_mma_sync_aligned_m16n8k16_row_col_f32_f16_f16_f32(float& d0, float& d1, float& d2, float& d3, unsigned a0,
    unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1, float c0, float c1, float c2, float c3) {
  int lane = shim::tid().x % 32, g = lane >> 2, t = lane & 3;
  shim::Matrices& m = shim::together();
  shim::put_halves(&m.a[g][t * 2], a0); shim::put_halves(&m.a[g + 8][t * 2], a1);
  shim::put_halves(&m.a[g][t * 2 + 8], a2); shim::put_halves(&m.a[g + 8][t * 2 + 8], a3);
  shim::put_halves(&m.b[g][t * 2], b0); shim::put_halves(&m.b[g][t * 2 + 8], b1);
  shim::sums(m, 16, d0, d1, d2, d3, c0, c1, c2, c3, __LINE__);
}
inline void ptx_mma_sync_aligned_m16n8k8_row_col_f32_f16_f16_f32(float& d0, float& d1, float& d2, float& d3, unsigned a0,
    unsigned a1, unsigned b0, float c0, float c1, float c2, float c3) {
  int lane = shim::tid().x % 32, g = lane >> 2, t = lane & 3;
  shim::Matrices& m = shim::together();
  shim::put_halves(&m.a[g][t * 2], a0); shim::put_halves(&m.a[g + 8][t * 2], a1); shim::put_halves(&m.b[g][t * 2], b0);
  shim::sums(m, 8, d0, d1, d2, d3, c0, c1, c2, c3, __LINE__);
}
inline void ptx_mma_sync_aligned_m16n8k8_row_col_f32_tf32_tf32_f32(float& d0, float& d1, float& d2, float& d3, unsigned a0,
    unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1, float c0, float c1, float c2, float c3) {
  int lane = shim::tid().x % 32, g = lane >> 2, t = lane & 3;
  shim::Matrices& m = shim::together();
  shim::put_tf32(&m.a[g][t], a0); shim::put_tf32(&m.a[g + 8][t], a1);
  shim::put_tf32(&m.a[g][t + 4], a2); shim::put_tf32(&m.a[g + 8][t + 4], a3);
  shim::put_tf32(&m.b[g][t], b0); shim::put_tf32(&m.b[g][t + 4], b1);
  shim::sums(m, 8, d0, d1, d2, d3, c0, c1, c2, c3, __LINE__);
}

inline void ptx_cp_async_cg_shared_global(unsigned to, const void* from, int bytes, int size) {
  char* at = __start_shim_smem + to;
  if (bytes != 16 || size < 0 || size > 16 || (uintptr_t)at % 16 || (uintptr_t)from % 16 || at + 16 > __stop_shim_smem)
    shim::die("cp.async of other than 16 bytes, misaligned, or not into shared memory", __LINE__);
  shim::remember(at, from, size);
}
inline void ptx_cp_async_wait_all() {
  for (shim::Copy copy{}; shim::next_copy(copy); copy = {}) {
    unsigned words[4] = {0, 0, 0, 0};
    for (int i = 0; i < copy.size / 4; i++) words[i] = ((const unsigned*)copy.from)[i];
    for (int i = 0; i < 4; i++) ((unsigned*)copy.to)[i] = words[i];
  }
}
