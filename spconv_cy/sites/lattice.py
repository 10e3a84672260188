"""The lattice that sites live on: which taps a window of a given size has, and in which order."""

import math
from dataclasses import dataclass

import numpy as np

from spconv_cy.errors import ShapeError

MAX_DIMENSION = 8
INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Lattice:
    """A lattice of dimension `d`; make one with `Lattice.cubic(d)`.

    >>> Lattice.cubic(2).taps((2, 2)).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """

    d: int
    kind: str = "cubic"

    def __post_init__(self):
        if self.kind != "cubic":
            raise ShapeError(f"Lattice: kind {self.kind!r} came; 'cubic' fits")
        if not is_whole(self.d) or not 1 <= self.d <= MAX_DIMENSION:
            raise ShapeError(f"Lattice: dimension {self.d!r} came; 1 to {MAX_DIMENSION} fit")
        object.__setattr__(self, "d", int(self.d))

    @classmethod
    def cubic(cls, d):
        """Return the cubic lattice of dimension d, 1 to 8: the square lattice for d = 2, and so on."""
        return cls(d)

    def volume(self, size):
        """Return the number of taps of a window of `size` (d ints)."""
        return math.prod(size)

    def taps(self, size):
        """Return the taps of a window of `size` (d ints), (k, d) int32, lexicographic, the last axis fastest."""
        return np.ascontiguousarray(np.indices(size, np.int32).reshape(self.d, -1).T)


def as_lattice(lattice):
    """Return `lattice`, or the cubic lattice where it is an int."""
    return lattice if isinstance(lattice, Lattice) else Lattice.cubic(lattice)


def per_axis(value, d, who, lowest):
    """Return d ints, one an axis, from an int or d ints; each from `lowest` (None: any) to what an int32 holds."""
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
    if max(map(abs, map(int, axes))) > INT32_MAX:
        raise ShapeError(f"{who}: {tuple(map(int, axes))} came; each must be at most {INT32_MAX}, as sites are int32")
    return tuple(int(v) for v in axes)


def is_whole(value):
    """Tell whether a value is a Python or numpy int, and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
