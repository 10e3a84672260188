# Polylines to sites with features: the character loops behind _strokes.
from libc.stdint cimport int32_t, int64_t, uint64_t


cdef struct Ink:                        # what a batch reads; all borrowed from the caller
    const double* points                # (p, 2)
    const int64_t* stroke_starts        # (strokes + 1,)
    const int64_t* character_starts     # (characters + 1,)
    const int64_t* items                # (n,) which characters
    const double* matrices              # (n, 2, 2) or NULL: none
    const double* shifts                # (n, 2) in scales, or NULL: none
    const double* stroke_shifts         # (strokes, 2) in scales, or NULL: none
    int64_t n
    int planes                          # 1 pen, 4 undirected, 8 octogram
    int64_t size
    double scale                        # 0: the points are in sites from the middle of the field already
    double spacing


# runs[i]: how often character i enters a site; outside[i]: its pen points outside the field; reach[i]: the smallest
# size (a real number) that its points ask for.
cdef void count_runs(const Ink* ink, int64_t* runs, int64_t* outside, double* reach, int n_threads) noexcept nogil

# Fills the run_starts[i]..run_starts[i + 1] of keys, sorted by site, and of weights (runs, planes), in the order of
# time; n_sites[i] becomes the number of different sites.
cdef void fill_runs(const Ink* ink, const int64_t* run_starts, uint64_t* keys, double* weights,
                    int64_t* n_sites, int n_threads) noexcept nogil

# Sums the runs of one site into its row of features (m, planes) and writes its row of sites (m, 3).
cdef void merge_runs(const Ink* ink, const int64_t* run_starts, const uint64_t* keys, const double* weights,
                     const int64_t* site_starts, int32_t* sites, float* features, int n_threads) noexcept nogil
