// Which kernels for small numbers run: asks the processor once, at first use.
#include <atomic>
#include <cstring>
#include <initializer_list>

#include "dots.hpp"
#include "kernels.hpp"

#if defined(SPCONV_CY_AVX2)
#include <cpuid.h>
#endif
#if defined(SPCONV_CY_AMX) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(SPCONV_CY_NEONDOT) && defined(__linux__)
#include <sys/auxv.h>
#endif

SPCONV_CY_DOTS(portable, dots_bf16)
SPCONV_CY_DOTS(portable, dots_int8)
SPCONV_CY_CLOSE(portable)
SPCONV_CY_DOTS(avx2, dots_bf16)
SPCONV_CY_DOTS(avx2, dots_int8)
SPCONV_CY_CLOSE(avx2)
SPCONV_CY_DOTS(avx512f, dots_bf16)
SPCONV_CY_CLOSE(avx512f)
SPCONV_CY_DOTS(avxvnni, dots_int8)
SPCONV_CY_DOTS(avx512vnni, dots_int8)
SPCONV_CY_DOTS(avx512bf16, dots_bf16)
SPCONV_CY_DOTS(amx, dots_int8)
SPCONV_CY_DOTS(amx, dots_bf16)
SPCONV_CY_DOTS(neon, dots_bf16)
SPCONV_CY_CLOSE(neon)
SPCONV_CY_DOTS(neondot, dots_int8)

namespace spconv_cy {
namespace {

const int MOST = 8, TILE = 64, WIDE = 12 * 8;       // bytes of room for each word
const char* const BF16 = "avx512bf16";
const char* const VNNI = "avx512vnni";
DotTable tables[2][MOST];
int n_tables[2] = {0, 0};
std::atomic<const DotTable*> asked[2];

void offer(int kind, const DotTable& table) { tables[kind == INT8][n_tables[kind == INT8]++] = table; }

#if defined(SPCONV_CY_AVX2)
enum Feature { AVX_VNNI, AVX512_BF16, AVX512_VNNI, AVX512_BW, AMX };

bool has(Feature feature) {
    unsigned a = 0, b = 0, c = 0, d = 0, a1 = 0, rest = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (a >= 1) __get_cpuid_count(7, 1, &a1, &rest, &rest, &rest);
    switch (feature) {
        case AVX_VNNI: return a1 >> 4 & 1;
        case AVX512_BF16: return a1 >> 5 & 1;
        case AVX512_VNNI: return c >> 11 & 1;
        case AVX512_BW: return b >> 30 & 1;
        case AMX: return (d >> 22 & 1) && (d >> 24 & 1) && (d >> 25 & 1);
    }
    return false;
}
#endif

#ifdef SPCONV_CY_AMX
// The kernel saves the tiles of processes that asked for them.
bool may_use_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return false;
#endif
}
#endif

// Intel's processors compute AVX-512 BF16 at half the rate of float32, so there it is faster emulated.
bool fill() {
#if defined(SPCONV_CY_AVX512F) && defined(SPCONV_CY_AVX2)
    if (__builtin_cpu_supports("avx512f")) {
#ifdef SPCONV_CY_AMX
        if (has(AMX) && has(AVX512_BW) && may_use_tiles()) {
            offer(BFLOAT16, {"amx", nullptr, 16, 4, TILES, 0, 2 * TILE, 2 * 4096, amx::dots_bf16, avx512f::close});
            offer(INT8, {"amx", nullptr, 16, 4, TILES, 0, 2 * TILE, 2 * 4096, amx::dots_int8, avx512f::close});
        }
#endif
        const DotTable widened = {"avx512f", BF16, 16, 4, WORDS, 0, WIDE, 0, avx512f::dots_bf16, avx512f::close};
        const bool slow = __builtin_cpu_is("intel");
        if (slow) offer(BFLOAT16, widened);
#ifdef SPCONV_CY_AVX512BF16
        if (has(AVX512_BF16)) {
            offer(BFLOAT16, {BF16, nullptr, 16, 4, WORDS, 0, 0, 0, avx512bf16::dots_bf16, avx512f::close});
        }
#endif
        if (!slow) offer(BFLOAT16, widened);
#ifdef SPCONV_CY_AVX512VNNI
        if (has(AVX512_VNNI)) {
            offer(INT8, {VNNI, nullptr, 16, 4, WORDS, 0, 0, 0, avx512vnni::dots_int8, avx512f::close});
        }
#endif
    }
#endif
#ifdef SPCONV_CY_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
#ifdef SPCONV_CY_AVXVNNI
        if (has(AVX_VNNI)) {
            offer(INT8, {"avxvnni", nullptr, 8, 4, WORDS, 0, 0, 0, avxvnni::dots_int8, avx2::close});
        }
#endif
        offer(BFLOAT16, {"avx2", BF16, 8, 3, UNPACKED, 0, WIDE, 0, avx2::dots_bf16, avx2::close});
        offer(INT8, {"avx2", VNNI, 8, 4, NARROW, 0, 0, 0, avx2::dots_int8, avx2::close});
    }
#endif
#ifdef SPCONV_CY_NEON
    offer(BFLOAT16, {"neon", BF16, 4, 4, WORDS, 0, WIDE, 0, neon::dots_bf16, neon::close});
#if defined(SPCONV_CY_NEONDOT) && defined(__linux__)
    if (getauxval(AT_HWCAP) >> 20 & 1) {                                // HWCAP_ASIMDDP
        offer(INT8, {"neondot", nullptr, 4, 4, WORDS, 1, 0, 0, neondot::dots_int8, neon::close});
    }
#endif
#endif
    offer(BFLOAT16, {"portable", BF16, 4, 4, WORDS, 0, WIDE, 0, portable::dots_bf16, portable::close});
    offer(INT8, {"portable", VNNI, 4, 4, WORDS, 0, 0, 0, portable::dots_int8, portable::close});
    return true;
}

}  // namespace

const DotTable* dot_table_at(int kind, int index) {
    static const bool filled = fill();                                  // by one thread, while others wait
    return filled && index < n_tables[kind == INT8] ? &tables[kind == INT8][index] : nullptr;
}

// Those of the set that select_dots named; else the best; or, where another set than the best was chosen for float32,
// those of that set.
const DotTable* dot_table(int kind) {
    const DotTable* first = dot_table_at(kind, 0);
    const DotTable* named = asked[kind == INT8].load();
    if (named) return named;
    if (kernels() == available(0)) return first;
    for (int i = 0; const DotTable* table = dot_table_at(kind, i); ++i) {
        if (std::strcmp(table->name, kernels()->name) == 0) return table;
    }
    return dot_table_at(kind, n_tables[kind == INT8] - 1);
}

bool select_dots(const char* name) {
    const DotTable* found[2] = {nullptr, nullptr};
    bool any = name == nullptr;
    for (int kind : {BFLOAT16, INT8}) {
        for (int i = 0; const DotTable* table = dot_table_at(kind, i); ++i) {
            if (name && std::strcmp(table->name, name) == 0) found[kind == INT8] = table, any = true;
        }
    }
    for (int k = 0; any && k < 2; ++k) {
        if (found[k] || !name) asked[k] = found[k];
    }
    return any;
}

}  // namespace spconv_cy
