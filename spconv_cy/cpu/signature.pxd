"""Path signatures by Chen's identity, of whole paths and in a window along strokes; for compiled/strokes.pyx."""
from libc.stdint cimport int32_t, int64_t, uint64_t

from spconv_cy.cpu.frame cimport Ink

cdef enum:
    MOST_LEVEL = 4
    MOST_TOTAL = 1555                   # 6 letters at level 4, and all levels below
    WORDS_ROOM = 3120                   # twice as many numbers that a thread keeps aside; its stack may be too small


cdef struct Words:
    int letters, level
    int64_t total                       # of the levels 0 to level
    int64_t starts[6]                   # of each level, in the tensors laid end to end
    const int64_t* picked               # (planes,) places in the logarithm; NULL: the signature itself
    int64_t planes
    double* room                        # WORDS_ROOM for each thread of sign_paths and sign_coarse


# out (n_paths, planes): of the paths points[starts[i]:starts[i + 1]], (p, letters) in all.
cdef void sign_paths(const Words* words, const double* points, const int64_t* path_starts, int64_t n_paths,
                     double* out, int n_threads) noexcept nogil

# visits[i]: how often character i enters a site; coarse[i]: its coarse points, one each ink.spacing; outside and reach
# as count_runs.
cdef void count_visits(const Ink* ink, int64_t* visits, int64_t* coarse, int64_t* outside, double* reach,
                       int n_threads) noexcept nogil

# keys: sorted by site, site << 32 | visit; coarse_of (visits,): the coarse point of each, counted through the batch;
# places (coarse points, 4): x, y, and how many coarse points of its window of 4 lie before and after it.
cdef void fill_visits(const Ink* ink, const int64_t* visit_starts, const int64_t* coarse_starts, uint64_t* keys,
                      int64_t* coarse_of, double* places, int64_t* n_sites, int n_threads) noexcept nogil

# table (n_coarse, planes): the signature in the window about each coarse point.
cdef void sign_coarse(const Words* words, const double* places, int64_t n_coarse, double* table,
                      int n_threads) noexcept nogil

cdef void write_first_visits(const Ink* ink, const int64_t* visit_starts, const uint64_t* keys,
                             const int64_t* coarse_of, const double* table, int64_t planes,
                             const int64_t* site_starts, int32_t* sites, float* features,
                             int n_threads) noexcept nogil
