"""The facade of the OpenMP runtime: how many threads it would use here, and how large their stacks are."""

from spconv_cy.cpu cimport threads as _threads
from spconv_cy.cpu.threads cimport HAS_OPENMP


def openmp():
    """Return whether this build uses more than one thread."""
    return bool(HAS_OPENMP)


def runtime_threads():
    """Return how many threads the runtime would use for this thread: OMP_NUM_THREADS, and threadpoolctl's limits."""
    return _threads.runtime_threads()


def processors():
    """Return how many processors this process may use; 0 where the system does not say."""
    return _threads.processors()


def startable(int n_threads):
    """Return how many of n threads a parallel region may have: all that can be started."""
    return _threads.startable(n_threads)


def use_stacks_of(size_t size):
    """Say how many bytes of stack the runtime gives a thread; 0: the system's default."""
    _threads.use_stacks_of(size)
