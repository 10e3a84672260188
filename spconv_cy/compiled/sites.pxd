"""Boxes, keys and numbers of threads, which the compiled modules of sites share."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.order cimport Box
from spconv_cy.cpu.threads cimport startable

cdef enum:
    ALONE = 8192                        # rows times offsets below which a second thread does not pay

cdef inline int team(int n_threads, int64_t work) noexcept nogil:
    return startable(n_threads) if n_threads > 1 and work >= ALONE else 1


cdef Box box_of(const int32_t[:, ::1] sites, int n_threads)
cdef int64_t[::1] keys_of(const int32_t[:, ::1] sites, const Box* box, int n_threads)
