"""Real points to sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spconv_cy.dlpack import as_numpy, without_mask
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.sites import rules
from spconv_cy.sites.lattice import MAX_DIMENSION, as_lattice
from spconv_cy.types import IntegerArray

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import LatticeLike


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
        raise ShapeError(expected(who, "whole numbers in column 0, the batch index", "others"))
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
