"""The number of threads of a call, and of jobs, and who does which; the same source builds without OpenMP."""

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


cdef extern from *:
    """
    #include <atomic>
    #include <cstdint>
    namespace {
    // Jobs on rows, handed out so that a thread works on the same rows in one region after the other: what it has
    // written lies in its caches, or in those of its group of cores. So each takes the jobs of its own part first, and
    // then what others have left.
    struct Turns {
        struct alignas(64) Part {               // a line of a cache of its own
            std::atomic<int64_t> next;
            int64_t end;
        };
        Part parts[32];
        int n;
    };

    inline void share_jobs(Turns* turns, int64_t n_jobs, int n_threads) {
        turns->n = n_threads < 32 ? n_threads : 32;
        for (int i = 0; i < turns->n; ++i) {
            turns->parts[i].next.store(n_jobs * i / turns->n, std::memory_order_relaxed);
            turns->parts[i].end = n_jobs * (i + 1) / turns->n;
        }
    }

    inline int64_t take_job(Turns* turns, int thread) {
        for (int i = 0; i < turns->n; ++i) {
            Turns::Part& part = turns->parts[(thread + i) % turns->n];
            if (part.next.load(std::memory_order_relaxed) >= part.end) continue;
            const int64_t job = part.next.fetch_add(1, std::memory_order_relaxed);
            if (job < part.end) return job;
        }
        return -1;
    }
    }  // namespace
    """
    cdef cppclass Turns:
        pass
    void share_jobs(Turns* turns, int64_t n_jobs, int n_threads) noexcept nogil
    int64_t take_job(Turns* turns, int thread) noexcept nogil       # the next job of a thread; -1: there is none
