"""Shapes as clouds of points, on either lattice: packed once, moved at random, and handed out in batches."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.checks import as_array, as_list, is_one_of, is_real
from spconv_cy.data.batch import Batches
from spconv_cy.data.motion import Motion
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites.lattice import as_lattice, is_whole
from spconv_cy.sites.points import floored
from spconv_cy.tensor import SparseTensor


@dataclass(frozen=True, eq=False)
class Shapes:
    """Clouds of points as two arrays; `Shapes.pack` makes and checks them, `shapes[i]` gives the points of one.

    Shape i is points[starts[i]:starts[i + 1]]; points are (p, d) float64, starts (n + 1,) int64.
    """

    points: np.ndarray
    starts: np.ndarray

    @classmethod
    def pack(cls, shapes):
        """Pack a list of (n, d) arrays of numbers, such as Mesh.surface and voxel_points give them; n may be 0.

        Raises:
            ShapeError: a shape that is no (n, d) array of numbers of the same d as the others, or is not finite.

        >>> shapes = Shapes.pack([np.zeros((2, 3)), np.ones((1, 3))])
        >>> len(shapes), shapes[1].tolist()
        (2, [[1.0, 1.0, 1.0]])
        """
        if isinstance(shapes, cls):
            return shapes
        shapes = as_list("Shapes", without_mask(shapes, "Shapes"), "a list of (n, d) arrays")
        arrays = [as_array(f"Shapes: shape {i}", shape) for i, shape in enumerate(shapes)]
        d = arrays[0].shape[1] if arrays and arrays[0].ndim == 2 else 3
        for i, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != d or array.dtype.kind not in "iuf":
                raise ShapeError(f"Shapes: shape {i} is {array.shape} of {array.dtype}; numbers (n, {d}) fit, as "
                                 "Mesh.surface and voxel_points give them")
            if not np.isfinite(array).all():
                raise ShapeError(f"Shapes: shape {i} holds NaN or infinity; finite numbers fit")
        points = np.concatenate([np.zeros((0, d)), *arrays]).astype(np.float64)
        return cls(points, starts_of([len(array) for array in arrays]))

    def __len__(self):
        return len(self.starts) - 1

    def __getitem__(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"shape {i} came; there are {len(self)}")
        i %= len(self)
        return self.points[self.starts[i]:self.starts[i + 1]]


def voxel_points(voxels, parts=2):
    """Return points (n * parts^d, d) that fill voxels (n, d), whole numbers: parts^d in each, evenly.

    Voxel v is the cube from v to v + 1; each point stands for the volume 1 / parts^d.

    >>> voxel_points([[3]], 2).tolist()
    [[3.25], [3.75]]
    """
    voxels = as_array("voxel_points: voxels", voxels)
    if voxels.ndim != 2 or voxels.dtype.kind not in "iu" or not is_whole(parts) or not 1 <= parts <= 256:
        raise ShapeError(f"voxel_points: voxels {voxels.shape} of {voxels.dtype} and parts {parts!r} came; whole "
                         "numbers (n, d) and a whole number from 1 up fit")
    d = voxels.shape[1]
    inside = (np.indices((parts,) * d).reshape(d, -1).T + 0.5) / parts
    return (voxels[:, None] + inside).reshape(-1, d)


class ShapeBatches(Batches):
    """Clouds of points around the middle of a field of either lattice, moved anew each epoch. x is a SparseTensor.

    A site is active where it holds a point. Its one feature is 1; or, with `volume`, the share of it that is filled.

    Args:
        shapes: Shapes, or a list of (n, d) arrays around the origin; packed and checked once, here.
        labels: (n,) class numbers, or None.
        size: an int or d ints, the field; on the simplex lattice an int.
        cell: side of a site, in the points' unit.
        lattice: Lattice, or None: the cubic one.
        augment: Motion, or None: shapes stay as they are.
        volume: of space that each point stands for, in the points' unit; None: features are 1.
        outside: "error": a point outside the field is refused; "drop": it is left out, as Graham's code does.
        batch: shapes in a batch.

    Raises:
        ShapeError, ValueError: arguments that do not fit.
        GridError: in `epoch`, points outside the field; says which cell would hold them.

    >>> data = ShapeBatches([[[0.0, 0.0]], [[-1.9, 0.1], [1.9, 0.1]]], [0, 1], 4, cell=1)
    >>> next(data.epoch(0, training=False))[0].sites.tolist()
    [[0, 2, 2], [1, 0, 2], [1, 3, 2]]
    """

    def __init__(self, shapes, labels, size, *, cell, lattice=None, augment=None, volume=None, outside="error",
                 batch=100):
        self.shapes = Shapes.pack(shapes)
        super().__init__(len(self.shapes), labels, batch=batch)
        d = self.shapes.points.shape[1]
        self.lattice = as_lattice(d if lattice is None else lattice)
        if self.lattice.d != d:
            raise ShapeError(f"ShapeBatches: points of {d} coordinates came for {self.lattice}; {self.lattice.d} fit")
        self.size = self.lattice.per_axis(size, "ShapeBatches: size", 1)
        for name, value in (("cell", cell), ("volume", 1 if volume is None else volume)):
            if not is_real(value) or not 0 < value < np.inf:
                raise ShapeError(f"ShapeBatches: {name} {value!r} came; a positive number fits")
        if not is_one_of(outside, ("error", "drop")):
            raise ValueError(f"ShapeBatches: outside {outside!r} came; 'error' or 'drop' fits")
        if augment is not None and not isinstance(augment, Motion):
            raise TypeError(f"ShapeBatches: augment {augment!r} came; a Motion, or None, fits")
        self.cell, self.augment, self.volume, self.outside = float(cell), augment, volume, outside

    def prepare(self, epoch, seed, training):
        """Draw the epoch's motions; return the function of item numbers (b,) that gives a SparseTensor."""
        d, middle, moves = self.lattice.d, self.lattice.middle(self.size), None
        if self.augment is not None:
            moves = self.augment.draw(self.n, d, seed, epoch, training=training)
        whole = self.cell**d * np.linalg.det(self.lattice.basis)         # volume of a site

        def make(items):
            starts, ends = self.shapes.starts[:-1][items], self.shapes.starts[1:][items]
            sample, places = np.repeat(np.arange(len(items)), ends - starts), self.shapes.points[ranges(starts, ends)]
            shares = np.full(len(items), 1.0 if self.volume is None else self.volume / whole)
            if moves is not None:
                matrices, shifts = (part[items] for part in moves)
                places = np.einsum("pi,pij->pj", places, matrices[sample]) + shifts[sample]
                if self.volume is not None:
                    shares *= np.abs(np.linalg.det(matrices))
            sites = floored(np.column_stack([sample, places / self.cell + middle]), 1.0, self.lattice)
            held = self.lattice.inside(sites[:, 1:], self.size)
            if not held.all():
                if self.outside == "error":
                    raise self._outside(places, held)
                sites, sample = sites[held], sample[held]
            return SparseTensor.from_sites(sites, shares[sample, None].astype(np.float32), self.size, len(items),
                                           reduce="max" if self.volume is None else "sum", lattice=self.lattice)

        return make

    def _outside(self, places, held):
        farthest = np.linalg.norm(places, axis=1).max()
        return GridError(f"ShapeBatches: {int((~held).sum())} of {len(held)} points lie outside the field {self.size}; "
                         f"a cell above {farthest / self.lattice.inradius(self.size):.4g} holds all (it was "
                         f"{self.cell:.4g}), or outside='drop' leaves them out")
