"""The lattice that sites live on: its fields, the taps of its windows, and where its sites lie in space."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, is_integer, is_one_of
from spconv_cy.errors import ShapeError

MAX_DIMENSION = 8
INT32_MAX = 2**31 - 1
SITES = (-2**31, 2**31)                                                  # what int32 holds, and the end behind it


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

    def __post_init__(self):
        if not is_one_of(self.kind, ("cubic", "simplex")):
            raise ShapeError(f"Lattice: kind {self.kind!r} came; 'cubic' or 'simplex' fit")
        if not is_whole(self.d) or not 1 <= self.d <= MAX_DIMENSION:
            raise ShapeError(f"Lattice: dimension {self.d!r} came; 1 to {MAX_DIMENSION} fit")
        object.__setattr__(self, "d", int(self.d))

    @classmethod
    def cubic(cls, d):
        """Return the cubic lattice of dimension d, 1 to 8: the square lattice for d = 2, and so on."""
        return cls(d)

    @classmethod
    def simplex(cls, d):
        """Return the lattice A_d, 1 to 8: triangular for d = 2, tetrahedral for d = 3, and so on.

        A field of size n holds the sites x >= 0 with sum(x) <= n - 1, n to an edge; a window of size f has the taps
        t >= 0 with sum(t) <= f - 1. Every size, stride, dilation and padding is one number for all axes.

        Source: Graham 2015, arXiv:1505.02890.
        """
        return cls(d, "simplex")

    @property
    def is_cubic(self):
        """Whether fields and windows are boxes."""
        return self.kind == "cubic"

    @property
    def faces(self):
        """Faces of a field across one axis, each of which padding moves outwards: 2 of a box, d + 1 of a simplex."""
        return 2 if self.is_cubic else self.d + 1

    @property
    def basis(self):
        """(d, d) float64, the places of the unit vectors in space: of length 1, at 60 degrees on the simplex lattice.

        `sites @ basis` are places, `places @ inv(basis)` are sites, which `coordinates` gives.

        >>> Lattice.simplex(2).basis.round(5).tolist()
        [[1.0, 0.0], [0.5, 0.86603]]
        """
        if self.is_cubic:
            return np.eye(self.d)
        return np.linalg.cholesky((np.ones((self.d, self.d)) + np.eye(self.d)) / 2)

    def coordinates(self, places):
        """Return the lattice coordinates (n, d) float64 of places in space (n, d), to be rounded down to sites."""
        places = as_array("coordinates: places", places)
        if places.dtype.kind not in "iufb":
            raise ShapeError(f"coordinates: places of {places.dtype} came; numbers (n, {self.d}) fit")
        places = places.astype(np.float64, copy=False)
        if places.ndim != 2 or places.shape[1] != self.d:
            raise ShapeError(f"coordinates: places {places.shape} came on a lattice of dimension {self.d}; "
                             f"(n, {self.d}) fit")
        return places if self.is_cubic else places @ np.linalg.inv(self.basis)

    def middle(self, size):
        """Return the place (d,) in space of the middle of a field of `size` (d ints): that of a cloud around zero.

        >>> Lattice.simplex(3).coordinates([Lattice.simplex(3).middle((8, 8, 8))]).round(9).tolist()
        [[2.0, 2.0, 2.0]]
        """
        size = self._size("middle", size)
        return np.array(size) / 2 if self.is_cubic else np.full(self.d, size[0] / (self.d + 1)) @ self.basis

    def inradius(self, size):
        """Return the radius of the largest ball around the middle of a field of `size` (d ints) that lies in it."""
        size = self._size("inradius", size)
        return min(size) / 2 if self.is_cubic else size[0] / math.sqrt(2 * self.d * (self.d + 1))

    def inside(self, places, size):
        """Tell (n,) bool which of places (n, d), integers, lie in a field of `size` (d ints)."""
        places, size = as_array("inside: places", places), self._size("inside", size)
        if places.ndim != 2 or places.shape[1] != self.d or places.dtype.kind not in "iuf":
            raise ShapeError(f"inside: places {places.shape} of {places.dtype} came; whole numbers (n, {self.d}) fit")
        held = (places >= 0).all(1)
        if self.is_cubic:
            return held & (places < np.array(size)).all(1)
        return held & (places.sum(1, dtype=np.int64) < size[0])

    def field(self, size):
        """Return the number of sites of a field of `size` (d ints)."""
        size = self._size("field", size)
        return math.prod(size) if self.is_cubic else math.comb(size[0] + self.d - 1, self.d)

    def volume(self, size):
        """Return the number of taps of a window of `size` (d ints)."""
        return self.field(size)

    def taps(self, size):
        """Return the taps of a window of `size` (d ints), (k, d) int32, lexicographic, the last axis fastest."""
        size = self._size("taps", size)
        taps = np.zeros((1, 0), np.int32)
        for axis in range(self.d):
            room = np.full(len(taps), size[axis]) if self.is_cubic else size[0] - taps.sum(1)
            first = np.repeat(np.cumsum(room) - room, room)
            taps = np.column_stack([np.repeat(taps, room, 0), np.arange(len(first)) - first]).astype(np.int32)
        return np.ascontiguousarray(taps)

    def _size(self, who, size):
        if type(size) is tuple and len(size) == self.d and all(type(n) is int for n in size):
            return size                                                  # as Windows and Grids have it
        if isinstance(size, (tuple, list)) and len(size) == 1:
            size = size[0]
        return per_axis(size, self.d, f"{who}: size", 1)

    def per_axis(self, value, who, lowest):
        """Return d ints, one an axis, from an int or d ints, as the function of that name; all one on the simplex."""
        axes = per_axis(value, self.d, who, lowest)
        if not self.is_cubic and len(set(axes)) > 1:
            raise ShapeError(f"{who}: {axes} came on {self}; one number for all axes fits there")
        return axes


LatticeLike: TypeAlias = int | Lattice                                    # an int: the cubic lattice of that dimension


@known_arguments
def as_lattice(lattice: LatticeLike) -> Lattice:
    """Return `lattice`, or the cubic lattice where it is an int."""
    return lattice if isinstance(lattice, Lattice) else Lattice.cubic(lattice)


def per_axis(value, d, who, lowest, limits=(-INT32_MAX, INT32_MAX)):
    """Return d ints, one an axis, from an int or d ints; each from `lowest` (None: any), and within limits."""
    if is_whole(value):
        value = (value,) * d
    try:
        axes = tuple(value)
    except TypeError:
        axes = None
    if axes is None or len(axes) != d or not all(map(is_whole, axes)):
        raise ShapeError(f"{who}: {value!r} came; an int or {d} ints, one an axis, fit")
    if lowest is not None and min(axes) < lowest:
        raise ShapeError(f"{who}: {tuple(map(int, axes))} came; each must be at least {lowest}")
    if not limits[0] <= min(axes) <= max(axes) <= limits[1]:
        raise ShapeError(f"{who}: {tuple(map(int, axes))} came; each must be at most {limits[1]}, as sites are int32")
    return tuple(int(v) for v in axes)


def is_whole(value):
    """Tell whether a value is a Python or numpy int, and no bool."""
    return is_integer(value)
