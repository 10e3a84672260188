"""What is asked of a state, a dict of arrays by name, before any of it is taken."""

from collections.abc import Mapping

import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import ShapeError


def checked_names(who, state, names):
    """Raise TypeError where a state is no dict, ShapeError where it has other names than these."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{who}: expected a dict of arrays by name, got {_named(state)}")
    if set(state) != set(names):
        missing, unknown = (sorted(map(str, s)) for s in (set(names) - set(state), set(state) - set(names)))
        raise ShapeError(f"{who}: missing {missing}, unknown {unknown}")


def checked_like(who, name, value, like):
    """Return a state's value as an array on the backend of another one, of its dtype; it may be the value itself.

    Args:
        who: for the error, such as "load_state".
        name: of the value in the state.
        value: array of the shape of `like`, whose dtype is of the same kind: floats for floats, integers for integers.
        like: array.

    Raises:
        TypeError: the value is no array.
        ShapeError: another shape or kind, or numbers that the dtype does not hold.
    """
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        raise TypeError(f"{who}: expected an array for {name}, got {_named(value)}")
    value = value if hasattr(value.dtype, "kind") else as_numpy(value)   # other libraries' dtypes are no numpy dtypes
    if value.shape != like.shape:
        raise ShapeError(f"{who}: {name} is {like.shape}, {value.shape} came")
    if value.dtype.kind != like.dtype.kind:
        raise ShapeError(f"{who}: {name} is an array of {like.dtype}, one of {value.dtype} came")
    with np.errstate(over="ignore"):                                     # told below
        found = ops_of(like).asarray(value, like.dtype)
    if value.dtype.itemsize > like.dtype.itemsize:
        kept = np.isfinite(value) == np.isfinite(found) if like.dtype.kind == "f" else value == found
        if not kept.all():
            raise ShapeError(f"{who}: {name} is an array of {like.dtype}, numbers came that it does not hold")
    return found


def _named(value):
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
