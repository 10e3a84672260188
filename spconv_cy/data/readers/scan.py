"""Reads an aerial scan from an .npz of arrays: points, what the laser measured of each, and its ASPRS class."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.data.readers.arrays import arrays_of
from spconv_cy.errors import FileError

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

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not fit the others. No pickle in it is run.
    """
    arrays = arrays_of(path, ("xyz", *MEASURED, "classification"), ())
    points, codes = arrays["xyz"], arrays["classification"]
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "iuf" or not np.isfinite(points).all():
        raise FileError(f"{path}: xyz {points.shape} {points.dtype} came; (n, 3) finite numbers fit")
    for name in (*MEASURED, "classification"):
        if arrays[name].shape != (len(points),) or arrays[name].dtype.kind not in "iu":
            raise FileError(f"{path}: {name} {arrays[name].shape} {arrays[name].dtype} came; ({len(points)},) whole "
                            "numbers fit")
    return Scan(points.astype(np.float64), *(arrays[name].astype(np.float64) for name in MEASURED),
                codes.astype(np.int64))
