"""Maps of sites, which tell a site's row and whether there is one."""

from libc.stdint cimport int32_t, int64_t, uint32_t

from spconv_cy.cpu.order cimport Box

cdef extern from "seek.hpp" namespace "spconv_cy" nogil:
    cdef struct Seek:
        const uint32_t* bits
        const int32_t* before
        int64_t room
        int32_t taps
        int32_t step

cdef struct Map:                        # a bit for each place of a box; 32 places a word
    uint32_t* bits                      # 1 where there is a site; a word more than there are; NULL: no map
    int32_t* before                     # number of sites before each word

cdef int64_t words_of_map(const Box* box, int64_t n) noexcept nogil
cdef void draw(const int64_t* keys, int64_t n, int64_t n_words, Map* map, int n_threads) noexcept nogil
cdef void seek(const Seek* job, const int64_t* keys, int64_t rows, int64_t shift, int32_t first, int32_t* found,
               int32_t* asked, int32_t* hits) noexcept nogil
cdef void split(const int32_t* sites, int64_t n, const Box* box, const int64_t* stride, const int64_t* origin,
                int64_t* keys, int32_t* taps, int64_t* counts, int64_t n_taps, int n_threads) noexcept nogil
cdef int64_t scatter(const int64_t* keys, int64_t n, int64_t n_words, Map* map) noexcept nogil
cdef void keys_of_map(const Map* map, int64_t n_words, int64_t* keys) noexcept nogil
cdef void place(const int64_t* keys, const int32_t* taps, int64_t n, const Map* map, int64_t* starts, int64_t n_taps,
                int32_t* in_rows, int32_t* out_rows, int n_threads) noexcept nogil
