"""Voxels as detectors have them: at most k points of a cloud in each, in the order of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, checked_flags, checked_integers
from spconv_cy.errors import ShapeError, expected
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from spconv_cy.types import Array, ArrayLike

MOST_FIELD = 2**31 - 1


@known_arguments
@dataclass(frozen=True, eq=False, repr=False)
class Voxels:
    """Voxels of a cloud, in the order in which their first points come.

    Attributes:
        points: (v, k, c) float32, the points of each voxel, then zeros.
        counts: (v,) int32, the number of points of each voxel, 1 to k.
        sites: (v, 1+d) int32, batch index first.
        rows: (n,) int32, the voxel of each point of the cloud, -1 for a point outside the range or beyond the largest
            number of voxels. A point that is one too many in its voxel has its row, too.
        size: d ints, the number of voxels along each axis.
        samples: number of samples.
    """

    points: Array
    counts: Array
    sites: Array
    rows: Array
    size: tuple[int, ...]
    samples: int

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        v, k, c = self.points.shape
        return f"Voxels({v} voxels of up to {k} points, {c} channels, size {self.size}, {self.samples} samples)"

    def mean(self) -> Array:
        """Return the mean (v, c) float32 of the points of each voxel, as MeanVFE of OpenPCDet does."""
        sums = self.points.sum(1, dtype=np.float64)
        return (sums / np.maximum(self.counts, 1)[:, None]).astype(np.float32)

    def tensor(self, features: ArrayLike | None = None, ground: str | None = None) -> SparseTensor:
        """Return a SparseTensor of the voxels; its `point_rows` are the rows of the voxels in their order.

        Args:
            features: (v, c), one row for each voxel, an array or a Tensor; None: the mean of its points.
            ground: as for SparseTensor.from_sites.

        Raises:
            ShapeError: features of another shape.
        """
        return SparseTensor.from_sites(self.sites, self.mean() if features is None else features, self.size,
                                       self.samples, ground=ground)


@known_arguments
def voxelize(points: ArrayLike, cell: ArrayLike, low: ArrayLike, high: ArrayLike, most_points: int, *,
             most_voxels: int | None = None, batch: ArrayLike = 0, samples: int | None = None,
             reverse: bool = False) -> Voxels:
    """Return the voxels of a cloud, each with its first `most_points` points, in the order of the points.

    Points outside the range and voxels beyond the first `most_voxels` of a sample are left out. The result depends on
    the order of the points alone, not on the number of threads. To average all points of each voxel without these
    limits ("dynamic" voxels), call `SparseTensor.from_points(..., origin=low, size=size, outside="drop")`.

    Args:
        points: (n, c) numbers, their first d columns the coordinates, d = len(low).
        cell: side of a voxel, in the points' unit; a number or d numbers.
        low, high: d numbers each, the range: low <= coordinate < high; rounded to whole voxels as in spconv.
        most_points: in a voxel, 1 or more.
        most_voxels: of each sample; None: no limit.
        batch: the batch index of all points, or (n,) of them.
        samples: number of samples; by default the largest batch index plus 1.
        reverse: True: the axes of `sites` and `size` are in reverse order, z, y, x, as spconv's voxel generators return
            them and the networks of OpenPCDet and mmdetection3d take them.

    Raises:
        ShapeError: points of a wrong shape or not finite; a cell, range or limits that do not fit.
        GridError: batch indices out of range.

    Source: VoxelGenerator of Yan et al. 2018 (SECOND), and PointToVoxel of spconv 2.

    >>> cloud = [[0.5, 0.5, 7.0], [9.0, 0.1, 8.0], [0.6, 0.4, 9.0], [0.7, 0.3, 5.0]]
    >>> voxels = voxelize(cloud, 1, (0, 0), (4, 4), 2)
    >>> voxels.sites.tolist(), voxels.counts.tolist(), voxels.points[0].tolist()
    ([[0, 0, 0]], [2], [[0.5, 0.5, 7.0], [0.6000000238418579, 0.4000000059604645, 9.0]])
    >>> voxels.rows.tolist()
    [0, -1, 0, 0]
    """
    given, lowest, size = _checked(points, cell, low, high)
    checked_flags("voxelize", reverse=reverse)
    checked_integers("voxelize", 1, most_points=most_points)
    if most_voxels is not None:
        checked_integers("voxelize", 1, most_voxels=most_voxels)
    d = len(size)
    x = SparseTensor.from_points(given[:, :d], np.zeros((len(given), 1)), cell=cell, size=size, samples=samples,
                                 batch=batch, origin=lowest, outside="drop", ground=None)
    rows = np.asarray(x.point_rows)
    inside = np.flatnonzero(rows >= 0)
    first = np.full(x.grid.n, len(given))
    np.minimum.at(first, rows[inside], inside)                           # the first point of each site
    order = np.argsort(first)
    chosen = order if most_voxels is None else order[_ranks(x.sites[order, 0]) < most_voxels]
    number = np.full(x.grid.n + 1, -1, np.int32)                         # the last one is for points outside
    number[chosen] = np.arange(len(chosen))
    rows = number[rows]
    there = np.flatnonzero(rows >= 0)
    rank = _ranks(rows[there])
    kept = rank < most_points
    voxels = np.zeros((len(chosen), int(most_points), given.shape[1]), np.float32)
    voxels[rows[there[kept]], rank[kept]] = given[there[kept]]
    counts = np.minimum(np.bincount(rows[there], minlength=len(chosen)), most_points).astype(np.int32)
    sites = x.sites[chosen]
    if reverse:
        sites, size = np.ascontiguousarray(sites[:, [0, *range(d, 0, -1)]]), size[::-1]
    return Voxels(voxels, counts, sites, rows, size, x.grid.samples)


def _ranks(groups: Array) -> Array:
    """Return how many equal entries come before each entry."""
    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    begins = np.flatnonzero(np.append(True, sorted_groups[1:] != sorted_groups[:-1])[:len(groups)])
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(begins, np.diff(np.append(begins, len(groups))))
    return ranks


def _checked(points: ArrayLike, cell: ArrayLike, low: ArrayLike, high: ArrayLike
             ) -> tuple[Array, Array, tuple[int, ...]]:
    """Return points (n, c) float64, the lower end (d,) of the range and the number of voxels along each axis."""
    who = "voxelize"
    given: Array = as_array(f"{who}: points", points)
    ends = [as_array(f"{who}: {name}", end) for name, end in (("low", low), ("high", high))]
    sides: Array = as_array(f"{who}: cell", cell)
    if any(end.ndim != 1 or end.dtype.kind not in "fiu" or not np.isfinite(end).all() for end in ends) or (
            len(ends[0]) != len(ends[1]) or not 1 <= len(ends[0]) <= 8 or not (ends[1] > ends[0]).all()):
        raise ShapeError(expected(who, "low and high to be d finite numbers each, low < high", f"{low!r:.60} and "
                                  f"{high!r:.60}"))
    d = len(ends[0])
    if given.ndim != 2 or given.shape[1] < d or given.dtype.kind not in "fiu":
        raise ShapeError(expected(who, f"points (n, {d} or more) of finite numbers",
                                  f"shape {given.shape} of {given.dtype}"))
    wrong = np.flatnonzero(~np.isfinite(given).all(1))
    if len(wrong):
        raise ShapeError(expected(who, "finite points", f"{len(wrong)} of {len(given)} points that are NaN or "
                                  f"infinite, the first in row {wrong[0]}", "remove them"))
    if sides.dtype.kind not in "fiu" or sides.shape not in ((), (d,)) or not (
            np.isfinite(sides).all() and (sides > 0).all()):
        raise ShapeError(expected(who, f"cell to be a positive number, or {d}, one for each axis", f"{cell!r:.60}"))
    size = np.round((ends[1].astype(np.float64) - ends[0]) / sides)
    if (size < 1).any() or (size > MOST_FIELD).any():
        raise ShapeError(expected(who, f"a range of 1 to {MOST_FIELD} cells along each axis", size.tolist()))
    return given.astype(np.float64), ends[0].astype(np.float64), tuple(int(n) for n in size)
