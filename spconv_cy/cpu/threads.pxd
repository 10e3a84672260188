"""The number of threads of a call, and of jobs; the same source builds without OpenMP."""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #ifdef _OPENMP
    #define SPCONV_CY_HAS_OPENMP 1
    #else
    #define SPCONV_CY_HAS_OPENMP 0
    #endif
    """
    const bint HAS_OPENMP "SPCONV_CY_HAS_OPENMP"

cdef int startable(int n_threads) noexcept nogil
cdef int most_threads(int processors) noexcept nogil
cdef int processors() noexcept nogil


cdef inline int team(int n_threads, int64_t jobs, double work) noexcept nogil:
    # Waking a team takes about 10 microseconds, so less work than that stays on this thread. Results do not depend on
    # the answer.
    if jobs < n_threads:
        n_threads = <int>jobs
    return startable(n_threads) if n_threads > 1 and work > 200000 else 1


cdef inline int64_t ceiling(int64_t a, int64_t b) noexcept nogil:
    return (a + b - 1) // b
