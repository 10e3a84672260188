"""Rows of sites in a box that is not much larger than their number: a bit for each place, and the bits before it."""

from libc.stdint cimport int32_t, int64_t, uint64_t

from spconv_cy.cpu.order cimport Box

cdef enum:
    MOST_PLACES = 128                   # places of the box for each site, beyond which sorting is faster

ctypedef fused real:
    float
    double

cdef struct Word:
    uint64_t bits                       # of 64 places: 1 where there is a site
    int64_t before                      # number of sites at smaller places

cdef void bounds(const int32_t* sites, int64_t n, int width, int32_t* found, int n_threads) noexcept nogil
cdef bint floored(const real* points, int64_t n, int width, const double* sides, int32_t* sites,
                  int n_threads) noexcept nogil
cdef bint ascends(const int32_t* sites, int64_t n, int width) noexcept nogil
cdef int64_t words_for(const Box* box, int64_t n) noexcept nogil
cdef int64_t mark(const int32_t* sites, int64_t n, const Box* box, Word* words, int64_t n_words, int64_t* counts,
                  int n_threads) noexcept nogil
cdef void complete(Word* words, int64_t n_words, const int64_t* counts, int64_t* keys, int n_threads) noexcept nogil
cdef void rank(const int32_t* sites, int64_t n, const Box* box, const Word* words, int32_t* rows, int32_t* unique,
               int n_threads) noexcept nogil
