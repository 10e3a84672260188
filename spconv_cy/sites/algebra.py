"""Set algebra of sites: joins, parts and crops of grids, with the rows from which features are taken.

The result depends on the sites alone and is in canonical order. If it has all sites of a given grid and no others, it
is that grid, with the rules that were made for it.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spconv_cy.checks import as_array, checked_flags, is_one_of, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites import rules
from spconv_cy.sites.lattice import INT32_MAX, SITES, Lattice, Size, per_axis

HOW = ("inner", "outer", "left")
Rows: TypeAlias = NDArray[np.int32]


class AnyGrid(Protocol):
    """The part of Grid that this module uses; sites/grid.py imports this module."""

    def __init__(self, sites: Rows, size: tuple[int, ...] | None, samples: int, lattice: Lattice) -> None: ...

    @property
    def sites(self) -> Rows:
        """(n, 1+d): the sites, in canonical order."""

    @property
    def size(self) -> tuple[int, ...] | None:
        """Size of the field, or None."""

    @property
    def samples(self) -> int:
        """Number of samples."""

    @property
    def lattice(self) -> Lattice:
        """Lattice of the sites."""

    @property
    def n(self) -> int:
        """Number of sites."""

    @property
    def d(self) -> int:
        """Dimension."""


G = TypeVar("G", bound=AnyGrid)


def join(a: G, b: G, how: str) -> tuple[G, Rows, Rows]:
    """Return (grid, left, right) of two grids, in time linear in their sites.

    left[i] and right[i] are the rows of its site i in a and b, -1 if it has none.

    Args:
        a, b: Grids with the same lattice, size and number of samples.
        how: "outer": the sites of either grid; "inner": of both; "left": of a.

    Raises:
        ShapeError: another `how`; grids with different lattice, size or number of samples.
    """
    if not is_one_of(how, HOW):
        raise ShapeError(expected("join", f"how to be one of {', '.join(map(repr, HOW))}", repr(how)))
    left, right = matched(a, b)
    if how == "outer":
        if len(left) == a.n:
            return a, left, right
        if len(right) == b.n:
            return b, left, right
        return _like(a, _of_either(a.sites, b.sites, left, right)), left, right
    kept = left >= 0 if how == "left" else (left >= 0) & (right >= 0)
    left, right = left[kept], right[kept]
    if len(left) == a.n:
        return a, left, right
    return b if len(right) == b.n else _like(a, a.sites[left]), left, right


def difference(a: G, b: G) -> tuple[G, Rows]:
    """Return (grid, rows): the sites of a that are not in b, and their rows in a. Arguments as for join."""
    left, right = matched(a, b)
    return part(a, left[right < 0])


def matched(a: G, b: G) -> tuple[Rows, Rows]:
    """Return (left, right), (q,) each: the rows in a and b of each site of their union, -1 if it has none."""
    if type(b) is not type(a):
        raise TypeError(expected("join", "a Grid", kind_of(b)))
    for name in ("lattice", "size", "samples"):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            raise ShapeError(expected("join", f"grids with the same {name}", f"{mine} and {other}",
                                      f"give both the same {name} when they are made"))
    if a is b or np.array_equal(a.sites, b.sites):
        rows = np.arange(a.n, dtype=np.int32)
        return rows, rows
    return rules.merged(a.sites, b.sites)


def mask(grid: G, keep: ArrayLike, who: str = "mask") -> tuple[G, Rows]:
    """Return (grid, rows): the sites for which keep (n,) is True, and their rows.

    Args:
        grid: Grid.
        keep: (n,) booleans.
        who: the function that was called, for the error.

    Raises:
        ShapeError: not one boolean for each site.
    """
    kept = as_array(f"{who}: keep", keep)
    if kept.dtype != bool or kept.shape != (grid.n,):
        raise ShapeError(expected(who, f"({grid.n},) booleans, one for each site",
                                  f"shape {kept.shape} of {kept.dtype}"))
    return part(grid, kept.nonzero()[0].astype(np.int32))


def crop(grid: G, low: Size, high: Size, *, moved: bool = False) -> tuple[G, Rows]:
    """Return (grid, rows): the sites with low <= x < high on every axis, and their rows.

    Args:
        grid: Grid.
        low, high: an int or d ints each, high above low.
        moved: True: the box becomes the field, as in `dense[:, :, low:high]`: low becomes site 0, and high - low the
            size. False: sites and size are unchanged.

    Raises:
        ShapeError: low or high do not fit; moved=True on a lattice whose fields are not boxes.
    """
    checked_flags("crop", moved=moved)
    low, high = per_axis(low, grid.d, "crop low", None, SITES), per_axis(high, grid.d, "crop high", None, SITES)
    if not all(a < b for a, b in zip(low, high, strict=True)):
        raise ShapeError(expected("crop", "high above low on every axis", f"low {low} and high {high}"))
    if moved and not grid.lattice.is_cubic:
        raise ShapeError(expected("crop", f"moved=False on {grid.lattice}, whose fields are not boxes", moved))
    size = tuple(b - a for a, b in zip(low, high, strict=True))
    if moved and max(size) > INT32_MAX:
        raise ShapeError(expected("crop", f"a field of at most {INT32_MAX} sites on each axis with moved=True", size))
    places = grid.sites[:, 1:]
    rows = np.flatnonzero(((places >= low) & (places < high)).all(1)).astype(np.int32)
    if not moved:
        return part(grid, rows)
    sites = grid.sites[rows].astype(np.int64)
    sites[:, 1:] -= low
    return type(grid)(sites.astype(np.int32), size, grid.samples, grid.lattice), rows


def part(grid: G, rows: Rows) -> tuple[G, Rows]:
    """Return (grid, rows) of ascending rows (m,) of a grid; the same grid if they are all rows."""
    return grid if len(rows) == grid.n else _like(grid, grid.sites[rows]), rows


def _like(grid: G, sites: Rows) -> G:
    return type(grid)(sites, grid.size, grid.samples, grid.lattice)


def _of_either(a: Rows, b: Rows, left: Rows, right: Rows) -> Rows:
    sites = np.empty((len(left), a.shape[1]), np.int32)
    sites[left >= 0] = a
    sites[right >= 0] = b
    return sites
