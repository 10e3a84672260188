"""How many threads a call uses; the same source builds without OpenMP."""

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
cdef int runtime_threads() noexcept nogil
cdef int processors() noexcept nogil
cdef void use_stacks_of(size_t size) noexcept nogil


cdef inline int team(int n_threads, int64_t jobs, double work) noexcept nogil:
    # Waking a team costs some 10 microseconds: work below about that many elementary steps stays on this thread.
    # Results do not depend on the answer.
    if jobs < n_threads:
        n_threads = <int>jobs
    return startable(n_threads) if n_threads > 1 and work > 200000 else 1
