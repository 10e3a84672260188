"""The table of micro-kernels: the only module that links them; others call it through isa.pxd."""

cdef extern from "kernels.hpp" namespace "spconv_cy" nogil:
    const KernelTable* table_in_use "spconv_cy::kernels"()
    const KernelTable* table_at "spconv_cy::available"(int index)
    cbool select_table "spconv_cy::select_isa"(const char* name)
    const char* asked "spconv_cy::asked_isa"()

cdef extern from "dots.hpp" namespace "spconv_cy" nogil:
    const DotTable* small_table_at "spconv_cy::dot_table_at"(int kind, int index)
    const DotTable* small_table "spconv_cy::dot_table"(int kind)
    cbool select_small "spconv_cy::select_dots"(const char* name)

cdef extern from "crc.hpp" namespace "spconv_cy" nogil:
    uint32_t checksum "spconv_cy::crc32"(uint32_t before, const void* bytes, size_t n)
    uint32_t joined "spconv_cy::crc32_joined"(uint32_t first, uint32_t second, uint64_t n)
    const char* checksums_by "spconv_cy::crc_kernel"()


cdef const DotTable* dot_table_at(int kind, int index) noexcept nogil:
    return small_table_at(kind, index)


cdef const DotTable* dot_table(int kind) noexcept nogil:
    return small_table(kind)


cdef cbool select_dots(const char* name) noexcept nogil:
    return select_small(name)


cdef const KernelTable* kernels() noexcept nogil:
    return table_in_use()


cdef const KernelTable* available(int index) noexcept nogil:
    return table_at(index)


cdef cbool select_isa(const char* name) noexcept nogil:
    return select_table(name)


cdef const char* asked_isa() noexcept nogil:
    return asked()


cdef uint32_t crc32(uint32_t before, const void* bytes, size_t n) noexcept nogil:
    return checksum(before, bytes, n)


cdef uint32_t crc32_joined(uint32_t first, uint32_t second, uint64_t n) noexcept nogil:
    return joined(first, second, n)


cdef const char* crc_kernel() noexcept nogil:
    return checksums_by()
