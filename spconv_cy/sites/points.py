"""Real points to sites."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spconv_cy.dlpack import as_numpy, without_mask
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.sites import rules
from spconv_cy.sites.given import checked_samples
from spconv_cy.sites.lattice import MAX_DIMENSION, Lattice, LatticeLike, as_lattice
from spconv_cy.types import IntegerArray, PerAxis


def floored(points: ArrayLike, cell: ArrayLike,
            lattice: LatticeLike | None = None) -> IntegerArray:
    """Return the sites floor(coordinate / cell) of real points (n, 1+d), batch index first: int32 or int64 (n, 1+d).

    On the simplex lattice the coordinates are `lattice.coordinates(places / cell)`.

    Args:
        points: (n, 1+d) finite numbers; the batch index is a whole number.
        cell: side of a site, in the unit of the points; a number or d numbers.
        lattice: Lattice, or None: the cubic one.

    Raises:
        ShapeError: points of another shape or not finite; a cell that is not positive.
        GridError: sites beyond int32.
    """
    found = _floored(points, cell) if lattice is None else None
    if found is not None:
        return found
    scaled = in_cells(points, cell)
    with np.errstate(invalid="ignore"):                                  # infinity is refused as beyond int32
        places = scaled[:, 1:]
        scaled[:, 1:] = np.floor(places if lattice is None else as_lattice(lattice).coordinates(places))
    return checked_range(scaled)


def moved(points: Any, origin: ArrayLike) -> Any:
    """Return points (n, 1+d), batch index first, with `origin`, a finite number or d, as the zero of their axes."""
    given = as_numpy(points, "from_points")
    try:
        given = np.asarray(given)
        low = np.asarray(without_mask(origin, "from_points"))
    except ValueError:
        low = np.zeros((0, 0))
    d = given.shape[1] - 1 if getattr(given, "ndim", 0) == 2 else 0
    if low.dtype.kind not in "fiu" or low.shape not in ((), (d,)) or not np.isfinite(low).all():
        raise ShapeError(expected("from_points", f"origin to be a finite number, or {d}, one for each axis",
                                  f"{origin!r:.60}"))
    if given.dtype.kind not in "fiu" or d < 1:
        return given                                                     # refused by `floored`
    places = given.astype(np.float64)
    places[:, 1:] -= low
    return places


class Inside(NamedTuple):
    """Sites in a field, the numbers of their points, the number of all points and that of their samples."""

    sites: IntegerArray
    points: IntegerArray
    n: int
    samples: int


def inside(points: ArrayLike, cell: ArrayLike, size: PerAxis | None, samples: int | None,
           lattice: Lattice | None) -> Inside:
    """Return the sites of those points (n, 1+d) that lie in a field.

    Raises:
        ShapeError: as for floored; no size.
        GridError: batch indices out of range.
    """
    who = "from_points"
    scaled = in_cells(points, cell)
    field = as_lattice(scaled.shape[1] - 1 if lattice is None else lattice)
    if size is None or field.d != scaled.shape[1] - 1:
        raise ShapeError(expected(who, f"with outside='drop', a size and points (n, {field.d + 1})",
                                  f"size {size!r} and points {scaled.shape}"))
    axes = field.per_axis(size, f"{who} size", 1)
    column = scaled[:, 0]
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, -1)
    samples = checked_samples(len(column), low, high, samples)
    with np.errstate(invalid="ignore"):
        places = np.floor(scaled[:, 1:] if lattice is None else field.coordinates(scaled[:, 1:]))
    kept = np.flatnonzero(field.inside(np.clip(places, -2.0**40, 2.0**40), axes))
    return Inside(np.column_stack([column[kept], places[kept]]).astype(np.int64), kept, len(scaled),
                  samples)


def _floored(points: ArrayLike, cell: ArrayLike) -> IntegerArray | None:
    """Return the sites of floats on the cubic lattice by the compiled core; None where it does not take them."""
    given = as_numpy(points, "from_points")
    if not isinstance(given, np.ndarray) or given.dtype.char not in "fd" or given.ndim != 2 or not (
            2 <= given.shape[1] <= 1 + MAX_DIMENSION):
        return None
    try:
        sides = _checked_cell("from_points", cell, given.shape[1] - 1)
    except ShapeError:                                                   # after errors of the points
        return None
    sides = np.array(np.broadcast_to(sides, given.shape[1] - 1))
    return rules.floored(np.require(given, requirements=["C", "A"]), sides)


def in_cells(points: ArrayLike, cell: ArrayLike, who: str = "from_points") -> NDArray[np.float64]:
    """Return real points (n, 1+d), batch index first, with coordinates in units of the cell.

    Raises:
        ShapeError: as for floored; it names `who`.
    """
    points = as_numpy(points, who)
    try:
        given = np.asarray(points)
    except ValueError:
        raise ShapeError(expected(who, "real numbers (n, 1+d)", "rows of unequal length")) from None
    if given.ndim != 2 or given.shape[1] < 2 or given.dtype.kind not in "fiu":
        raise ShapeError(expected(who, "real numbers (n, 1+d)", f"shape {given.shape} of {given.dtype}"))
    if not np.isfinite(given).all():
        raise ShapeError(expected(who, "finite points", f"{int((~np.isfinite(given)).any(1).sum())} of {len(given)} "
                                  "points that are NaN or infinite", "remove them"))
    sides = _checked_cell(who, cell, given.shape[1] - 1)
    if (given[:, 0] != np.floor(given[:, 0])).any():
        raise ShapeError(expected(who, "whole numbers in column 0, the batch index", "others",
                                  "give batch=0 for points of one sample without a batch index"))
    scaled = given.astype(np.float64)
    with np.errstate(over="ignore"):
        scaled[:, 1:] /= sides
    return scaled


def checked_range(sites: NDArray[np.float64], who: str = "from_points") -> NDArray[np.int64]:
    """Return whole float64 sites as int64; raise GridError if int32 cannot hold them."""
    if len(sites) and not np.abs(sites).max() < 2**31:
        raise GridError(expected(who, "sites in the range of int32", "larger ones",
                                 "use a larger cell or move the points"))
    return sites.astype(np.int64)


def _checked_cell(who: str, cell: ArrayLike, d: int) -> NDArray[np.float64]:
    without_mask(cell, who)
    try:
        sides = np.asarray(cell)
    except ValueError:
        sides = np.zeros(0)
    if sides.dtype.kind not in "fiu" or sides.shape not in ((), (d,)) or not ((sides > 0) & np.isfinite(sides)).all():
        shown = cell.tolist() if isinstance(cell, np.ndarray) else cell
        raise ShapeError(expected(who, f"cell to be a positive number, or {d}, one for each axis", repr(shown)))
    return sides.astype(np.float64)
