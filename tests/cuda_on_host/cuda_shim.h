// Runs a CUDA C file on the CPU, unchanged: g++ -x c++ -std=c++20 -include cuda_shim.h conv.cu -shared ...
//
// Blocks run one after another; a block's threads are fibers on one OS thread that switch only at barriers and warp
// collectives, so every run is repeatable. SHIM_ORDER=fwd|rev|<seed> sets the order of blocks and of fibers.
// Hard errors, with line, block and thread: barriers that diverge or dead-lock, lanes missing from a mask. Shared memory is
// poisoned (NaN, -1) at each block's start. Under ThreadSanitizer only barriers, collectives and a kernel's end
// synchronise, so that races between threads and between blocks show.
// Not modelled: weak memory order, streams, occupancy, bank conflicts, the speed of anything.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#include <sys/mman.h>
#include <ucontext.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
extern "C" { void* __tsan_get_current_fiber(void); void* __tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void*); void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*); void __tsan_release(void*);
void __tsan_java_init(unsigned long, unsigned long); void __tsan_java_alloc(unsigned long, unsigned long); void __tsan_java_free(unsigned long, unsigned long);
void AnnotateIgnoreReadsBegin(const char*, int); void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int); void AnnotateIgnoreWritesEnd(const char*, int); }
#endif
// the shim's own bookkeeping is invisible to TSan: only the kernel's memory accesses count
#define SHIM_NOTSAN __attribute__((no_sanitize("thread"), noinline))
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
// all static shared memory lies in one named section, so its address range is known
#define __shared__ static __attribute__((section("shim_smem"), aligned(16)))
extern "C" { extern char __start_shim_smem[] __attribute__((weak)); extern char __stop_shim_smem[] __attribute__((weak)); }
struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float4 make_float4(float a, float b, float c, float d) { return {a, b, c, d}; }
inline float2 make_float2(float a, float b) { return {a, b}; }
inline uint4 make_uint4(unsigned a, unsigned b, unsigned c, unsigned d) { return {a, b, c, d}; }

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SHIM_SWITCH                 // swapcontext asks the kernel for the signal mask each time: several times slower
extern "C" void shim_switch(void** from, void* to);
asm(".pushsection .text\nshim_switch:\npush %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n.popsection");
#endif

namespace shim {
enum St : unsigned char { READY, BLOCK, WARP, DONE };
struct Fiber {
  ucontext_t ctx; void* sp = nullptr; char* stack = nullptr; St st = DONE; int line = 0; unsigned mask = 0;
  unsigned tid = 0, seq = 0; uint3 t{}; void* tsan = nullptr; void* fake = nullptr; long red = 0;
  unsigned copies = 0;              // cp.async of this thread that it has not waited for
};
#if defined(__SANITIZE_THREAD__)
constexpr size_t STK = 32 << 10;
#else
constexpr size_t STK = 128 << 10;
#endif
inline char sync_pool[1 << 20];     // addresses that stand for barriers in TSan
struct Warp { uint64_t slot[2][32]; int have[2][32]; };
struct State {
  dim3 g, b; uint3 blk{}; Fiber* cur = nullptr; std::vector<Fiber> f; std::vector<Warp> w;
  ucontext_t host; void* hostsp = nullptr; char* dyn = nullptr; std::function<void()> body; unsigned n = 0;
  long redacc[2] = {0, 0}; Fiber* fp = nullptr; Warp* wp = nullptr; char* bar = sync_pool; bool jinit = false; void* htsan = nullptr; void* hfake = nullptr;
  const void* hstk = nullptr; size_t hsz = 0; uint64_t rng = 1; int order = 0; std::string err;
  unsigned long nsync = 0, nwarp = 0, nblocks = 0;
};
inline State S;
inline const char* kname = "?";
[[noreturn]] inline void die(const char* what, int line) {
  fprintf(stderr, "\ncuda_shim ERROR in kernel %s: %s (line %d, block %u,%u,%u thread %u)\n", kname, what, line & 0xffff,
          S.blk.x, S.blk.y, S.blk.z, S.cur ? S.cur->tid : 0u);
  fflush(stderr); abort();
}
inline uint64_t rnd() { S.rng ^= S.rng << 13; S.rng ^= S.rng >> 7; S.rng ^= S.rng << 17; return S.rng; }
inline void release_(void* p) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(p);
#else
  (void)p;
#endif
}
inline void acquire_(void* p) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(p);
#else
  (void)p;
#endif
}
SHIM_NOTSAN inline void to_host() {
  Fiber* me = S.cur;
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(S.htsan, 1);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(me->st == DONE ? nullptr : &me->fake, S.hstk, S.hsz);
#endif
#if defined(SHIM_SWITCH)
  shim_switch(&me->sp, S.hostsp);
#else
  swapcontext(&me->ctx, &S.host);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(me->fake, &S.hstk, &S.hsz);
#endif
}
SHIM_NOTSAN inline void to_fiber(Fiber& x) {
  S.cur = &x;
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(x.tsan, 1);   // 1 = no happens-before from the switch itself
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&S.hfake, x.stack, STK);
#endif
#if defined(SHIM_SWITCH)
  shim_switch(&S.hostsp, x.sp);
#else
  swapcontext(&S.host, &x.ctx);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(S.hfake, nullptr, nullptr);
#endif
  S.cur = nullptr;
}
SHIM_NOTSAN inline void entry() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &S.hstk, &S.hsz);
#endif
  S.body(); if (S.cur->copies) die("cp.async that was never waited for", 0); release_(sync_pool); S.cur->st = DONE; to_host();
}
SHIM_NOTSAN inline void block_barrier(int line, long red = 0, int op = 0) {
  Fiber* me = S.cur; me->line = line; me->red = red; me->mask = op; me->st = BLOCK; release_(S.bar); to_host(); acquire_(S.bar);
}
SHIM_NOTSAN inline void warp_barrier(unsigned mask, int line) {
  Fiber* me = S.cur;
  if (!(mask >> (me->tid & 31) & 1)) die("calling lane is not in the warp mask", line);
  me->line = line; me->mask = mask; me->st = WARP; void* a = S.bar + 1 + me->tid / 32; release_(a); to_host(); acquire_(a);
}
template <class T> inline uint64_t pack(T v) { static_assert(sizeof(T) <= 8, ""); uint64_t u = 0; memcpy(&u, &v, sizeof v); return u; }
template <class T> inline T unpack(uint64_t u) { T v; memcpy(&v, &u, sizeof v); return v; }
// every lane of mask puts v in; returns the warp's slots (double buffered: one barrier per call)
template <class T> SHIM_NOTSAN inline uint64_t* exchange(unsigned mask, T v, int line) {
  Fiber* me = S.cur; Warp& w = S.wp[me->tid / 32]; unsigned l = me->tid & 31, p = me->seq++ & 1;
  w.slot[p][l] = pack(v); warp_barrier(mask, line); return w.slot[p];
}
template <class T> SHIM_NOTSAN inline T shfl(unsigned mask, T v, int src, int line) {
  uint64_t* s = exchange(mask, v, line);
  if (!(mask >> (src & 31) & 1)) die("shuffle reads from a lane outside the mask (undefined on a GPU)", line);
  return unpack<T>(s[src & 31]);
}
template <class T> SHIM_NOTSAN inline T shfl_xor(unsigned m, T v, int x, int w, int line) {
  int l = S.cur->tid & 31, src = l ^ x; if ((src & ~(w - 1)) > (l & ~(w - 1))) src = l; return shfl(m, v, src, line); }
template <class T> SHIM_NOTSAN inline T shfl_down(unsigned m, T v, int d, int w, int line) {
  int l = S.cur->tid & 31; return shfl(m, v, (l & (w - 1)) + d < w ? l + d : l, line); }
template <class T> SHIM_NOTSAN inline T shfl_up(unsigned m, T v, int d, int w, int line) {
  int l = S.cur->tid & 31; return shfl(m, v, (l & (w - 1)) >= d ? l - d : l, line); }
template <class T> SHIM_NOTSAN inline T shfl_idx(unsigned m, T v, int i, int w, int line) {
  int l = S.cur->tid & 31; return shfl(m, v, (l & ~(w - 1)) | (i & (w - 1)), line); }
SHIM_NOTSAN inline unsigned ballot(unsigned m, int pred, int line) {
  uint64_t* s = exchange(m, pred != 0, line); unsigned r = 0; for (int i = 0; i < 32; i++) if (m >> i & 1) r |= (unsigned)(s[i] & 1) << i; return r; }
SHIM_NOTSAN inline unsigned activemask() { unsigned w = S.cur->tid / 32, r = 0; for (unsigned i = 0; i < 32 && w * 32 + i < S.n; i++) if (S.fp[w * 32 + i].st != DONE) r |= 1u << i; return r; }

SHIM_NOTSAN inline uint3 tid() { return S.cur->t; }
SHIM_NOTSAN inline uint3 bid() { return S.blk; }
SHIM_NOTSAN inline uint3 bdim() { return {S.b.x, S.b.y, S.b.z}; }
SHIM_NOTSAN inline uint3 gdim() { return {S.g.x, S.g.y, S.g.z}; }
SHIM_NOTSAN inline char* dynsm() { return S.dyn; }
SHIM_NOTSAN inline int redval() { return (int)S.cur->red; }
inline void run_block() {
  S.nblocks++; S.bar = sync_pool + 64 + S.nblocks * 40 % (sizeof sync_pool - 128);
  {
    char* z0 = __start_shim_smem; asm("" : "+r"(z0));       // weak: null when no kernel has static shared memory
    size_t z = z0 ? __stop_shim_smem - z0 : 0;
#if defined(__SANITIZE_ADDRESS__)
    (void)z;                                        // redzones lie between the variables: leave them
#elif defined(__SANITIZE_THREAD__)
    memset(z0, 0xFF, z);                            // (ignored) and then: fresh memory for this block
    unsigned long u = (unsigned long)z0 & ~7ul, v = ((unsigned long)z0 + z + 7) & ~7ul;
    if (z && !S.jinit) { __tsan_java_init(u, v - u); S.jinit = true; } else if (z) __tsan_java_free(u, v - u);
    if (z) __tsan_java_alloc(u, v - u);
#else
    memset(z0, 0xFF, z);
#endif
  }
  unsigned n = S.n;
  for (unsigned i = 0; i < n; i++) {
    Fiber& x = S.f[i]; x.tid = i; x.t = {i % S.b.x, i / S.b.x % S.b.y, i / (S.b.x * S.b.y)}; x.st = READY; x.seq = 0; x.fake = nullptr;
#if defined(__SANITIZE_THREAD__)
    mmap(x.stack, STK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);   // resets its shadow: stacks are reused
    x.tsan = __tsan_create_fiber(0);
#endif
    x.copies = 0;
#if defined(SHIM_SWITCH)
    void** top = (void**)(x.stack + STK); top[-2] = (void*)entry; x.sp = top - 8;
    continue;
#endif
    getcontext(&x.ctx); x.ctx.uc_stack.ss_sp = x.stack; x.ctx.uc_stack.ss_size = STK; x.ctx.uc_link = nullptr;
    makecontext(&x.ctx, (void (*)())entry, 0);
  }
  std::vector<unsigned> ord(n); for (unsigned i = 0; i < n; i++) ord[i] = i;
  unsigned done = 0;
  while (done < n) {
    if (S.order == 1) std::reverse(ord.begin(), ord.end());
    if (S.order > 1) for (unsigned i = n; i > 1; i--) std::swap(ord[i - 1], ord[rnd() % i]);
    bool ran = false;
    for (unsigned i : ord) if (S.f[i].st == READY) { ran = true; to_fiber(S.f[i]); if (S.f[i].st == DONE) done++; }
    if (S.order == 1) std::reverse(ord.begin(), ord.end());
    if (done == n) break;
    bool rel = false;                                            // warp barriers first
    for (unsigned w = 0; w * 32 < n; w++) for (unsigned l = 0; l < 32 && w * 32 + l < n; l++) {
      Fiber& x = S.f[w * 32 + l]; if (x.st != WARP) continue;
      bool ok = true;
      for (unsigned j = 0; j < 32 && ok; j++) if (x.mask >> j & 1) {
        if (w * 32 + j >= n) { S.cur = &x; die("warp mask names a lane that does not exist", x.line); }
        Fiber& y = S.f[w * 32 + j]; if (y.st == DONE) { S.cur = &x; die("warp mask names a lane that has exited", x.line); }
        if (y.st != WARP || y.mask != x.mask || y.line != x.line) ok = false;
      }
      if (ok) { rel = true; S.nwarp++; unsigned m = x.mask; for (unsigned j = 0; j < 32; j++) if (m >> j & 1) S.f[w * 32 + j].st = READY; }
    }
    if (rel) continue;
    unsigned nb = 0; int line = -1; bool same = true; long o = 0, a = 1, c = 0;
    for (auto& x : S.f) if (x.st == BLOCK) { nb++; if (line < 0) line = x.line; same &= x.line == line; o |= x.red != 0; a &= x.red != 0; c += x.red != 0; }
    if (nb == n) {
      if (!same) die("threads of a block wait at different __syncthreads() (barrier divergence)", line);
      S.nsync++;
      for (auto& x : S.f) { x.red = x.mask == 1 ? o : x.mask == 2 ? a : c; x.st = READY; }
      continue;
    }
    if (nb && done) die("some threads exited before a __syncthreads() that others wait at", line);
    if (!ran) die("deadlock: threads wait at barriers that can never complete", line);
    die("deadlock: mixed block/warp barriers", line);
  }
#if defined(__SANITIZE_THREAD__)
  for (unsigned i = 0; i < n; i++) __tsan_destroy_fiber(S.f[i].tsan);
#endif
}
inline void launch(const char* name, dim3 g, dim3 b, size_t smem, std::function<void()> body) {
  const char* o = getenv("SHIM_ORDER"); S.order = !o || !strcmp(o, "fwd") ? 0 : !strcmp(o, "rev") ? 1 : 2;
  S.rng = S.order == 2 ? 88172645463325252ull ^ (strtoull(o, 0, 10) * 0x9E3779B97F4A7C15ull) : 1;
  kname = name; S.g = g; S.b = b; S.n = b.x * b.y * b.z; S.body = std::move(body);
  if (!S.n || S.n > 1024 || b.z > 64 || !g.x || !g.y || !g.z || g.y > 65535 || g.z > 65535 || g.x > 0x7fffffffu) die("invalid launch configuration", 0);
  if (smem > 48 << 10) die("more than 48 KiB dynamic shared memory needs an opt-in attribute", 0);
  while (S.f.size() < S.n) { Fiber x; S.f.push_back(x); }
  while (S.f.size() > S.n) { munmap(S.f.back().stack, STK); S.f.pop_back(); }
  for (auto& x : S.f) if (!x.stack) x.stack = (char*)mmap(0, STK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  S.w.assign((S.n + 31) / 32, Warp()); S.fp = S.f.data(); S.wp = S.w.data();
#if defined(__SANITIZE_THREAD__)
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__); AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  S.htsan = __tsan_get_current_fiber();
#endif
  uint64_t nb = (uint64_t)g.x * g.y * g.z; std::vector<uint64_t> bo(nb); for (uint64_t i = 0; i < nb; i++) bo[i] = S.order == 1 ? nb - 1 - i : i;
  if (S.order == 2) for (uint64_t i = nb; i > 1; i--) std::swap(bo[i - 1], bo[rnd() % i]);
#if defined(SHIM_NO_BARRIER) && !defined(__SANITIZE_THREAD__)
  // No thread of this file's kernels waits for another: they run one after another, without fibers.
  for (uint64_t i : bo) {
    S.blk = {(unsigned)(i % g.x), (unsigned)(i / g.x % g.y), (unsigned)(i / ((uint64_t)g.x * g.y))};
    for (unsigned j = 0; j < S.n; j++) {
      Fiber& f = S.f[S.order == 1 ? S.n - 1 - j : j]; f.tid = &f - S.fp;
      f.t = {f.tid % b.x, f.tid / b.x % b.y, f.tid / (b.x * b.y)}; S.cur = &f; S.body(); S.cur = nullptr;
    }
  }
  return;
#endif
  for (uint64_t i : bo) {
    S.dyn = (char*)malloc(smem ? smem : 1); memset(S.dyn, 0xFF, smem);       // exact size: ASan sees overruns
    S.blk = {(unsigned)(i % g.x), (unsigned)(i / g.x % g.y), (unsigned)(i / ((uint64_t)g.x * g.y))};
    run_block(); free(S.dyn);
  }
#if defined(__SANITIZE_THREAD__)
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__); AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
  acquire_(sync_pool);                              // the host sees a finished kernel; blocks did not see each other
}
template <class T> std::string ty() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_pointer_v<U>) { using E = std::remove_pointer_t<U>; return std::string(std::is_const_v<E> ? "c" : "m") + "*" + ty<E>(); }
  else if constexpr (std::is_floating_point_v<U>) return "f" + std::to_string(sizeof(U));
  else if constexpr (std::is_integral_v<U>) return (std::is_signed_v<U> ? "i" : "u") + std::to_string(sizeof(U)); else return (sizeof(U) == 2 ? "f" : "V") + std::to_string(sizeof(U)); }   // a struct of 2 bytes is a float16
template <class... A> const char* sig(void (*)(A...)) { static std::string s; s.clear(); ((s += ty<A>() + " "), ...); return s.c_str(); }
template <class... A, size_t... I> void call(void (*f)(A...), void** a, std::index_sequence<I...>) { f(*reinterpret_cast<A*>(a[I])...); }
template <class... A> void go(const char* name, void (*f)(A...), const unsigned* c, size_t smem, void** a) {
  launch(name, dim3(c[0], c[1], c[2]), dim3(c[3], c[4], c[5]), smem, [=] { call(f, a, std::index_sequence_for<A...>()); }); }
}  // namespace shim
// one line per kernel, generated by the build script: SHIM_EXPORT(conv_fwd_f32)
#define SHIM_EXPORT(k) extern "C" __attribute__((visibility("default"))) void shim_launch_##k(const unsigned* c, size_t smem, void** a) { shim::go(#k, k, c, smem, a); } \
  extern "C" __attribute__((visibility("default"))) const char* shim_sig_##k() { return shim::sig(k); }
extern "C" inline __attribute__((used, visibility("default"))) void shim_stats(unsigned long* o) { o[0] = shim::S.nblocks; o[1] = shim::S.nsync; o[2] = shim::S.nwarp; }
#define threadIdx (shim::tid())
#define blockIdx (shim::bid())
#define blockDim (shim::bdim())
#define gridDim (shim::gdim())
#define warpSize 32
#define __syncthreads() shim::block_barrier(SHIM_SITE)
#define __syncthreads_or(p) (shim::block_barrier(SHIM_SITE, (p) != 0, 1), shim::redval())
#define __syncthreads_and(p) (shim::block_barrier(SHIM_SITE, (p) != 0, 2), shim::redval())
#define __syncthreads_count(p) (shim::block_barrier(SHIM_SITE, (p) != 0, 3), shim::redval())
#define SHIM_SITE (__COUNTER__ << 16 | __LINE__)   // names the barrier: two on one line differ
#define SHIM_MASK1(a, ...) a
#define __syncwarp(...) shim::warp_barrier(SHIM_MASK1(__VA_ARGS__ __VA_OPT__(,) 0xffffffffu), SHIM_SITE)
#define __shfl_sync(m, v, i) shim::shfl_idx(m, v, i, 32, SHIM_SITE)
#define __shfl_xor_sync(m, v, i) shim::shfl_xor(m, v, i, 32, SHIM_SITE)
#define __shfl_down_sync(m, v, i) shim::shfl_down(m, v, i, 32, SHIM_SITE)
#define __shfl_up_sync(m, v, i) shim::shfl_up(m, v, i, 32, SHIM_SITE)
#define __ballot_sync(m, p) shim::ballot(m, p, SHIM_SITE)
#define __any_sync(m, p) (shim::ballot(m, p, SHIM_SITE) != 0)
#define __all_sync(m, p) (shim::ballot(m, p, SHIM_SITE) == (m))
#define __activemask() shim::activemask()
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
template <class T> inline T __ldg(const T* p) { return *p; }
inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
inline size_t __cvta_generic_to_shared(const void* p) { return (const char*)p - __start_shim_smem; }
#define __trap() shim::die("__trap", __LINE__)
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
using std::max; using std::min;
// integer atomics are real atomics (relaxed, as on the GPU: no ordering of other data), so TSan accepts them
template <class T> inline T atomicAdd(T* p, T v) {
  if constexpr (std::is_integral_v<T>) return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
  else { using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>; U o = __atomic_load_n((U*)p, __ATOMIC_RELAXED), d;
    do { T f; memcpy(&f, &o, sizeof f); f += v; memcpy(&d, &f, sizeof f); } while (!__atomic_compare_exchange_n((U*)p, &o, d, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    T r; memcpy(&r, &o, sizeof r); return r; } }
template <class T, class V, class F> inline T shim_rmw(T* p, V v, F f) { T o = __atomic_load_n(p, __ATOMIC_RELAXED); while (!__atomic_compare_exchange_n(p, &o, f(o, (T)v), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); return o; }
template <class T> inline T atomicMin(T* p, T v) { return shim_rmw(p, v, [](T a, T b) { return a < b ? a : b; }); }
template <class T> inline T atomicMax(T* p, T v) { return shim_rmw(p, v, [](T a, T b) { return a > b ? a : b; }); }
template <class T> inline T atomicOr(T* p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }
template <class T> inline T atomicExch(T* p, T v) { return shim_rmw(p, v, [](T, T b) { return b; }); }
template <class T> inline T atomicCAS(T* p, T c, T v) { __atomic_compare_exchange_n(p, &c, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED); return c; }
#define __align__(n) __attribute__((aligned(n)))
