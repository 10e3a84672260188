"""Reads labelled voxel shapes from an .npz: lists of voxels (adrenal3d.npz), or the cubes that MedMNIST publishes."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.checks import checked_integers
from spconv_cy.errors import FileError
from spconv_cy.readers.arrays import arrays_of, checked_ends, checked_names, checked_numbers

PARTS = ("train", "test", "val")                                         # folds 0, 1, 2
MOST_LABEL = 10_000                                                      # or the number of shapes: classes in a list


@dataclass(frozen=True, eq=False)
class VoxelShapes:
    """Shapes of voxels with labels.

    Attributes: voxels: list of (n, 3) int64, the occupied voxels of each shape; labels: (s,) int64; folds: (s,) int64,
    0 to train on, 1 to test on, 2 to choose settings on; classes: their names; size: voxels along each axis.
    """

    voxels: list
    labels: np.ndarray
    folds: np.ndarray
    classes: tuple
    size: tuple

    def __len__(self):
        return len(self.voxels)

    def part(self, fold):
        """Return (voxels, labels) of one fold."""
        checked_integers("VoxelShapes.part", 0, fold=fold)
        at = np.flatnonzero(self.folds == fold)
        return [self.voxels[i] for i in at], self.labels[at]


def read_voxels(path):
    """Read voxel (v, 3), shape_end (cumulative), label, fold, grid (3,), classes; or train_images (n, h, w, d),
    train_labels (n,) or (n, 1) and the like for val and test, as MedMNIST has them, where what is above 0 is occupied.

    Of cubes the classes are 0 to the largest label, which must be less than 10,000 or the number of shapes. Arrays of
    other names are not looked at.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, damaged or does not fit the others. No pickle in it is run.
    """
    own = ("voxel", "shape_end", "label", "fold", "grid", "classes")
    theirs = tuple(f"{part}_{what}" for part in PARTS for what in ("images", "labels"))
    arrays = arrays_of(path, (), (*own, *theirs))
    one = theirs if not set(own) & set(arrays) and set(theirs) & set(arrays) else own
    missing = [name for name in one if name not in arrays]
    if missing:
        raise FileError(f"{path}: no {', '.join(missing)} in it; {', '.join(own)} fit, or {', '.join(theirs)}")
    if len(one) < len(arrays):
        raise FileError(f"{path}: expected lists of voxels or cubes, got both; keep the arrays of one")
    if one == theirs:
        return _of_cubes(path, arrays)
    voxels, classes = arrays["voxel"], checked_names(path, "classes", arrays["classes"])
    if voxels.ndim != 2 or voxels.shape[1] != 3 or voxels.dtype.kind not in "iu":
        raise FileError(f"{path}: voxel {voxels.shape} {voxels.dtype} came; (v, 3) whole numbers fit")
    size = checked_numbers(path, "grid", arrays["grid"], (3,), 1, 2**31 - 1)
    bad = np.flatnonzero(((voxels < 0) | (voxels >= size)).any(1))
    if len(bad):
        raise FileError(f"{path}: voxel {bad[0]} is {voxels[bad[0]].tolist()}; it fits inside {size.tolist()}")
    starts = checked_ends(path, "shape_end", arrays["shape_end"], len(voxels), least=0)
    n = len(starts) - 1
    labels = checked_numbers(path, "label", arrays["label"], (n,), 0, len(classes) - 1)
    folds = checked_numbers(path, "fold", arrays["fold"], (n,), 0, 2)
    return VoxelShapes(np.split(voxels.astype(np.int64), starts[1:-1]) if n else [], labels, folds, classes,
                       tuple(size.tolist()))


def _of_cubes(path, arrays):
    voxels, labels, folds = [], [], []
    most = max(MOST_LABEL, sum(arrays[f"{part}_labels"].size for part in PARTS))
    for fold, part in enumerate(PARTS):
        cubes, numbers = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if cubes.ndim != 4 or 0 in cubes.shape[1:] or cubes.dtype.kind not in "iufb" \
                or cubes.shape[1:] != arrays["train_images"].shape[1:]:
            raise FileError(f"{path}: {part}_images {cubes.shape} {cubes.dtype} came; numbers (n, h, w, d) fit, with "
                            "the same h, w and d from 1 up in all parts")
        if cubes.dtype.kind == "f" and np.isnan(cubes).any():
            raise FileError(f"{path}: expected numbers in {part}_images, got nan; leave it out or write 0")
        if numbers.shape not in ((len(cubes),), (len(cubes), 1)):
            raise FileError(f"{path}: {part}_labels {numbers.shape} came for {part}_images {cubes.shape}; "
                            f"({len(cubes)},) or ({len(cubes)}, 1) fits, one label a shape")
        shape, *places = (cubes > 0).nonzero()
        voxels += np.split(np.stack(places, 1), np.searchsorted(shape, np.arange(1, len(cubes)))) if len(cubes) else []
        labels.append(checked_numbers(path, f"{part}_labels", numbers.reshape(-1), (len(cubes),), 0, most - 1))
        folds.append(np.full(len(cubes), fold))
    labels = np.concatenate(labels)
    return VoxelShapes(voxels, labels, np.concatenate(folds), tuple(range(int(labels.max(initial=-1)) + 1)),
                       arrays["train_images"].shape[1:])
