"""Reads scans of KITTI, SemanticKITTI and nuScenes: float32 rows in .bin, and the classes in .label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_integers, checked_path
from spconv_cy.data import PointCloud
from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from spconv_cy.types import Array, PathLike

NAMES = ("intensity", "ring", "time")               # of the columns after x, y, z: KITTI has one of them, nuScenes two


@known_arguments
def read_kitti(path: PathLike, labels: PathLike | None = None, *, columns: int = 4) -> PointCloud:
    """Read a .bin file of float32 rows x, y, z, intensity and, with it, a .label file of SemanticKITTI.

    Args:
        path: the .bin file.
        labels: the .label file, whose numbers are class + 65536 * instance; None: the file of the same name in the
            folder `labels` beside the scan's folder, if there is one, as in sequences/00/velodyne and
            sequences/00/labels.
        columns: numbers in a row, 3 to 6: 4 in KITTI, 5 in nuScenes, whose fifth is the ring.

    Returns:
        PointCloud with intensity and, of a .label file, label and instance.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: a size that is no multiple of a row's, or as many labels as there are not points.

    Source: Geiger et al. 2012, the KITTI Vision Benchmark Suite; Behley et al. 2019, SemanticKITTI.
    """
    path = checked_path("read_kitti", path)
    checked_integers("read_kitti", 3, 6, columns=columns)
    content = Path(path).read_bytes()
    width = 4 * columns
    if len(content) % width:
        raise FileError(expected(path, f"rows of {width} bytes, {columns} float32 numbers", f"{len(content)} bytes",
                                 "the file is cut short, or give columns=5 for one of nuScenes"))
    rows = np.frombuffer(content, "<f4").reshape(-1, columns)
    values: dict[str, Array] = {name: rows[:, 3 + i].copy() for i, name in enumerate(NAMES[:columns - 3])}
    found = _label_file(Path(path)) if labels is None else Path(checked_path("read_kitti: labels", labels))
    if found is not None:
        values |= _read_labels(found, len(rows))
    return PointCloud(rows[:, :3], values)


def _label_file(path: Path) -> Path | None:
    beside = path.parent.parent / "labels" / f"{path.stem}.label"
    return beside if beside.is_file() else None


def _read_labels(path: Path, n: int) -> dict[str, Array]:
    content = path.read_bytes()
    if len(content) != 4 * n:
        raise FileError(expected(f"{path}", f"{4 * n} bytes, a label for each of {n} points", len(content),
                                 "it belongs to another scan, or is cut short"))
    codes = np.frombuffer(content, "<u4")
    return {"label": (codes & 0xFFFF).astype(np.int64), "instance": (codes >> 16).astype(np.int64)}
