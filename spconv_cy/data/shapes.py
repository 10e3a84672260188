"""Shapes as clouds of points, on either lattice: packed once, moved at random, in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, as_list, is_integer, is_one_of, is_real
from spconv_cy.data.batch import Batches
from spconv_cy.data.motion import Motion
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.sites.lattice import as_lattice
from spconv_cy.sites.points import floored
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spconv_cy.sites.lattice import Lattice
    from spconv_cy.types import Array, ArrayLike


@known_arguments
@dataclass(frozen=True, eq=False)
class Shapes:
    """Clouds of points as two arrays; `Shapes.pack` makes and checks them, `shapes[i]` returns the points of one.

    Shape i is points[starts[i]:starts[i + 1]].

    Attributes:
        points: (p, d) float64.
        starts: (n + 1,) int64.
    """

    points: Array
    starts: Array

    @classmethod
    def pack(cls, shapes: Shapes | Sequence[ArrayLike]) -> Shapes:
        """Return Shapes made of a list of (n, d) arrays, such as Mesh.surface and voxel_points return; n may be 0.

        Raises:
            ShapeError: a shape is not an (n, d) array of finite numbers with the same d as the others.

        >>> shapes = Shapes.pack([np.zeros((2, 3)), np.ones((1, 3))])
        >>> len(shapes), shapes[1].tolist()
        (2, [[1.0, 1.0, 1.0]])
        """
        if isinstance(shapes, cls):
            return shapes
        found = as_list("Shapes", without_mask(shapes, "Shapes"), "a list of (n, d) arrays")
        arrays: list[Array] = [as_array(f"Shapes: shape {i}", shape) for i, shape in enumerate(found)]
        d = arrays[0].shape[1] if arrays and arrays[0].ndim == 2 else 3
        for i, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != d or array.dtype.kind not in "iuf":
                raise ShapeError(expected("Shapes", f"shape {i} as numbers (n, {d}), such as from Mesh.surface or "
                                          "voxel_points", f"shape {array.shape} of {array.dtype}"))
            if not np.isfinite(array).all():
                raise ShapeError(expected("Shapes", f"finite numbers in shape {i}", "NaN or infinity"))
        points = np.concatenate([np.zeros((0, d)), *arrays]).astype(np.float64)
        return cls(points, starts_of([len(array) for array in arrays]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> Array:
        if not -len(self) <= i < len(self):
            raise IndexError(expected("Shapes", f"an index of one of {len(self)} shapes", i))
        i %= len(self)
        return self.points[self.starts[i]:self.starts[i + 1]]


@known_arguments
def voxel_points(voxels: ArrayLike, parts: int = 2) -> Array:
    """Return points (n * parts^d, d) that fill voxels (n, d), whole numbers: parts^d evenly spaced points in each.

    Voxel v is the cube from v to v + 1; each point represents the volume 1 / parts^d.

    >>> voxel_points([[3]], 2).tolist()
    [[3.25], [3.75]]
    """
    corners: Array = as_array("voxel_points: voxels", voxels)
    if corners.ndim != 2 or corners.dtype.kind not in "iu" or not is_integer(parts) or not 1 <= parts <= 256:
        raise ShapeError(expected("voxel_points", "voxels (n, d) of whole numbers, and parts to be a whole number "
                                  "from 1 to 256", f"voxels {corners.shape} of {corners.dtype} and parts {parts!r}"))
    d = corners.shape[1]
    inside = (np.indices((parts,) * d).reshape(d, -1).T + 0.5) / parts
    return (corners[:, None] + inside).reshape(-1, d)


@known_arguments
class ShapeBatches(Batches):
    """Batches of clouds of points, centred in a field of either lattice, moved anew each epoch: x is a SparseTensor.

    A site is active if it holds a point. Its one feature is 1, or, with `volume`, the filled fraction of the site.

    Args:
        shapes: Shapes, or a list of (n, d) arrays around the origin; packed and checked once.
        labels: (n,) class numbers, or None.
        size: the field, an int or d ints; on the simplex lattice an int.
        cell: side of a site, in the points' unit.
        lattice: Lattice, or None: the cubic one.
        augment: Motion, or None: shapes are not moved.
        volume: volume that each point represents, in the points' unit to the power of the dimension; None: features are
            1.
        outside: "error": points outside the field are refused; "drop": they are dropped, as in Graham's code.
        batch: shapes in a batch.

    Raises:
        ShapeError, ValueError: an argument of the wrong shape or out of range.
        GridError: in `epoch`, points outside the field; the message names a sufficient cell.

    >>> data = ShapeBatches([[[0.0, 0.0]], [[-1.9, 0.1], [1.9, 0.1]]], [0, 1], 4, cell=1)
    >>> next(data.epoch(0, training=False))[0].sites.tolist()
    [[0, 2, 2], [1, 0, 2], [1, 3, 2]]
    """

    def __init__(self, shapes: Shapes | Sequence[ArrayLike], labels: ArrayLike | None, size: int | Sequence[int], *,
                 cell: float, lattice: Lattice | int | None = None, augment: Motion | None = None,
                 volume: float | None = None, outside: str = "error", batch: int = 100) -> None:
        self.shapes = Shapes.pack(shapes)
        super().__init__(len(self.shapes), labels, batch=batch)
        d = self.shapes.points.shape[1]
        self.lattice = as_lattice(d if lattice is None else lattice)
        if self.lattice.d != d:
            raise ShapeError(expected("ShapeBatches", f"points of {self.lattice.d} coordinates for {self.lattice}",
                                      f"{d}"))
        self.size = self.lattice.per_axis(size, "ShapeBatches: size", 1)
        for name, value in (("cell", cell), ("volume", 1 if volume is None else volume)):
            if not is_real(value) or not 0 < value < np.inf:
                raise ShapeError(expected("ShapeBatches", f"{name} to be a positive number", f"{value!r}"))
        if not is_one_of(outside, ("error", "drop")):
            raise ValueError(expected("ShapeBatches", "outside to be 'error' or 'drop'", f"{outside!r}"))
        if augment is not None and not isinstance(augment, Motion):
            raise TypeError(expected("ShapeBatches", "augment to be a Motion or None", f"{augment!r}"))
        self.cell, self.augment, self.volume, self.outside = float(cell), augment, volume, outside

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], SparseTensor]:
        """Draw the epoch's motions; return a function from item indices (b,) to a SparseTensor."""
        d, middle, moves = self.lattice.d, self.lattice.middle(self.size), None
        if self.augment is not None:
            moves = self.augment.draw(self.n, d, seed, epoch, training=training)
        whole = self.cell**d * np.linalg.det(self.lattice.basis)         # the volume of a site

        def make(items: Array) -> SparseTensor:
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

    def _outside(self, places: Array, held: Array) -> GridError:
        farthest = np.linalg.norm(places, axis=1).max()
        return GridError(expected(
            "ShapeBatches", f"points inside the field {self.size}", f"{int((~held).sum())} of {len(held)} outside",
            f"use a cell above {farthest / self.lattice.inradius(self.size):.4g} (it is {self.cell:.4g}), or "
            "outside='drop'"))
