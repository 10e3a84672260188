"""Queries of the OpenMP runtime: how many threads it would use, and how many can be started."""

# GNU's runtime has two properties that need care. It ends the process if a thread cannot be started, so starting is
# tried first. And its threads do not exist in a forked child, whose first parallel region would wait for them forever,
# so they are released before a fork by OpenMP 5.0's omp_pause_resource_all.

cdef extern from *:
    """
    #include <cstdint>
    #include <cstdlib>
    #ifdef _OPENMP
    #include <omp.h>
    #endif
    #ifdef __linux__
    #include <sched.h>
    #include <time.h>
    #endif
    #ifndef _WIN32
    #include <pthread.h>
    #endif

    namespace {

    size_t size_of_stacks();                    // of the runtime's threads; 0: the system's default
    thread_local int started = 1;               // threads, this one counted, that were seen to start together
    thread_local int refused = 1 << 30;         // a number of threads that did not
    #if !defined(SPCONV_CY_OMP_PAUSE)
    thread_local bool alone = false;            // in a forked child, where this thread's team is lost
    #endif

    #if defined(_OPENMP) && !defined(_WIN32)

    struct Gate {
        pthread_mutex_t lock;
        pthread_cond_t opened;
        bool open;
    };

    void* wait_at(void* argument) {
        Gate* gate = static_cast<Gate*>(argument);
        pthread_mutex_lock(&gate->lock);
        while (!gate->open) pthread_cond_wait(&gate->opened, &gate->lock);
        pthread_mutex_unlock(&gate->lock);
        return nullptr;
    }

    // How many threads there can be at once, this one counted, up to n.
    int tried(int n) {
        Gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
        pthread_t* threads = static_cast<pthread_t*>(std::malloc(n * sizeof(pthread_t)));
        pthread_attr_t attributes;
        if (!threads || pthread_attr_init(&attributes)) {
            std::free(threads);
            return 1;
        }
        if (size_of_stacks()) pthread_attr_setstacksize(&attributes, size_of_stacks());
        int found = 0;
        while (found < n - 1 && !pthread_create(&threads[found], &attributes, wait_at, &gate)) ++found;
        pthread_mutex_lock(&gate.lock);
        gate.open = true;
        pthread_cond_broadcast(&gate.opened);
        pthread_mutex_unlock(&gate.lock);
        for (int i = 0; i < found; ++i) pthread_join(threads[i], nullptr);
        pthread_attr_destroy(&attributes);
        std::free(threads);
        return found + 1;
    }

    int startable_threads(int n) {
    #if !defined(SPCONV_CY_OMP_PAUSE)
        if (alone) return 1;
    #endif
        if (n <= started) return n;
        if (n >= refused) return started;
        const int found = tried(n);
        if (found < n) {
            // Half of them: what they work on needs memory too. And never more from now on: a call that has memory for
            // so many asks again.
            started = started > found / 2 ? started : found / 2 + 1;
            refused = started + 1;
            return started;
        }
        return started = n;
    }

    void before_fork() {
    #if defined(SPCONV_CY_OMP_PAUSE)
        omp_pause_resource_all(omp_pause_soft);
    #endif
    }

    void in_child() {
    #if !defined(SPCONV_CY_OMP_PAUSE)
        alone = started > 1;
    #endif
    }

    struct Forks {
        Forks() { pthread_atfork(before_fork, nullptr, in_child); }
    } forks;

    #else

    int startable_threads(int n) { return n; }

    #endif

    // The number of processors that this process may use; 0 if the system does not say. A system call takes longer than
    // the rest of a small operation's preparation, so its answer counts for 10 ms: one call for a chain of operations.
    int usable_processors() {
    #ifdef __linux__
        thread_local int known = 0;
        thread_local int64_t until = 0;
        timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        const int64_t ms = int64_t(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
        if (ms < until) return known;
        cpu_set_t set;
        known = sched_getaffinity(0, sizeof set, &set) ? 0 : CPU_COUNT(&set);
        until = ms + 10;
        return known;
    #else
        return 0;
    #endif
    }

    // The first number of a variable that the runtime reads too, but at its start alone; 0: none.
    long long number_in(const char* name, char* unit) {
        const char* text = std::getenv(name);
        if (!text) return 0;
        char* end;
        const long long number = std::strtoll(text, &end, 10);
        while (*end == ' ') ++end;
        *unit = *end;
        return number;
    }

    int most_of(int processors) {
        int most = processors;
    #ifdef _OPENMP
        // As many as there are processors is what the runtime has where nobody asked for less.
        const int limit = omp_get_max_threads();
        if (limit < most && limit < omp_get_num_procs()) most = limit;
    #endif
        char unit = 0;
        const long long asked = number_in("OMP_NUM_THREADS", &unit);
        return asked > 0 && asked < most && (unit == 0 || unit == ',') ? static_cast<int>(asked) : most;
    }

    size_t size_of_stacks() {
        static const char* const names[] = {"OMP_STACKSIZE", "GOMP_STACKSIZE"};
        for (const char* name : names) {
            char unit = 0;
            const long long size = number_in(name, &unit);
            const int power = unit == 'b' || unit == 'B' ? 0 : unit == 'm' || unit == 'M' ? 20
                              : unit == 'g' || unit == 'G' ? 30 : 10;
            if (size > 0 && size < (1ll << 32)) return static_cast<size_t>(size) << power;
        }
        return 0;
    }

    }
    """
    int startable_threads(int n) noexcept nogil
    int most_of(int processors) noexcept nogil
    int usable_processors() noexcept nogil


cdef int startable(int n_threads) noexcept nogil:
    return startable_threads(n_threads)


cdef int most_threads(int processors) noexcept nogil:
    return most_of(processors)


cdef int processors() noexcept nogil:
    return usable_processors()
