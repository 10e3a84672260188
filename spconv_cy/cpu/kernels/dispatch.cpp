// Which micro-kernels run: asks the processor once, at import; SPCONV_CY_ISA names another set.
#include <atomic>
#include <cstdlib>
#include <cstring>

#ifdef SPCONV_CY_AVX512F
#include <cpuid.h>
#endif

#include "kernels.hpp"

#define ADDRESS(name, arguments) name,
#define SET(isa)                                                                             \
    SPCONV_CY_DECLARE(isa)                                                                   \
    namespace spconv_cy { namespace isa {                                                    \
    static KernelTable table() {                                                             \
        return {#isa, lanes, vectors, panels, near_floats, weights_stay,                     \
                SPCONV_CY_KERNELS(ADDRESS)};                                                 \
    }                                                                                        \
    } }

SET(portable)
#ifdef SPCONV_CY_AVX2
SET(avx2)
#endif
#ifdef SPCONV_CY_AVX512F
SET(avx512f)
#endif
#ifdef SPCONV_CY_NEON
SET(neon)
#endif

namespace spconv_cy {
namespace {

const int MOST = 4;
KernelTable tables[MOST];
int n_tables = 0;
std::atomic<const KernelTable*> current{nullptr};

#ifdef SPCONV_CY_AVX512F
// Zen 4 does one product of 16 floats a cycle, others do two. With one, a load for each product costs nothing, and
// weights in registers are faster than rows, for any number of inputs; and several pairs together gain nothing.
bool has_half_units() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (a >> 8 & 15) + (a >> 20 & 255) == 0x19 && __builtin_cpu_is("amd");
}
#endif

// Built at first use, not by static initialisation, whose order between files is undefined.
bool fill() {
#ifdef SPCONV_CY_AVX512F
    // Includes whether the operating system saves the registers: the compiler's run time reads xgetbv too.
    if (__builtin_cpu_supports("avx512f")) {
        const bool half = has_half_units();
        if (half) avx512f::weights_stay = true;
        KernelTable& best = tables[n_tables++] = avx512f::table();
        // Rows come fast enough from the second cache: read where they lie, and copied from twice the channels on.
        if (half) best.near_floats = 0, best.panels *= 2;
    }
#endif
#ifdef SPCONV_CY_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables[n_tables++] = avx2::table();
#endif
#ifdef SPCONV_CY_NEON
    tables[n_tables++] = neon::table();
#endif
    tables[n_tables++] = portable::table();
    current = &tables[0];
    return true;
}

}  // namespace

const KernelTable* kernels() {
    static const bool filled = fill();                                   // by one thread, while others wait
    return filled ? current.load() : nullptr;
}

const KernelTable* available(int index) {
    kernels();
    return index < n_tables ? &tables[index] : nullptr;
}

bool select_isa(const char* name) {
    kernels();
    for (int i = 0; i < n_tables; ++i) {
        if (name == nullptr || std::strcmp(name, tables[i].name) == 0) {
            current = &tables[i];
            return true;
        }
    }
    return false;
}

const char* asked_isa() {
    const char* name = std::getenv("SPCONV_CY_ISA");
    return name != nullptr && *name != '\0' ? name : nullptr;
}

}  // namespace spconv_cy
