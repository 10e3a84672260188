"""Bounds of regions from drawn numbers, and the rules of regions over few sites, without Python."""

from libc.stdint cimport int32_t, int64_t

from spconv_cy.cpu.link cimport Found, Scratch

cdef struct Side:                       # regions of one axis; sample b has low[b * m] to low[b * m + m - 1]
    const int32_t* low
    const int32_t* high
    int64_t m, size, span               # regions, sites of the field, sites of the longest region

cdef void even(const double* own, int64_t stride, int64_t samples, int64_t m, int64_t room, int64_t steps,
               int64_t width, int64_t more, int32_t* low, int32_t* high) noexcept nogil
cdef void shuffled(const int64_t* places, int64_t samples, int64_t m, int64_t steps, int64_t twos, int64_t width,
                   int64_t more, int64_t* scratch, int32_t* low, int32_t* high) noexcept nogil
cdef bint few(const Side* sides, int width, int64_t samples, const int32_t* sites, int64_t n, int64_t most,
              Scratch* scratch, Found* found, int64_t** volumes) noexcept nogil
