"""Boxes and shifts of windows, which the compiled modules of rules share."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.order cimport Box

cdef bint with_windows(Box* box, const Box* out, const int32_t[:, ::1] offsets, stride)
cdef int64_t[::1] wanted_of(const int32_t[:, ::1] sites, const Box* box, stride, int n_threads)
cdef int64_t[::1] shifts_of(const Box* box, const int32_t[:, ::1] offsets)
