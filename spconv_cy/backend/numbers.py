"""Numbers as arrays of a backend's dtype, and the errors for those that it cannot hold."""

from __future__ import annotations

from itertools import islice
from typing import Any, NoReturn

import numpy as np

from spconv_cy.checks import described
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array

NUMBERS = "floats, integers or booleans"                               # what features may be made of


def own(made: Array, given: object) -> Array:
    """Return `made`, the result of Ops.asarray for `given`, or a copy if the two may share memory."""
    apart = isinstance(given, (list, tuple)) or isinstance(given, np.ndarray) and not (
        isinstance(made, np.ndarray) and np.may_share_memory(made, given))
    return made if apart else made.copy()


def cast(array: Array, dtype: np.dtype[Any], who: str = "features") -> Array:
    """Return a numpy array as a C-contiguous array of a dtype, without a copy if it is one.

    Raises:
        ShapeError: a finite number that the dtype, float32 or a longer float, cannot hold.
    """
    if not (array.dtype.kind == dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize > 2):
        return np.asarray(array, dtype, order="C")
    try:
        with np.errstate(over="raise"):
            return np.asarray(array, dtype, order="C")
    except FloatingPointError:
        pass                                                             # the error below names the number
    beyond = array[np.isfinite(array) & (abs(array) > np.finfo(dtype).max)]
    if beyond.size:
        refuse_beyond(beyond[0], dtype, who)
    with np.errstate(over="ignore"):                                     # infinite before, or rounded to infinity
        return np.asarray(array, dtype, order="C")


def refuse_beyond(value: object, dtype: np.dtype[Any], who: str = "features") -> NoReturn:
    """Raise ShapeError for a number that a dtype cannot hold."""
    remedy = ', or use("reference"), which keeps float64' if dtype == np.float32 else ""
    raise ShapeError(expected(who, f"numbers that {dtype} holds, up to {np.finfo(dtype).max:.3g}", f"{value!s}",
                              f"scale them{remedy}"))


def refuse_dtype(array: Array) -> NoReturn:
    """Raise ShapeError for features that are not real numbers: a single value is named, of objects the first other."""
    got = f"dtype {array.dtype}"
    if not array.ndim and array.dtype.kind in "OUS":
        got = described(array.item())
    elif array.dtype == object:
        others = (value for value in array.flat if not isinstance(value, (float, int, np.number, np.bool_)))
        got += "".join(f" with {described(value)}" for value in islice(others, 1))
    raise ShapeError(expected("features", NUMBERS, got))


def check_whole(array: Array) -> None:
    """Raise ShapeError for a Python int in an array of objects that no integer dtype holds."""
    for value in array.flat if array.dtype == object else ():
        if isinstance(value, int) and not -2**63 <= value < 2**64:
            raise ShapeError(expected("features", "numbers", f"the whole number {value!r:.40}, which no integer dtype "
                                      "holds", "make it a float, or scale it"))
