"""Settings of this process: threads, where new arrays are born, in which precision and how a GPU convolves."""

import os
from numbers import Integral

import numpy as np

MOST_THREADS = 1024                     # beyond what a process may start, OpenMP ends it without a word
PRECISIONS = ("float32", "tf32", "float16")
_threads = None
_backend = None
_precision = "float32"


def processors():
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads():
    """Return the number of threads of the next call: set_threads, else OMP_NUM_THREADS, else the processors."""
    if _threads is not None:
        return _threads
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(int(asked), processors()) if asked.isdigit() and int(asked) > 0 else processors()


def set_threads(n_threads):
    """Use `n_threads` threads from now on; None goes back to the default.

    Results have the same bits for any number of threads.

    Args:
        n_threads: int, 1 to 1024, or None for the processors that this process may use (at most OMP_NUM_THREADS).

    Raises:
        ValueError: n_threads is no whole number in that range.

    >>> set_threads(2); threads()
    2
    >>> set_threads(None)
    """
    global _threads
    whole = isinstance(n_threads, Integral) and not isinstance(n_threads, (bool, np.timedelta64))
    if n_threads is not None and not (whole and 1 <= n_threads <= MOST_THREADS):
        raise ValueError(f"set_threads: {n_threads!r} came; a whole number from 1 to {MOST_THREADS}, or None for the "
                         "default, fits")
    _threads = None if n_threads is None else int(n_threads)


def backend_name():
    """Return the name of the backend on which new arrays are born: use(), else SPCONV_CY_BACKEND, else cpu."""
    return _backend or os.environ.get("SPCONV_CY_BACKEND") or "cpu"


def set_backend_name(name):
    """Remember the name (None: back to the default) and return what was set before."""
    global _backend
    before, _backend = _backend, name
    return before


def data_folder():
    """Return the folder of data that do not come with the package, which SPCONV_CY_DATA names, or None."""
    return os.environ.get("SPCONV_CY_DATA") or None


def cuda_convolution():
    """Return how the cuda backend is to convolve: "tiles" or "gathered" (SPCONV_CY_CUDA_CONVOLUTION), else None.

    None leaves it to the table in backend/gathered.py; the others are there for benchmarks.

    Raises:
        ValueError: another word is set.
    """
    asked = os.environ.get("SPCONV_CY_CUDA_CONVOLUTION") or None
    if asked not in (None, "tiles", "gathered"):
        raise ValueError(f"SPCONV_CY_CUDA_CONVOLUTION={asked!r} came; tiles or gathered fit, or leave it out")
    return asked


def precision_name():
    """Return the precision in which convolutions take their inputs: "float32", unless `precision` says otherwise."""
    return _precision


class precision:
    """Take the inputs of convolutions in `name`, and sum in float32: "float32", "tf32" or "float16".

    A call switches from now on; in a `with` statement, until its end. A backward pass uses the precision of its
    forward pass. Weights stay float32 and are rounded at each use. "float16" halves the memory of features too: what
    a convolution gives is float16 until something computes in float32, as losses, sums over samples and statistics
    of batches do. Training with it wants `fit(..., loss_scale="dynamic")`, or a `LossScale`.

    On cuda these are the tensor cores' formats: float16 needs compute capability 7.5, tf32 8.0. The reference rounds
    where they do and computes on in float64; the cpu computes in float32 alone and refuses the others.

    Raises:
        ValueError: another name.

    >>> with precision("float16"):
    ...     precision_name()
    'float16'
    """

    def __init__(self, name):
        global _precision
        if not isinstance(name, str) or name not in PRECISIONS:
            raise ValueError(f"precision: {name!r} came; {', '.join(map(repr, PRECISIONS))} fit")
        self._name, self._before, _precision = name, _precision, name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        global _precision
        _precision = self._before

    def __repr__(self):
        return f"precision({self._name!r})"
