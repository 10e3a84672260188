"""Open-addressing table from packed keys to rows."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.order cimport Box

cdef int64_t slots_for(int64_t n) noexcept nogil
cdef void insert(const int64_t* keys, int64_t n, int32_t* slots, int64_t n_slots) noexcept nogil
cdef void look_up(const int64_t* keys, const int32_t* slots, int64_t n_slots, const Box* box, const int32_t* queries,
                  int64_t q, int32_t* rows, int n_threads) noexcept nogil
