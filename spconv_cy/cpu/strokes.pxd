"""Polylines to sites with features, for compiled/strokes.pyx.

Planes: 1 points, 3 steps as vectors, 4 undirected, 8 octogram.
"""
from libc.stdint cimport int32_t, int64_t, uint64_t

from spconv_cy.cpu.frame cimport Ink


# runs[i]: how often character i enters a site; outside[i]: its pen points outside the field; reach[i]: the smallest
# size (a real number) that its points ask for; lasting[i]: the number of slices that its time asks for.
cdef void count_runs(const Ink* ink, int64_t* runs, int64_t* outside, double* reach, double* lasting,
                     int n_threads) noexcept nogil

# Fills the run_starts[i]..run_starts[i + 1] of keys, sorted by site, and of weights (runs, planes), in the order of
# time; n_sites[i] becomes the number of different sites.
cdef void fill_runs(const Ink* ink, const int64_t* run_starts, uint64_t* keys, double* weights,
                    int64_t* n_sites, int n_threads) noexcept nogil

# Sums the runs of one site into its row of features (m, planes) and writes its row of sites (m, 3 or 4).
cdef void merge_runs(const Ink* ink, const int64_t* run_starts, const uint64_t* keys, const double* weights,
                     const int64_t* site_starts, int32_t* sites, float* features, int n_threads) noexcept nogil

# How many pen points of character i lie outside the field, and the smallest size that holds all of them.
cdef int64_t count_outside(const Ink* ink, int64_t i, double* reach) noexcept nogil
