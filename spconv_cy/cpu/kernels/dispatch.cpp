// Which micro-kernels run: asks the processor once, at import; SPCONV_CY_ISA names another set.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

SPCONV_CY_DECLARE(portable)
#ifdef SPCONV_CY_AVX2
SPCONV_CY_DECLARE(avx2)
#endif
#ifdef SPCONV_CY_AVX512F
SPCONV_CY_DECLARE(avx512f)
#endif
#ifdef SPCONV_CY_NEON
SPCONV_CY_DECLARE(neon)
#endif

namespace spconv_cy {
namespace {

#define ROW(isa) \
    {#isa, isa::lanes, isa::vectors, isa::igemm, isa::outer, isa::add, isa::add_rows, isa::add_pairs, isa::max, \
     isa::merge, isa::won_pairs, isa::lost_rows, isa::finish, isa::leaky, isa::leaky_dx, isa::squares, isa::affine, \
     isa::affine_sums, isa::affine_dx}

const int MOST = 4;
KernelTable tables[MOST];
int n_tables = 0;
std::atomic<const KernelTable*> current{nullptr};

// Built at first use and not by static initialisation, whose order between files is nobody's promise.
bool fill() {
#ifdef SPCONV_CY_AVX512F
    // The processor's answer counts the operating system's: the compiler's run time reads xgetbv too.
    if (__builtin_cpu_supports("avx512f")) tables[n_tables++] = ROW(avx512f);
#endif
#ifdef SPCONV_CY_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables[n_tables++] = ROW(avx2);
#endif
#ifdef SPCONV_CY_NEON
    tables[n_tables++] = ROW(neon);
#endif
    tables[n_tables++] = ROW(portable);
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
