"""The facade of the OpenMP runtime: how many threads it would use here, and how many can be started."""

from spconv_cy.cpu cimport threads as _threads
from spconv_cy.cpu.threads cimport HAS_OPENMP


def openmp():
    """Return whether this build uses more than one thread."""
    return bool(HAS_OPENMP)


def most_threads(int processors):
    """Return how many threads this thread may use: at most so many, OMP_NUM_THREADS, and threadpoolctl's limit."""
    return _threads.most_threads(processors)


def processors():
    """Return how many processors this process may use; 0 where the system does not say."""
    return _threads.processors()


def startable(int n_threads):
    """Return how many of n threads a parallel region may have: all that can be started."""
    return _threads.startable(n_threads)
