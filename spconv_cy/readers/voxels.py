"""Reads labelled voxel shapes from an .npz: lists of voxels (adrenal3d.npz), or the cubes that MedMNIST publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_integers, checked_path
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.arrays import arrays_of, checked_ends, checked_names, checked_numbers

if TYPE_CHECKING:
    from spconv_cy.types import Array, PathLike

PARTS = ("train", "test", "val")                                         # folds 0, 1, 2
MOST_LABEL = 10_000                                 # bounds the list of classes; more shapes than that may have more
LISTS = ("voxel", "shape_end", "label", "fold", "grid", "classes")
CUBES = tuple(f"{part}_{what}" for part in PARTS for what in ("images", "labels"))


@known_arguments
@dataclass(frozen=True, eq=False)
class VoxelShapes:
    """Shapes of voxels with labels.

    Attributes:
        voxels: list of (n, 3) int64, the occupied voxels of each shape.
        labels: (s,) int64.
        folds: (s,) int64, 0 training, 1 test, 2 validation.
        classes: their names.
        size: voxels along each axis.
    """

    voxels: list[Array]
    labels: Array
    folds: Array
    classes: tuple[str | int, ...]
    size: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.voxels)

    def part(self, fold: int) -> tuple[list[Array], Array]:
        """Return (voxels, labels) of one fold."""
        checked_integers("VoxelShapes.part", 0, fold=fold)
        at = np.flatnonzero(self.folds == fold)
        return [self.voxels[i] for i in at], self.labels[at]


@known_arguments
def read_voxels(path: PathLike) -> VoxelShapes:
    """Read lists of voxels, or cubes of numbers in which those above 0 are occupied.

    Lists are the arrays voxel (v, 3), shape_end (cumulative), label, fold, grid (3,) and classes. Cubes are the arrays
    train_images (n, h, w, d), train_labels (n,) or (n, 1), and the same for val and test, as MedMNIST publishes them.
    The classes of cubes are 0 to the largest label, which must be less than 10,000 or than the number of shapes.
    Arrays of other names are not read.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not match the others. Pickles are never run.
    """
    checked_path("read_voxels", path)
    arrays = arrays_of(path, (), (*LISTS, *CUBES))
    names = CUBES if not set(LISTS) & set(arrays) and set(CUBES) & set(arrays) else LISTS
    missing = [name for name in names if name not in arrays]
    if missing:
        raise FileError(expected(f"{path}", f"arrays {', '.join(LISTS)}, or {', '.join(CUBES)}",
                                 f"no {', '.join(missing)}"))
    if len(names) < len(arrays):
        raise FileError(expected(f"{path}", "lists of voxels or cubes", "both", "keep the arrays of one"))
    return _of_cubes(path, arrays) if names == CUBES else _of_lists(path, arrays)


def _of_lists(path: PathLike, arrays: dict[str, Array]) -> VoxelShapes:
    voxels, classes = arrays["voxel"], checked_names(path, "classes", arrays["classes"])
    if voxels.ndim != 2 or voxels.shape[1] != 3 or voxels.dtype.kind not in "iu":
        raise FileError(expected(f"{path}", "voxel of shape (v, 3), whole numbers",
                                 f"shape {voxels.shape} of {voxels.dtype}"))
    size = checked_numbers(path, "grid", arrays["grid"], (3,), 1, 2**31 - 1)
    bad = np.flatnonzero(((voxels < 0) | (voxels >= size)).any(1))
    if len(bad):
        raise FileError(expected(f"{path}", f"voxels inside the grid {size.tolist()}",
                                 f"{voxels[bad[0]].tolist()} at index {bad[0]}"))
    starts = checked_ends(path, "shape_end", arrays["shape_end"], len(voxels), least=0)
    n = len(starts) - 1
    labels = checked_numbers(path, "label", arrays["label"], (n,), 0, len(classes) - 1)
    folds = checked_numbers(path, "fold", arrays["fold"], (n,), 0, 2)
    return VoxelShapes(np.split(voxels.astype(np.int64), starts[1:-1]) if n else [], labels, folds, classes,
                       tuple(size.tolist()))


def _of_cubes(path: PathLike, arrays: dict[str, Array]) -> VoxelShapes:
    voxels: list[Array] = []
    numbers: list[Array] = []
    folds: list[Array] = []
    most = max(MOST_LABEL, sum(arrays[f"{part}_labels"].size for part in PARTS))
    for fold, part in enumerate(PARTS):
        cubes, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        _check_cubes(path, part, cubes, labels, arrays["train_images"].shape[1:])
        n = len(cubes)
        shape, *places = (cubes > 0).nonzero()
        voxels += np.split(np.stack(places, 1), np.searchsorted(shape, np.arange(1, n))) if n else []
        numbers.append(checked_numbers(path, f"{part}_labels", labels.reshape(-1), (n,), 0, most - 1))
        folds.append(np.full(n, fold))
    found = np.concatenate(numbers)
    return VoxelShapes(voxels, found, np.concatenate(folds), tuple(range(int(found.max(initial=-1)) + 1)),
                       arrays["train_images"].shape[1:])


def _check_cubes(path: PathLike, part: str, cubes: Array, labels: Array, size: tuple[int, ...]) -> None:
    if cubes.ndim != 4 or 0 in cubes.shape[1:] or cubes.dtype.kind not in "iufb" or cubes.shape[1:] != size:
        raise FileError(expected(f"{path}", f"{part}_images of shape (n, h, w, d), numbers, with the same h, w and d "
                                 "from 1 up in all parts", f"shape {cubes.shape} of {cubes.dtype}"))
    if cubes.dtype.kind == "f" and np.isnan(cubes).any():
        raise FileError(expected(f"{path}", f"numbers in {part}_images", "nan", "write 0 instead"))
    if labels.shape not in ((len(cubes),), (len(cubes), 1)):
        raise FileError(expected(f"{path}", f"{part}_labels of shape ({len(cubes)},) or ({len(cubes)}, 1), for "
                                 f"{part}_images {cubes.shape}", labels.shape))
