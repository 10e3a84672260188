"""Settings of this process and of a thread or task: threads, where new arrays are born, in which precision."""

import os
import threading
import weakref
from contextlib import contextmanager
from contextvars import ContextVar

from spconv_cy.checks import is_integer

try:
    from spconv_cy.compiled import openmp as runtime
except ImportError:
    runtime = None

MOST_THREADS = 1024
PRECISIONS = ("float32", "tf32", "float16")
_threads = None
_limit = ContextVar("limit", default=None)


def processors():
    """Count the processors that this process may use."""
    found = runtime.processors() if runtime else 0
    if found:
        return found
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads():
    """Return the number of threads of the next call: set_threads, else what the OpenMP runtime would use.

    That is OMP_NUM_THREADS, a limit of threadpoolctl, or the processors that this process may use, whichever is least.
    """
    limit = _limit.get()
    if limit is not None:
        return limit
    if _threads is not None:
        return _threads
    return runtime.most_threads(processors()) if runtime else 1


def set_threads(n_threads):
    """Use `n_threads` threads from now on; None goes back to the default.

    Results have the same bits for any number of threads. Where the system cannot start so many, those that it can
    start are used.

    Args:
        n_threads: int, 1 to 1024, or None for the processors that this process may use, at most OMP_NUM_THREADS and
            the limits of threadpoolctl.

    Raises:
        ValueError: n_threads is no whole number in that range.

    >>> set_threads(2); threads()
    2
    >>> set_threads(None)
    """
    global _threads
    if n_threads is not None and not (is_integer(n_threads) and 1 <= n_threads <= MOST_THREADS):
        raise ValueError(f"set_threads: {n_threads!r} came; a whole number from 1 to {MOST_THREADS}, or None for the "
                         "default, fits")
    _threads = None if n_threads is None else int(n_threads)


@contextmanager
def thread_limit(n_threads):
    """Use `n_threads` threads inside a `with` statement, in this thread or task alone."""
    token = _limit.set(n_threads)
    try:
        yield
    finally:
        _limit.reset(token)


class Setting:
    """A value of the process, and inside a `with` statement one of that thread or task alone.

    Args:
        name: of the setting.
        default: function that gives the value where none was set.
    """

    def __init__(self, name, default):
        self._default, self._value, self._calls = default, None, []
        self._here = ContextVar(name, default=None)                      # (value, what was here before) or None

    def get(self):
        """Return the value that counts here and now."""
        if self._calls:
            self._settle()
        here = self._here.get()
        if here is not None:
            return here[0]
        return self._default() if self._value is None else self._value

    def call(self, switch, value):
        """Note a call: a plain one, or that of a `with` statement which begins at once.

        Which of the two it is, what this thread does next tells: between the call and the beginning of a `with`
        statement it runs nothing else. Until then no other thread sees the call.
        """
        self._settle()
        call = _Call(threading.get_ident(), value)
        call.switch = weakref.ref(switch, lambda _: self._keep(call))    # gone, and no `with` statement began
        self._calls.append(call)
        return call

    def enter(self, call, value):
        """Begin a `with` statement."""
        self._forget(call)
        self._here.set((value, self._here.get()))

    def leave(self):
        """End a `with` statement."""
        here = self._here.get()
        self._here.set(None if here is None else here[1])

    def _settle(self):
        for call in [call for call in self._calls if call.thread == threading.get_ident()]:
            self._keep(call)

    def _keep(self, call):
        # A plain call. Inside a `with` statement it lasts until its end, like all that is set there.
        if self._forget(call):
            here = self._here.get()
            if here is not None and call.thread == threading.get_ident():
                self._here.set((call.value, here[1]))
            else:
                self._value = call.value

    def _forget(self, call):
        try:
            self._calls.remove(call)
        except ValueError:
            return False
        return True


class _Call:
    """A call of `use` or `precision` that may be a plain one: of which thread, and the value."""

    __slots__ = ("thread", "value", "switch")

    def __init__(self, thread, value):
        self.thread, self.value = thread, value


class Switch:
    """Base of `use` and `precision`: a plain call sets the process' value, a `with` statement this thread's or task's.

    A subclass has `setting`, a Setting, and checks the value in its constructor.
    """

    setting = None

    def __init__(self, value):
        self._value, self._call = value, self.setting.call(self, value)

    def __enter__(self):
        self.setting.enter(self._call, self._value)
        return self

    def __exit__(self, *_):
        self.setting.leave()

    def __repr__(self):
        return f"{type(self).__name__}({self._value!r})"


backend = Setting("backend", lambda: os.environ.get("SPCONV_CY_BACKEND") or "cpu")
_precision = Setting("precision", lambda: "float32")


def backend_name():
    """Return the name of the backend on which new arrays are born: use(), else SPCONV_CY_BACKEND, else cpu."""
    return backend.get()


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
    return _precision.get()


class precision(Switch):
    """Take the inputs of convolutions in `name`, and sum in float32: "float32", "tf32" or "float16".

    A call switches the process from now on; a `with` statement this thread or task, until its end. A backward pass
    uses the precision of its forward pass. Weights stay float32 and are rounded at each use. "float16" halves the
    memory of features too: what a convolution gives is float16 until something computes in float32, as losses, sums
    over samples and statistics of batches do. Training with it wants `fit(..., loss_scale="dynamic")`, or a
    `LossScale`.

    On cuda these are the tensor cores' formats: float16 needs compute capability 7.5, tf32 8.0. The reference rounds
    where they do and computes on in float64; the cpu computes in float32 alone and refuses the others.

    Raises:
        ValueError: another name.

    >>> with precision("float16"):
    ...     precision_name()
    'float16'
    """

    setting = _precision

    def __init__(self, name):
        if not isinstance(name, str) or name not in PRECISIONS:
            raise ValueError(f"precision: {name!r} came; {', '.join(map(repr, PRECISIONS))} fit")
        super().__init__(name)
