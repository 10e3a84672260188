"""Reads an aerial laser scan from an .npz of arrays: points, what the laser measured at each, and its ASPRS class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path
from spconv_cy.readers.arrays import EXACT, arrays_of, checked_floats, checked_numbers

if TYPE_CHECKING:
    from spconv_cy.types import Array, PathLike

MEASURED = ("intensity", "return_number", "classification")


@known_arguments
@dataclass(frozen=True, eq=False)
class Scan:
    """Points of a laser scan with classes.

    Attributes:
        points: (n, 3) float64, x, y and height in metres.
        intensity: (n,) float64.
        return_number: (n,) float64, 1 for the first object that the pulse met.
        codes: (n,) int64, ASPRS classes (2 is ground, 9 water).
    """

    points: Array
    intensity: Array
    return_number: Array
    codes: Array

    def __len__(self) -> int:
        return len(self.points)


@known_arguments
def read_scan(path: PathLike) -> Scan:
    """Read xyz (n, 3), intensity (n,), return_number (n,) and classification (n,), as in lidar_topography.npz.

    Arrays of other names are not read.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not match the others. Pickles are never run.
    """
    checked_path("read_scan", path)
    arrays = arrays_of(path, ("xyz", *MEASURED), ())
    points = checked_floats(path, "xyz", arrays["xyz"], (None, 3), "(n, 3)")
    intensity, number, codes = (checked_numbers(path, name, arrays[name], (len(points),), -EXACT, EXACT)
                                for name in MEASURED)
    return Scan(points, intensity.astype(np.float64), number.astype(np.float64), codes)
