"""Reads an aerial scan from an .npz of arrays: points, what the laser measured of each, and its ASPRS class."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.readers.arrays import EXACT, arrays_of, checked_floats, checked_numbers

MEASURED = ("intensity", "return_number")


@dataclass(frozen=True, eq=False)
class Scan:
    """Points of a laser scan with classes.

    Attributes: points: (n, 3) float64, x, y and height in metres; intensity, return_number: (n,) float64, the latter 1
    for what the pulse met first; codes: (n,) int64, ASPRS classes (2 is ground, 9 water).
    """

    points: np.ndarray
    intensity: np.ndarray
    return_number: np.ndarray
    codes: np.ndarray

    def __len__(self):
        return len(self.points)


def read_scan(path):
    """Read xyz (n, 3), intensity (n,), return_number (n,) and classification (n,) of lidar_topography.npz.

    Arrays of other names are not looked at.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not fit the others. No pickle in it is run.
    """
    arrays = arrays_of(path, ("xyz", *MEASURED, "classification"), ())
    points = checked_floats(path, "xyz", arrays["xyz"], (None, 3), "(n, 3)")
    measured = [checked_numbers(path, name, arrays[name], (len(points),), -EXACT, EXACT)
                for name in (*MEASURED, "classification")]
    return Scan(points, *(values.astype(np.float64) for values in measured[:2]), measured[2])
