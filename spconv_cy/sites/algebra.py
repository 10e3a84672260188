"""Set algebra of sites: grids joined, cut and compared, each with the rows by which features follow.

Grids are values: what is made depends on the two that came and on nothing else, in canonical order, and where no site
is lost or won it is the very grid that came, with the rules that it already has.
"""

from collections import namedtuple

import numpy as np

from spconv_cy.checks import as_array, checked_flags, is_one_of
from spconv_cy.errors import ShapeError
from spconv_cy.sites import rules
from spconv_cy.sites.lattice import INT32_MAX, SITES, per_axis

HOW = ("inner", "outer", "left")
Join = namedtuple("Join", "grid left right")
Part = namedtuple("Part", "grid rows")


def join(a, b, how):
    """Return Join(grid, left, right) of two grids: left[i], right[i] are the rows of its site i in a and b, -1: none.

    Args:
        a, b: Grids of one lattice, size and number of samples.
        how: "outer": the sites of either; "inner": of both; "left": of a.

    Raises:
        ShapeError: another `how`; grids of different lattice, size or number of samples.

    Cost: linear in the sites of both.
    """
    if not is_one_of(how, HOW):
        raise ShapeError(f"join: how {how!r} came; {', '.join(map(repr, HOW))} fit")
    left, right = matched(a, b)
    if how == "outer":
        if len(left) == a.n:
            return Join(a, left, right)
        if len(right) == b.n:
            return Join(b, left, right)
        return Join(_like(a, _of_either(a.sites, b.sites, left, right)), left, right)
    kept = left >= 0 if how == "left" else (left >= 0) & (right >= 0)
    left, right = left[kept], right[kept]
    if len(left) == a.n:
        return Join(a, left, right)
    return Join(b if len(right) == b.n else _like(a, a.sites[left]), left, right)


def difference(a, b):
    """Return Part(grid, rows): the sites of a that are not in b, and their rows in a. Arguments as for join."""
    left, right = matched(a, b)
    return part(a, left[right < 0])


def matched(a, b):
    """Return (left, right), (q,) int32 each: the rows in a and b of each site of their union, -1: not there."""
    if type(b) is not type(a):
        raise TypeError(f"join: a {type(b).__name__} came; a Grid fits")
    for name in ("lattice", "size", "samples"):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            raise ShapeError(f"join: grids of {name} {mine} and {other} came; equal ones fit: give both the same "
                             f"{name} where they are made")
    if a is b or np.array_equal(a.sites, b.sites):
        rows = np.arange(a.n, dtype=np.int32)
        return rows, rows
    return rules.merged(a.sites, b.sites)


def mask(grid, keep):
    """Return Part(grid, rows): the sites where keep (n,) bool is true, and their rows.

    Raises:
        ShapeError: not one boolean for each site.
    """
    keep = as_array("mask: keep", keep)
    if keep.dtype != bool or keep.shape != (grid.n,):
        raise ShapeError(f"mask: an array {keep.shape} of {keep.dtype} came; ({grid.n},) booleans fit, one for each "
                         "site")
    return part(grid, np.flatnonzero(keep).astype(np.int32))


def crop(grid, low, high, *, moved=False):
    """Return Part(grid, rows): the sites with low <= x < high on every axis, and their rows.

    Args:
        grid: Grid.
        low, high: an int or d ints each, high above low.
        moved: whether the box becomes a field of its own, as `dense[:, :, low:high]`: low is its site 0, high - low its
            size. Otherwise sites and size stay as they are.

    Raises:
        ShapeError: low or high that do not fit; moved on a lattice where a box is no field.
    """
    checked_flags("crop", moved=moved)
    low, high = per_axis(low, grid.d, "crop low", None, SITES), per_axis(high, grid.d, "crop high", None, SITES)
    if not all(a < b for a, b in zip(low, high, strict=True)):
        raise ShapeError(f"crop: low {low} and high {high} came; high must be above low on every axis")
    if moved and not grid.lattice.is_cubic:
        raise ShapeError(f"crop: moved=True came on {grid.lattice}, whose fields are no boxes; leave it out")
    size = tuple(b - a for a, b in zip(low, high, strict=True))
    if moved and max(size) > INT32_MAX:
        raise ShapeError(f"crop: low {low} and high {high} came with moved=True, a field of size {size}; at most "
                         f"{INT32_MAX} an axis fit, as sites are int32")
    places = grid.sites[:, 1:]
    rows = np.flatnonzero(((places >= low) & (places < high)).all(1)).astype(np.int32)
    if not moved:
        return part(grid, rows)
    sites = grid.sites[rows].astype(np.int64)
    sites[:, 1:] -= low
    return Part(type(grid)(sites.astype(np.int32), size, grid.samples, grid.lattice), rows)


def part(grid, rows):
    """Return Part(grid, rows) of ascending rows (m,) int32 of a grid: the grid itself where they are all."""
    return Part(grid if len(rows) == grid.n else _like(grid, grid.sites[rows]), rows)


def _like(grid, sites):
    return type(grid)(sites, grid.size, grid.samples, grid.lattice)


def _of_either(a, b, left, right):
    sites = np.empty((len(left), a.shape[1]), np.int32)
    sites[left >= 0] = a
    sites[right >= 0] = b
    return sites
