"""Settings of the process, or of one thread or task: number of threads, backend, precision."""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import is_integer
from spconv_cy.errors import expected

try:
    from spconv_cy.compiled import openmp as runtime
except ImportError:
    runtime = None                                                       # type: ignore[assignment]

MOST_THREADS = 1024
PRECISIONS = ("float32", "tf32", "float16")
_threads: int | None = None
_limit: ContextVar[int | None] = ContextVar("limit", default=None)


def processors() -> int:
    """Return the number of processors that this process may use."""
    found = runtime.processors() if runtime else 0
    if found:
        return found
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Return the number of threads of the next call: that of `set_threads`, or the OpenMP runtime's default.

    The default is the smallest of OMP_NUM_THREADS, a limit of threadpoolctl, and the processors that this process may
    use.
    """
    limit = _limit.get()
    if limit is not None:
        return limit
    if _threads is not None:
        return _threads
    return runtime.most_threads(processors()) if runtime else 1


@known_arguments
def set_threads(n_threads: int | None) -> None:
    """Set the number of threads of this process; None restores the default.

    Results have the same bits for any number of threads. If the system cannot start so many, fewer are used.

    Args:
        n_threads: int, 1 to 1024, or None for the default: the processors that this process may use, at most
            OMP_NUM_THREADS and the limits of threadpoolctl.

    Raises:
        ValueError: n_threads is not a whole number in that range.

    >>> set_threads(2); threads()
    2
    >>> set_threads(None)
    """
    global _threads
    if n_threads is not None and not (is_integer(n_threads) and 1 <= n_threads <= MOST_THREADS):
        raise ValueError(expected("set_threads", f"a whole number from 1 to {MOST_THREADS}, or None for the default",
                                  repr(n_threads)))
    _threads = None if n_threads is None else int(n_threads)


@contextmanager
def thread_limit(n_threads: int | None) -> Iterator[None]:
    """Use `n_threads` threads inside a `with` statement, in this thread or task only."""
    token = _limit.set(n_threads)
    try:
        yield
    finally:
        _limit.reset(token)


class Setting:
    """A value of the process, which a `with` statement changes for one thread or task.

    Args:
        name: of the setting.
        default: function that returns the value if none was set.
    """

    def __init__(self, name: str, default: Callable[[], str]) -> None:
        self._default = default
        self._value: str | None = None
        self._calls: list[_Call] = []
        # (value, the entry before) inside a `with` statement.
        self._here: ContextVar[tuple[str, object] | None] = ContextVar(name, default=None)

    def get(self) -> str:
        """Return the current value in this thread or task."""
        if self._calls:
            self._settle()
        here = self._here.get()
        if here is not None:
            return here[0]
        return self._default() if self._value is None else self._value

    def call(self, switch: "Switch", value: str) -> "_Call":
        """Record a call that is either a plain call or the start of a `with` statement.

        Which one is known at the next action of this thread, because nothing runs between a call and the start of its
        `with` statement. Until then other threads do not see the value.
        """
        self._settle()
        call = _Call(threading.get_ident(), value)
        call.switch = weakref.ref(switch, lambda _: self._keep(call))    # deleted: there was no `with` statement
        self._calls.append(call)
        return call

    def enter(self, call: "_Call", value: str) -> None:
        """Begin a `with` statement."""
        self._forget(call)
        self._here.set((value, self._here.get()))

    def leave(self) -> None:
        """End a `with` statement."""
        here = self._here.get()
        self._here.set(None if here is None else here[1])                # type: ignore[arg-type]

    def _settle(self) -> None:
        for call in [call for call in self._calls if call.thread == threading.get_ident()]:
            self._keep(call)

    def _keep(self, call: "_Call") -> None:
        # A plain call. Inside a `with` statement its value is valid until the statement ends.
        if self._forget(call):
            here = self._here.get()
            if here is not None and call.thread == threading.get_ident():
                self._here.set((call.value, here[1]))
            else:
                self._value = call.value

    def _forget(self, call: "_Call") -> bool:
        try:
            self._calls.remove(call)
        except ValueError:
            return False
        return True


class _Call:
    """A call of `use` or `precision` that may be a plain one: its thread and its value."""

    __slots__ = ("thread", "value", "switch")

    def __init__(self, thread: int, value: str) -> None:
        self.thread, self.value = thread, value
        self.switch: weakref.ref[Switch]


class Switch:
    """Base of `use` and `precision`: a plain call sets the value of the process, a `with` statement this thread's.

    A subclass has `setting`, a Setting, and checks the value in its constructor.
    """

    setting: Setting

    def __init__(self, value: str) -> None:
        self._value, self._call = value, self.setting.call(self, value)

    def __enter__(self) -> "Switch":
        self.setting.enter(self._call, self._value)
        return self

    def __exit__(self, *_: object) -> None:
        self.setting.leave()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value!r})"


backend = Setting("backend", lambda: os.environ.get("SPCONV_CY_BACKEND") or "cpu")
_precision = Setting("precision", lambda: "float32")


def backend_name() -> str:
    """Return the name of the backend of new arrays: that of `use`, else SPCONV_CY_BACKEND, else "cpu"."""
    return backend.get()


def data_folder() -> str | None:
    """Return the folder of data that do not come with the package (SPCONV_CY_DATA), or None."""
    return os.environ.get("SPCONV_CY_DATA") or None


def cuda_convolution() -> str | None:
    """Return the cuda backend's convolution kernel if one is forced (SPCONV_CY_CUDA_CONVOLUTION), or None.

    It is "tiles" or "gathered", for benchmarks. None means that the table in backend/gathered.py decides.

    Raises:
        ValueError: the variable has another value.
    """
    asked = os.environ.get("SPCONV_CY_CUDA_CONVOLUTION") or None
    if asked not in (None, "tiles", "gathered"):
        raise ValueError(expected("SPCONV_CY_CUDA_CONVOLUTION", "'tiles' or 'gathered'", repr(asked),
                                  "remove the variable for the default"))
    return asked


def precision_name() -> str:
    """Return the precision in which convolutions read their inputs: "float32" unless `precision` changed it."""
    return _precision.get()


@known_arguments
class precision(Switch):
    """Set the precision in which convolutions read their inputs: "float32", "tf32" or "float16"; sums are in float32.

    A call sets it for the process; a `with` statement sets it for this thread or task, until its end. A backward pass
    has the precision of its forward pass. Weights stay float32 and are rounded at each use. "float16" halves the memory
    of features, too: the result of a convolution is float16 until an operation computes in float32, as losses, sums
    over samples and statistics of batches do. Train with `fit(..., loss_scale="dynamic")` or a `LossScale` then.

    On cuda these are the formats of the tensor cores: float16 needs compute capability 7.5, tf32 8.0. The reference
    backend rounds inputs in the same places and computes in float64. The cpu backend computes in float32 only and
    raises an error for the others.

    Raises:
        ValueError: an unknown name.

    >>> with precision("float16"):
    ...     precision_name()
    'float16'
    """

    setting = _precision

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or name not in PRECISIONS:
            raise ValueError(expected("precision", f"one of {', '.join(map(repr, PRECISIONS))}", repr(name)))
        super().__init__(name)
