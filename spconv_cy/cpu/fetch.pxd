"""Asks for memory that is read later, from the second cache on."""

from libc.stdint cimport int64_t


cdef extern from *:
    """
    // Without the empty instruction GCC takes it for a function without effect, and removes its calls.
    static inline void spconv_cy_fetch(const void* start, int64_t bytes) {
        const char* p = (const char*)start;
        for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
        asm volatile("" : : "r"(p));
    }
    """
    void fetch "spconv_cy_fetch"(const void* start, int64_t n_bytes) noexcept nogil
