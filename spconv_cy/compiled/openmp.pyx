"""The OpenMP runtime: how many threads it would use here, and how many can be started."""

from spconv_cy.cpu cimport threads as _threads
from spconv_cy.cpu.threads cimport HAS_OPENMP


def openmp():
    """Return True if this build uses OpenMP, and so more than one thread."""
    return bool(HAS_OPENMP)


def most_threads(int processors):
    """Return the least of a number of processors, OMP_NUM_THREADS, and the limit of threadpoolctl in this thread."""
    return _threads.most_threads(processors)


def processors():
    """Return the number of processors that this process may use; 0 if the system does not say."""
    return _threads.processors()


def startable(int n_threads):
    """Return how many of n threads can be started."""
    return _threads.startable(n_threads)
