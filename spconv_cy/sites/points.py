"""From real points to sites."""

import numpy as np

from spconv_cy.dlpack import as_numpy, without_mask
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites.lattice import as_lattice


def floored(points, cell, lattice=None):
    """Return the sites floor(coordinate / cell) of real points (n, 1+d), batch index first: int64 (n, 1+d).

    On the simplex lattice the coordinates are those of its basis, `lattice.coordinates(places / cell)`.

    Args:
        points: (n, 1+d) finite numbers, the batch index whole.
        cell: side of a site, in the points' unit; a number or d numbers.
        lattice: Lattice, or None: the cubic one.

    Raises:
        ShapeError: points of a wrong shape or not finite, a cell that is not positive.
        GridError: sites beyond int32.
    """
    scaled = in_cells(points, cell)
    with np.errstate(invalid="ignore"):                                  # infinity is beyond int32 too
        places = scaled[:, 1:]
        scaled[:, 1:] = np.floor(places if lattice is None else as_lattice(lattice).coordinates(places))
    return checked_range(scaled)


def in_cells(points, cell, who="from_points"):
    """Return real points (n, 1+d), batch index first, as float64 with coordinates in units of the cell.

    Raises:
        ShapeError: as for floored; `who` is named.
    """
    points = as_numpy(points, who)
    try:
        points = np.asarray(points)
    except ValueError:
        raise ShapeError(f"{who}: rows of unequal length came; real numbers (n, 1+d) fit") from None
    if points.ndim != 2 or points.shape[1] < 2 or points.dtype.kind not in "fiu":
        raise ShapeError(f"{who}: points {points.shape} of {points.dtype} came; real numbers (n, 1+d) fit")
    if not np.isfinite(points).all():
        raise ShapeError(f"{who}: {int((~np.isfinite(points)).any(1).sum())} of {len(points)} points are NaN or "
                         "infinite; remove them")
    cell = _checked_cell(who, cell, points.shape[1] - 1)
    if (points[:, 0] != np.floor(points[:, 0])).any():
        raise ShapeError(f"{who}: column 0 holds the batch index, which must be whole")
    scaled = points.astype(np.float64)
    with np.errstate(over="ignore"):
        scaled[:, 1:] /= cell
    return scaled


def checked_range(sites, who="from_points"):
    """Return whole float64 sites as int64; raise GridError where int32 does not hold them."""
    if len(sites) and not np.abs(sites).max() < 2**31:
        raise GridError(f"{who}: sites beyond the int32 range; use a larger cell or move the points")
    return sites.astype(np.int64)


def _checked_cell(who, cell, d):
    without_mask(cell, who)
    try:
        cell = np.asarray(cell)
        fits = cell.dtype.kind in "fiu" and cell.shape in ((), (d,)) and bool(((cell > 0) & np.isfinite(cell)).all())
    except ValueError:
        fits = False
    if not fits:
        shown = cell.tolist() if isinstance(cell, np.ndarray) else cell
        raise ShapeError(f"{who}: cell {shown!r} came; a positive number, or {d}, one an axis, fits")
    return cell.astype(np.float64)
