"""Reads and writes point clouds; the ending of the file's name selects the format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path, kind_of
from spconv_cy.data import PointCloud
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.columns import read_columns, write_columns
from spconv_cy.readers.kitti import read_kitti
from spconv_cy.readers.las import read_las
from spconv_cy.readers.pcd import read_pcd
from spconv_cy.readers.ply import read_ply_points, write_ply_points
from spconv_cy.readers.point_arrays import read_npy, read_npz

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spconv_cy.types import PathLike

TABLES = (".csv", ".tsv", ".txt", ".xyz", ".asc", ".pts")
READERS: dict[str, Callable[[PathLike], PointCloud]] = {
    ".ply": read_ply_points, ".pcd": read_pcd, ".bin": read_kitti, ".las": read_las, ".laz": read_las, ".npz": read_npz,
    ".npy": read_npy}


@known_arguments
def read_points(path: PathLike, axes: Sequence[str] | None = None) -> PointCloud:
    """Read a PointCloud from .ply, .pcd, .bin (KITTI), .las, .laz, .npz, .npy, or a table of text such as .csv or .xyz.

    Args:
        path: the file. An .npz has `points`, `xyz` or `coord` (n, d), and other arrays (n,) are values; an .npy is
            (n, d), its columns after the third are c3, c4 and so on.
        axes: names of the columns with the coordinates in a table of text, a list or one text with commas;
            None: x, y, z or, without z, x, y.

    Returns:
        PointCloud; names and types of the values are those of the file.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: another ending; or the file is damaged, cut short or of another format. The message names the place.
        ImportError: .las and .laz need laspy: pip install "spconv_cy[las]".
    """
    path = checked_path("read_points", path)
    ending = Path(path).suffix.lower()
    if ending in TABLES:
        return read_columns(path, axes)
    if ending not in READERS:
        raise FileError(expected(path, f"a name that ends in {', '.join((*READERS, *TABLES))}", f"{ending!r}",
                                 "read other formats into arrays by a package of theirs, and give these to "
                                 "sp.data.PointCloud(points, values)"))
    return READERS[ending](path)


@known_arguments
def write_points(path: PathLike, cloud: PointCloud) -> None:
    """Write a PointCloud as binary .ply or as .csv; reading the file returns the same numbers.

    Raises:
        FileError: another ending; in a .ply, values that are not numbers of up to 32 bits or float64.
    """
    if not isinstance(cloud, PointCloud):
        raise TypeError(expected("write_points", "a PointCloud", kind_of(cloud)))
    path = checked_path("write_points", path)
    ending = Path(path).suffix.lower()
    if ending == ".ply":
        write_ply_points(path, cloud)
    elif ending == ".csv":
        write_columns(path, cloud)
    else:
        raise FileError(expected(path, "a name that ends in .ply or .csv", f"{ending!r}"))

