"""Lattices of sites: their fields, the taps of their windows, and the places of their sites in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, is_integer, is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import IntegerArray

MAX_DIMENSION = 8
INT32_MAX = 2**31 - 1
Size: TypeAlias = int | Sequence[int] | IntegerArray                     # one number for all axes, or d numbers
SITES = (-2**31, 2**31)                                                  # range of int32; the end is excluded


@known_arguments
@dataclass(frozen=True)
class Lattice:
    """A lattice of dimension `d`; make one with `Lattice.cubic(d)` or `Lattice.simplex(d)`.

    >>> Lattice.cubic(2).taps((2, 2)).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> Lattice.simplex(2).taps((2, 2)).tolist()
    [[0, 0], [0, 1], [1, 0]]
    """

    d: int
    kind: str = "cubic"

    def __post_init__(self) -> None:
        if not is_one_of(self.kind, ("cubic", "simplex")):
            raise ShapeError(expected("Lattice", "kind 'cubic' or 'simplex'", repr(self.kind)))
        if not is_whole(self.d) or not 1 <= self.d <= MAX_DIMENSION:
            raise ShapeError(expected("Lattice", f"a dimension from 1 to {MAX_DIMENSION}", repr(self.d)))
        object.__setattr__(self, "d", int(self.d))

    @classmethod
    def cubic(cls, d: int) -> Lattice:
        """Return the cubic lattice of dimension d, 1 to 8; for d = 2 it is the square lattice."""
        return cls(d)

    @classmethod
    def simplex(cls, d: int) -> Lattice:
        """Return the lattice A_d of dimension d, 1 to 8: triangular for d = 2, tetrahedral for d = 3.

        A field of size n has the sites x >= 0 with sum(x) <= n - 1, n on each edge. A window of size f has the taps
        t >= 0 with sum(t) <= f - 1. Every size, stride, dilation and padding is one number for all axes.

        Source: Graham 2015, arXiv:1505.02890.
        """
        return cls(d, "simplex")

    @property
    def is_cubic(self) -> bool:
        """True if fields and windows are boxes."""
        return self.kind == "cubic"

    @property
    def faces(self) -> int:
        """Number of faces of a field that padding moves along one axis: 2 for a box, d + 1 for a simplex."""
        return 2 if self.is_cubic else self.d + 1

    @property
    def basis(self) -> NDArray[np.float64]:
        """(d, d): the unit vectors of the lattice in space, of length 1, and at 60 degrees on the simplex lattice.

        `sites @ basis` are places in space, and `coordinates` is its inverse.

        >>> Lattice.simplex(2).basis.round(5).tolist()
        [[1.0, 0.0], [0.5, 0.86603]]
        """
        if self.is_cubic:
            return np.eye(self.d)
        return np.asarray(np.linalg.cholesky((np.ones((self.d, self.d)) + np.eye(self.d)) / 2), np.float64)

    def coordinates(self, places: ArrayLike) -> NDArray[np.float64]:
        """Return the lattice coordinates (n, d) of places in space (n, d); round them down to get sites."""
        found = as_array("coordinates: places", places)
        if found.dtype.kind not in "iufb" or found.ndim != 2 or found.shape[1] != self.d:
            raise ShapeError(expected("coordinates", f"numbers (n, {self.d})", f"shape {found.shape} of {found.dtype}"))
        found = found.astype(np.float64, copy=False)
        return found if self.is_cubic else found @ np.linalg.inv(self.basis)

    def middle(self, size: Size) -> NDArray[np.float64]:
        """Return the place (d,) in space of the middle of a field of `size` (d ints).

        >>> Lattice.simplex(3).coordinates([Lattice.simplex(3).middle((8, 8, 8))]).round(9).tolist()
        [[2.0, 2.0, 2.0]]
        """
        size = self._size("middle", size)
        return np.array(size) / 2 if self.is_cubic else np.full(self.d, size[0] / (self.d + 1)) @ self.basis

    def inradius(self, size: Size) -> float:
        """Return the radius of the largest ball around the middle that lies in a field of `size` (d ints)."""
        size = self._size("inradius", size)
        return min(size) / 2 if self.is_cubic else size[0] / math.sqrt(2 * self.d * (self.d + 1))

    def inside(self, places: ArrayLike, size: Size) -> NDArray[np.bool_]:
        """Return (n,) bool: True for each of places (n, d), whole numbers, that lies in a field of `size` (d ints)."""
        found, size = as_array("inside: places", places), self._size("inside", size)
        if found.ndim != 2 or found.shape[1] != self.d or found.dtype.kind not in "iuf":
            raise ShapeError(expected("inside", f"whole numbers (n, {self.d})",
                                      f"shape {found.shape} of {found.dtype}"))
        held = np.asarray((found >= 0).all(1))
        if self.is_cubic:
            return np.asarray(held & (found < np.array(size)).all(1))
        return np.asarray(held & (found.sum(1, dtype=np.int64) < size[0]))

    def field(self, size: Size) -> int:
        """Return the number of sites of a field of `size` (d ints)."""
        size = self._size("field", size)
        return math.prod(size) if self.is_cubic else math.comb(size[0] + self.d - 1, self.d)

    def volume(self, size: Size) -> int:
        """Return the number of taps of a window of `size` (d ints)."""
        return self.field(size)

    def taps(self, size: Size) -> NDArray[np.int32]:
        """Return the taps of a window of `size` (d ints), (k, d) int32, lexicographic, the last axis fastest."""
        size = self._size("taps", size)
        taps = np.zeros((1, 0), np.int32)
        for axis in range(self.d):
            room = np.full(len(taps), size[axis]) if self.is_cubic else size[0] - taps.sum(1)
            first = np.repeat(np.cumsum(room) - room, room)
            taps = np.column_stack([np.repeat(taps, room, 0), np.arange(len(first)) - first]).astype(np.int32)
        return np.ascontiguousarray(taps)

    def _size(self, who: str, size: Size) -> tuple[int, ...]:
        if type(size) is tuple and len(size) == self.d and all(type(n) is int for n in size):
            return size                                                  # the form that Windows and Grids store
        if isinstance(size, (tuple, list)) and len(size) == 1:
            size = size[0]
        return per_axis(size, self.d, f"{who} size", 1)

    def per_axis(self, value: Size, who: str, lowest: int | None) -> tuple[int, ...]:
        """Return d ints, one for each axis, from an int or d ints; on the simplex lattice they must be equal."""
        axes = per_axis(value, self.d, who, lowest)
        if not self.is_cubic and len(set(axes)) > 1:
            raise ShapeError(expected(who, f"one number for all axes on {self}", axes))
        return axes


LatticeLike: TypeAlias = int | Lattice                                    # an int: the cubic lattice of that dimension


@known_arguments
def as_lattice(lattice: LatticeLike) -> Lattice:
    """Return a Lattice unchanged, or the cubic lattice of a dimension."""
    return lattice if isinstance(lattice, Lattice) else Lattice.cubic(lattice)


def per_axis(value: object, d: int, who: str, lowest: int | None,
             limits: tuple[int, int] = (-INT32_MAX, INT32_MAX)) -> tuple[int, ...]:
    """Return d ints, one for each axis, from an int or d ints.

    Args:
        value: int or d ints.
        d: number of axes.
        who: is named in the error.
        lowest: the least number allowed, or None.
        limits: the least and the largest number that sites allow.

    Raises:
        ShapeError: something else, or a number outside these bounds.
    """
    given: Any = (value,) * d if is_whole(value) else value
    try:
        axes = tuple(given)
    except TypeError:
        axes = ()
    if len(axes) != d or not all(map(is_whole, axes)):
        raise ShapeError(expected(who, f"an int or {d} ints, one for each axis", repr(value)))
    found = tuple(int(v) for v in axes)
    if lowest is not None and min(found) < lowest:
        raise ShapeError(expected(who, f"numbers of at least {lowest}", found))
    if not limits[0] <= min(found) <= max(found) <= limits[1]:
        raise ShapeError(expected(who, f"numbers of at most {limits[1]}, as sites are int32", found))
    return found


def is_whole(value: object) -> bool:
    """Return True if a value is a Python or numpy int, but not a bool."""
    return is_integer(value)
