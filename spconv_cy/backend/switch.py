"""Which backend: data decides where an operation runs, the switch decides where new data is born."""

import numpy as np

from spconv_cy import config
from spconv_cy.backend.ops import Ops
from spconv_cy.dlpack import is_cupy
from spconv_cy.errors import BackendError
from spconv_cy.once import once

FLOAT64 = np.dtype(np.float64)
NAMES = ("cpu", "reference", "cuda")
_ready = {"reference": Ops()}


def ops_of(*arrays):
    """Return the backend on which arrays live: float64 numpy is the reference, other numpy arrays the cpu.

    Raises:
        BackendError: the arrays live on different backends; both are named.
    """
    name = _home(arrays[0])
    for array in arrays[1:]:
        other = _home(array)
        if other != name:
            raise BackendError(f"arrays of two backends meet: {_described(arrays[0], name)} is on {name}, "
                               f'{_described(array, other)} on {other}; bring them together with .to("{name}")')
    return ops_named(name)


def ops_named(name):
    """Return the backend of that name.

    Raises:
        BackendError: there is no such backend, or it cannot run here; the reason and the remedy are given.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise BackendError(f"backend {name!r} came; {', '.join(NAMES)} fit")
    return once(_ready, name, _load, name)


def loaded(name):
    """Return the backend of that name where it was used before, else None."""
    return _ready.get(name)


def current():
    """Return the backend on which new arrays are born."""
    return ops_named(config.backend_name())


def available():
    """Return the names of the backends that run here, a tuple.

    >>> "reference" in available()
    True
    """
    return tuple(name for name in NAMES if _runs(name))


class use(config.Switch):
    """Make `name` the backend on which new arrays are born: "cpu", "cuda", or "reference" (numpy, float64).

    A call switches the process from now on; a `with` statement this thread or task alone, until its end.

    Raises:
        BackendError: the backend cannot run here; never a silent fallback.

    >>> with use("reference"):
    ...     current().name
    'reference'
    """

    setting = config.backend

    def __init__(self, name):
        ops_named(name)
        super().__init__(name)


def _home(array):
    if type(array) is np.ndarray or isinstance(array, (np.ndarray, np.generic)):
        return "reference" if array.dtype == FLOAT64 else "cpu"
    if is_cupy(array):
        return "cuda"
    raise BackendError(f"an array of type {type(array).__name__} belongs to no backend; numpy arrays, and cupy's, fit")


def _described(array, name):
    return f"an array {array.shape} of {array.dtype}"


def _runs(name):
    try:
        ops_named(name)
    except BackendError:
        return False
    return True


def _load(name):
    if name == "cpu":
        try:
            from spconv_cy.backend.cpu import CpuOps
        except ImportError as error:
            raise BackendError(f"the cpu backend does not load ({error}); build the extensions with `pip install .`, "
                               'or use("reference"), which is plain numpy and slow') from error
        return CpuOps()
    try:
        from spconv_cy.backend.cuda import CudaOps

        return CudaOps()
    except ImportError as error:
        raise BackendError(f'the cuda backend does not load ({error}); use("cpu") works') from error
