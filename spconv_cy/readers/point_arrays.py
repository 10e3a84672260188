"""Reads point clouds from .npz and .npy files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from spconv_cy.data import PointCloud
from spconv_cy.errors import FileError, ShapeError, expected
from spconv_cy.readers.arrays import arrays_of

if TYPE_CHECKING:
    from spconv_cy.types import Array, PathLike

POINTS = ("points", "xyz", "coord", "coords")
MOST_NAMES = 1000


def read_npz(path: PathLike) -> PointCloud:
    """Read the points (n, d) of an .npz file and as values its other arrays (n,) and the columns of those (n, c).

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged or has no points. Pickles are never run.
    """
    names = _names(path)
    name = next((name for name in POINTS if name in names), None)
    if name is None:
        raise FileError(expected(f"{path}", f"an array named {', '.join(POINTS[:-1])} or {POINTS[-1]}",
                                 ", ".join(names)[:80] or "no arrays"))
    points = arrays_of(path, (name,), ())[name]
    values: dict[str, Array] = {}
    for other in names:
        if other != name:
            values |= _values(other, arrays_of(path, (other,), ())[other], len(points) if points.ndim else 0)
    return _cloud(path, points, values)


def read_npy(path: PathLike) -> PointCloud:
    """Read points from the columns of an .npy file (n, d); those after the third are the values c3, c4 and so on.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged or of another shape. Pickles are never run.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:                        # for the checks of `arrays_of`
        archive.writestr("points.npy", Path(path).read_bytes())
    array = arrays_of(path, ("points",), (), packed)["points"]
    if array.ndim != 2:
        raise FileError(expected(f"{path}", "an array (n, d) of numbers", f"shape {array.shape} of {array.dtype}"))
    return _cloud(path, array[:, :3], {f"c{i}": column for i, column in enumerate(array.T[3:], 3)})


def _cloud(path: PathLike, points: Array, values: dict[str, Array]) -> PointCloud:
    try:
        return PointCloud(points, values)
    except ShapeError as error:
        raise FileError(f"{path}: {error}") from error


def _names(path: PathLike) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise FileError(expected(f"{path}", "a complete .npz file", f"one that cannot be read ({error!r})",
                                 "it is damaged, cut short or of another format: fetch it again")) from error
    if len(names) > MOST_NAMES:
        raise FileError(expected(f"{path}", f"at most {MOST_NAMES} arrays", len(names)))
    return list(dict.fromkeys(names))


def _values(name: str, array: Array, n: int) -> dict[str, Array]:
    """Return the columns of an array that has a row for each point; other arrays are skipped."""
    if array.shape == (n,):
        return {name: array}
    if array.ndim == 2 and len(array) == n and array.shape[1] < MOST_NAMES:
        return {f"{name}_{i}": column for i, column in enumerate(array.T)} if array.shape[1] > 1 else {
            name: array[:, 0]}
    return {}
