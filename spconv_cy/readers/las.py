"""Reads LAS and LAZ, the laser scans of surveys, by laspy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.data import PointCloud
from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from spconv_cy.types import Array, PathLike

CHUNK = 2**20                                       # points that are read at a time
SKIPPED = ("X", "Y", "Z", "bit_fields", "raw_classification", "classification_flags")


def read_las(path: PathLike) -> PointCloud:
    """Read x, y, z in their unit, and all dimensions of the points, such as intensity, classification and red.

    An extra dimension of several numbers, such as a normal, becomes normal_0, normal_1 and so on.

    Raises:
        ImportError: laspy is not installed; the message names the extra that installs it. For .laz it needs lazrs.
        FileNotFoundError: there is no such file.
        FileError: the file is damaged, cut short or of another format, or two columns would have one name.
    """
    try:
        import laspy
    except ImportError as error:
        raise ImportError(expected("read_points", "laspy to be installed for .las and .laz", "no such package",
                                   'install it by pip install "spconv_cy[las]"')) from error
    with open(path, "rb"):
        pass                                                             # FileNotFoundError, before laspy's errors
    _check_packages(path, laspy)
    try:
        with laspy.open(path) as file:
            header = file.header
            _check_counts(path, header)
            _check_names(path, header.point_format)
            parts = [_columns(chunk) for chunk in file.chunk_iterator(CHUNK)]
    except FileError:
        raise
    except Exception as error:                                           # of many classes, from laspy and lazrs
        raise FileError(expected(f"{path}", "a LAS or LAZ file", f"one that laspy cannot read ({error})",
                                 "it is damaged, cut short or of another format")) from error
    parts = parts or [_columns(laspy.ScaleAwarePointRecord.zeros(0, header=header))]
    n = sum(len(points) for points, _ in parts)
    if n != header.point_count:
        raise FileError(expected(f"{path}", f"{header.point_count} points, as declared", n, "the file is cut short"))
    return PointCloud(np.concatenate([points for points, _ in parts]),
                      {name: np.concatenate([values[name] for _, values in parts]) for name in parts[0][1]})


def _check_packages(path: PathLike, laspy: Any) -> None:
    """Check that laspy can decompress a .laz."""
    if Path(path).suffix.lower() == ".laz" and not laspy.LazBackend.detect_available():
        raise ImportError(expected("read_points", "lazrs to be installed for .laz", "no such package",
                                   'install it by pip install "spconv_cy[las]"'))


def _check_counts(path: PathLike, header: Any) -> None:
    """Check that a file that is not compressed has the bytes of its points."""
    size, declared = Path(path).stat().st_size, header.point_count * header.point_format.size
    if not header.are_points_compressed and header.offset_to_point_data + declared > size:
        raise FileError(expected(f"{path}", f"{declared} bytes of {header.point_count} points, as declared",
                                 max(0, size - header.offset_to_point_data),
                                 "the file is cut short or its counts are wrong"))


def _check_names(path: PathLike, point_format: Any) -> None:
    """Check that each column has a name of its own: that a normal of three numbers has no normal_0 beside it."""
    taken: dict[str, str] = {}                                           # column: the dimension that it is of
    for dimension in point_format.dimensions:
        several = range(dimension.num_elements) if dimension.num_elements > 1 else ()
        for column in [f"{dimension.name}_{i}" for i in several] or [dimension.name]:
            if column in taken:
                raise FileError(expected(f"{path}", "a name of its own for each column",
                                         f"{column} of the dimensions {taken[column]} and {dimension.name}",
                                         "rename one of the two dimensions by laspy"))
            taken[column] = dimension.name


def _columns(chunk: Any) -> tuple[Array, dict[str, Array]]:
    points = np.stack([np.asarray(chunk[axis], np.float64) for axis in "xyz"], 1)
    values: dict[str, Array] = {}
    for name in chunk.point_format.dimension_names:
        if name not in SKIPPED:
            column = np.asarray(chunk[name])
            values |= {name: column} if column.ndim == 1 else {f"{name}_{i}": c for i, c in enumerate(column.T)}
    return points, values
