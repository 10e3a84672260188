"""Selection of the backend: an operation runs on the backend of its arrays; `use` selects that of new arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from spconv_cy import config
from spconv_cy.arguments import known_arguments
from spconv_cy.backend.ops import Ops as Ops
from spconv_cy.backend.parts import Part as Part
from spconv_cy.backend.parts import in_all as in_all
from spconv_cy.backend.parts import n_rows as n_rows
from spconv_cy.backend.parts import part_of as part_of
from spconv_cy.backend.parts import plain as plain
from spconv_cy.backend.parts import sum_of_rows as sum_of_rows
from spconv_cy.backend.parts import watch as watch
from spconv_cy.backend.parts import watchers as watchers
from spconv_cy.backend.parts import weight_of as weight_of
from spconv_cy.checks import kind_of
from spconv_cy.dlpack import is_cupy
from spconv_cy.errors import BackendError, expected
from spconv_cy.lazy import unbuilt
from spconv_cy.once import once
from spconv_cy.types import Array

PART = "part"                           # no backend, but arrays with Ops of their own
FLOAT64 = np.dtype(np.float64)
_ready: dict[str, Ops] = {}


class Registration(NamedTuple):
    """A registered backend: the function that loads it, and the test for its arrays."""

    load: Callable[[], Ops]
    owns: Callable[[Any], bool]


def _load_cpu() -> Ops:
    slow = 'use("reference"), which is plain numpy and slow'
    try:
        from spconv_cy.backend.cpu import CpuOps
    except ImportError as error:
        if told := unbuilt():
            raise BackendError(f"{told}; or {slow}") from None
        raise BackendError(expected("cpu backend", "compiled modules", error, f"install spconv_cy anew, or {slow}"
                                    )) from error
    return CpuOps()


def _load_cuda() -> Ops:
    try:
        from spconv_cy.backend.cuda import CudaOps

        return CudaOps()
    except ImportError as error:
        raise BackendError(expected("cuda backend", "its modules", error, 'use("cpu") works')) from error


def _is_cpu(array: Any) -> bool:
    return isinstance(array, (np.ndarray, np.generic)) and array.dtype != FLOAT64


def _is_reference(array: Any) -> bool:
    return isinstance(array, (np.ndarray, np.generic)) and array.dtype == FLOAT64


# Every backend, in the order in which arrays are tried: a new one is registered here, and nowhere else.
BACKENDS = {
    "cpu": Registration(_load_cpu, _is_cpu),
    "reference": Registration(Ops, _is_reference),
    "cuda": Registration(_load_cuda, is_cupy),
}


def ops_of(*arrays: Any) -> Ops:
    """Return the backend of arrays: float64 numpy arrays belong to the reference, other numpy arrays to the cpu.

    Raises:
        BackendError: the arrays belong to different backends; both are named.
    """
    name = _home(arrays[0])
    for array in arrays[1:]:
        other = _home(array)
        if other != name:
            part = part_of(*arrays)
            if part is not None:                                         # a Part's Ops takes plain arrays beside it
                return ops_of(part)
            raise BackendError(expected(
                "operation", "arrays of one backend", f"{_described(arrays[0])} on {name} and {_described(array)} on "
                f"{other}", f'bring them together with .to("{name}")'))
    if name == PART and arrays[0].ops is not None:
        return arrays[0].ops
    return _ready.get(name) or ops_named(name)


def ops_named(name: str) -> Ops:
    """Return the backend of a name.

    Raises:
        BackendError: there is no such backend, or it cannot run here; the message says why and what to do.
    """
    if not isinstance(name, str) or name not in BACKENDS:
        raise BackendError(expected("backend", f"one of {', '.join(BACKENDS)}", repr(name)))
    return once(_ready, name, BACKENDS[name].load)


def loaded(name: str) -> Ops | None:
    """Return the backend of a name if it was used before, else None."""
    return _ready.get(name)


def current() -> Ops:
    """Return the backend on which new arrays are made."""
    return ops_named(config.backend_name())


def available_backends() -> tuple[str, ...]:
    """Return the names of the backends that run here.

    >>> "reference" in available_backends()
    True
    """
    return tuple(name for name in BACKENDS if _runs(name))


@known_arguments
class use(config.Switch):
    """Make new arrays on the backend `name`: "cpu", "cuda", or "reference" (numpy, float64).

    A call switches the process from now on. A `with` statement switches this thread or task only, until it ends.

    Args:
        name: str.

    Raises:
        BackendError: the backend cannot run here; there is no silent fallback.

    >>> with use("reference"):
    ...     current().name
    'reference'
    """

    setting = config.backend

    def __init__(self, name: str) -> None:
        ops_named(name)
        super().__init__(name)


def _home(array: Any) -> str:
    if type(array) is np.ndarray:                                        # the usual case, without a function call
        return "reference" if array.dtype == FLOAT64 else "cpu"
    if isinstance(array, Part) and array.ops is not None:
        return PART
    for name, backend in BACKENDS.items():
        if backend.owns(array):
            return name
    raise BackendError(expected("operation", "arrays of numpy or cupy", kind_of(array)))


def _described(array: Any) -> str:
    return f"an array {array.shape} of {array.dtype}"


def _runs(name: str) -> bool:
    try:
        ops_named(name)
    except BackendError:
        return False
    return True


def hosted(array: Any) -> Any:
    """Return an array of the cuda backend as a numpy array, anything else unchanged."""
    return ops_of(array).to_numpy(array) if is_cupy(array) else array


def summable(a: Array) -> Array:
    """Return an array of any backend with float16 converted to float32, so that sums of it are exact enough."""
    return a.astype(np.float32) if a.dtype == np.float16 else a
