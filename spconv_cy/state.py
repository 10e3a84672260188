"""Checks of a state, a dict of arrays by name, before any array of it is used."""

from collections.abc import Iterable, Mapping

import numpy as np

from spconv_cy.backend.switch import hosted, ops_of
from spconv_cy.checks import kind_of
from spconv_cy.dlpack import as_numpy, without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array


def checked_names(who: str, state: object, names: Iterable[str]) -> None:
    """Raise TypeError if a state is no dict, ShapeError if its names are not these."""
    if not isinstance(state, Mapping):
        raise TypeError(expected(who, "a dict of arrays by name", kind_of(state)))
    if set(state) != set(names):
        missing, unknown = (sorted(map(str, s)) for s in (set(names) - set(state), set(state) - set(names)))
        raise ShapeError(expected(who, "the names of the state",
                                  f"missing names {missing} and unknown names {unknown}"))


def checked_like(who: str, name: str, value: object, like: Array) -> Array:
    """Return an array of a state with the backend and dtype of another one; it may be the given array itself.

    Args:
        who: the function, for the error.
        name: of the array in the state.
        value: array with the shape of `like`, and a dtype of the same kind: floats for floats, integers for integers.
        like: array.

    Raises:
        TypeError: the value is no array.
        ShapeError: its shape or kind differs, or the dtype of `like` cannot hold its numbers.
    """
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        raise TypeError(expected(who, f"an array for {name}", kind_of(value)))
    given = without_mask(value, f"{who}: {name}")
    given = given if hasattr(given.dtype, "kind") else as_numpy(given)   # other libraries' dtypes are no numpy dtypes
    if given.shape != like.shape:
        raise ShapeError(expected(f"{who}: {name}", f"an array of shape {like.shape}", given.shape))
    if given.dtype.kind != like.dtype.kind:
        raise ShapeError(expected(f"{who}: {name}", f"an array of {like.dtype}", given.dtype))
    try:
        found = ops_of(like).asarray(given, like.dtype)
    except ShapeError as error:
        raise ShapeError(f"{who}: {name}: {error}") from None
    if given.dtype.itemsize > like.dtype.itemsize:
        before, after = hosted(given), hosted(found)
        kept = np.isfinite(before) == np.isfinite(after) if like.dtype.kind == "f" else before == after
        if not kept.all():
            raise ShapeError(expected(f"{who}: {name}", f"numbers that {like.dtype} can hold", "larger ones"))
    return found
