"""Batch indices of points that come without them, and arrays in which column 0 may be one or not."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spconv_cy.checks import as_array, is_integer
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.sites.given import MANY_SAMPLES

if TYPE_CHECKING:
    from spconv_cy.types import IntegerArray

MOST_COLUMNS = 3                                   # of points that may be 2-d or 3-d ones without a batch index
LEVEL = 5                                          # of the caller of a public function


def indexed(who: str, points: ArrayLike, batch: ArrayLike | None, *known: object) -> Any:
    """Return points (n, 1+d) with the batch index first.

    Args:
        who: the function, for messages.
        points: (n, d) numbers; (n, 1+d) with the batch index first if `batch` is None.
        batch: the batch index of all points, or (n,) of them, or None.
        known: arguments that tell the dimension or the number of samples if they are not None. Without them, whole
            numbers of which column 0 may be a coordinate give a warning.

    Raises:
        ShapeError: points or a batch of another shape or dtype.
        GridError: a batch index below 0.
    """
    if batch is None:
        if all(value is None for value in known):
            _warn_unclear(who, points)
        d = np.shape(points)[1] if len(getattr(points, "shape", ())) == 2 else 0
        if d > 1 and any(isinstance(value, (list, tuple)) and len(value) == d for value in known):
            raise ShapeError(expected(who, f"a batch index in column 0 of points (n, {d}) and a size of {d - 1} axes",
                                      f"a size of {d}", "for points of one sample without a batch index give batch=0"))
        return points
    given: NDArray[Any] = as_array(f"{who}: points", as_numpy(points, who))
    if given.size == 0 and given.ndim == 1:
        given = given.reshape(0, 1)
    if given.ndim != 2 or not given.shape[1] or given.dtype.kind not in "fiu":
        raise ShapeError(expected(who, "with batch=, numbers (n, d) without a batch index",
                                  f"shape {given.shape} of {given.dtype}"))
    column = checked_batch(who, batch, len(given))
    if given.dtype == np.uint64:                                         # joined with int64 these would become floats
        given = np.minimum(given, 2**62).astype(np.int64)
    kind = given.dtype if given.dtype.kind == "f" and given.size else np.dtype(np.int64)
    return np.column_stack([column.astype(kind), given.astype(kind, copy=False)])


def samples_of(samples: int | None, batch: ArrayLike | None) -> int | None:
    """Return the number of samples, which one batch index for all points tells even where there are no points."""
    return int(np.asarray(batch)) + 1 if samples is None and is_integer(batch) else samples


def checked_batch(who: str, batch: ArrayLike, n: int) -> IntegerArray:
    """Return the batch indices (n,) of n points from one or n whole numbers from 0 up."""
    found = as_array(f"{who}: batch", as_numpy(batch, who))
    if found.size == 0 and found.ndim == 1:
        found = found.astype(np.int64)
    one = found.ndim == 0 and is_integer(found[()])
    if not one and (found.shape != (n,) or found.dtype.kind not in "iu"):
        raise ShapeError(expected(who, f"batch to be a whole number, or ({n},) of them, one for each point",
                                  f"{batch!r:.60}" if found.ndim == 0 else f"shape {found.shape} of {found.dtype}"))
    if found.size and not 0 <= int(found.min()) <= int(found.max()) < 2**31:
        raise GridError(expected(who, f"batch indices from 0 to {2**31 - 1}", f"{found.min()} to {found.max()}"))
    return np.broadcast_to(found.astype(np.int64), (n,))


def _warn_unclear(who: str, points: ArrayLike) -> None:
    """Warn if points are whole numbers (n, 2) or (n, 3) whose column 0 may be a batch index or a coordinate.

    A column of zeros is taken as the batch index.
    """
    try:
        given = np.asarray(as_numpy(points, who))
    except ValueError:                                                   # rows of unequal length: an error elsewhere
        return
    if given.ndim != 2 or not 2 <= given.shape[1] <= MOST_COLUMNS or given.dtype.kind not in "fiu" or not (
            given[:, 0].any() and (given.dtype.kind in "iu" or _is_whole(given))):
        return
    if given[:, 0].min() < 0 or given[:, 0].max() >= MANY_SAMPLES:      # no batch index
        return
    n, d = given.shape
    warnings.warn(expected(
        who, f"samples= or batch= with whole numbers ({n}, {d}), whose column 0 may be a batch index or a coordinate",
        "neither", f"if it is the batch index, as is assumed now, give samples={int(given[:, 0].max()) + 1}; if these "
        f"are points of one sample in {d} dimensions, give batch=0"), UserWarning, stacklevel=LEVEL)


def _is_whole(given: NDArray[np.floating[Any]]) -> bool:
    return bool(np.isfinite(given).all() and (given == np.floor(given)).all())
