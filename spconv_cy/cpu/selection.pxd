"""Rows chosen by a score, and what is computed for the chosen ones."""

from libc.stdint cimport int32_t, int64_t

cdef bint best(const double* scores, const int64_t* starts, int64_t segments, const int64_t* ks,
               unsigned char* keep) noexcept nogil
cdef int64_t above(const float* scores, int64_t n, float threshold, int32_t* rows) noexcept nogil
cdef int64_t best_in_samples(const float* scores, const int32_t* sites, int64_t n, int width, int64_t k,
                             int32_t* rows) noexcept nogil
cdef void place(const float* x, const float* scores, const int32_t* sites, const int32_t* rows, int64_t m, int64_t c,
                int width, float* y, int32_t* chosen, int n_threads) noexcept nogil
cdef void append_coordinates(const float* x, const int32_t* sites, const double* centre, const double* half, int64_t n,
                             int64_t c, int width, float* y, int n_threads) noexcept nogil
