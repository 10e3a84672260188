"""What may be asked of the OpenMP runtime: how many threads it would use, and how many can be started."""

# Two things about a runtime that a library has to live with. GNU's ends the process where a thread cannot be started,
# so threads are tried before they are asked for. And its threads do not live in a forked child, whose first parallel
# region would wait for them for ever: before a fork they are sent home, as OpenMP 5.0 has it.

cdef extern from *:
    """
    #include <cstdlib>
    #ifdef _OPENMP
    #include <omp.h>
    #endif
    #ifdef __linux__
    #include <sched.h>
    #endif
    #ifndef _WIN32
    #include <pthread.h>
    #endif

    namespace {

    size_t stack_size = 0;                      // of the runtime's threads; 0: the system's default
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
        if (stack_size) pthread_attr_setstacksize(&attributes, stack_size);
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
            refused = n;
            // Half of them: what they work on needs memory too.
            started = started > found / 2 ? started : found / 2 + 1;
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

    int threads_of_runtime() {
    #ifdef _OPENMP
        return omp_get_max_threads();
    #else
        return 1;
    #endif
    }

    // That this process may use; 0 where the system does not say.
    int usable_processors() {
    #ifdef __linux__
        cpu_set_t set;
        if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
    #endif
        return 0;
    }

    void set_stack_size(size_t size) { stack_size = size; }

    }
    """
    int startable_threads(int n) noexcept nogil
    int threads_of_runtime() noexcept nogil
    int usable_processors() noexcept nogil
    void set_stack_size(size_t size) noexcept nogil


cdef int startable(int n_threads) noexcept nogil:
    return startable_threads(n_threads)


cdef int runtime_threads() noexcept nogil:
    return threads_of_runtime()


cdef int processors() noexcept nogil:
    return usable_processors()


cdef void use_stacks_of(size_t size) noexcept nogil:
    set_stack_size(size)
