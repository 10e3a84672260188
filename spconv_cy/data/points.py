"""Clouds of real points with a class for each: moved, cut into tiles and converted to sites, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.numbers import cast
from spconv_cy.checks import as_array, checked_integers, checked_numbers, is_integer, is_real
from spconv_cy.data.augment import stream
from spconv_cy.data.batch import Batches
from spconv_cy.data.packed import starts_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spconv_cy.types import Array, ArrayLike, Choose

MOST_AXES = 8


@known_arguments
@dataclass(frozen=True)
class PointAffine:
    """Random motions of a cloud: turn it in the plane of its first two axes, mirror, stretch and shift it, move points.

    The axes after the second (the vertical one of a landscape) are neither turned nor mirrored. Every draw depends only
    on (seed, epoch, item).

    Args:
        turn: >= 0; the angle is uniform on ±turn radians.
        flip: 0 to 1, the probability of mirroring the second axis.
        stretch: 0 <= stretch < 1; each axis is scaled by its own factor, uniform on 1 ± stretch.
        shift: >= 0, in the points' unit; the shift along each axis is uniform on ±shift.
        jitter: >= 0, in the points' unit; the standard deviation of the normal move of each single point.
    """

    turn: float = np.pi
    flip: float = 0.5
    stretch: float = 0.1
    shift: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        checked_numbers("PointAffine", 0, turn=self.turn, shift=self.shift, jitter=self.jitter)
        checked_numbers("PointAffine", 0, 1, stretch=self.stretch)
        if not is_real(self.flip) or not 0 <= self.flip <= 1:
            raise ValueError(expected("PointAffine", "flip to be a number from 0 to 1", f"{self.flip!r}"))

    def draw(self, n: int, d: int, seed: int, epoch: int) -> tuple[Array, Array]:
        """Return matrices (n, d, d) and shifts (n, d) for the clouds 0 to n - 1 of one epoch: p becomes p @ A + t.

        >>> matrices, shifts = PointAffine(stretch=0).draw(5, 3, seed=0, epoch=1)
        >>> bool(np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3)))
        True
        """
        checked_integers("PointAffine.draw", 0, n=n)
        checked_integers("PointAffine.draw", 1, MOST_AXES, d=d)
        uniform = stream(seed, epoch, "affine").uniform(-1, 1, (n, 2 + 2 * d))
        angle, mirror = self.turn * uniform[:, 0], np.where((uniform[:, 1] + 1) / 2 < self.flip, -1, 1)
        matrices = np.tile(np.eye(d), (n, 1, 1))
        if d > 1:
            matrices[:, 0, 0], matrices[:, 0, 1] = np.cos(angle), np.sin(angle)
            matrices[:, 1, 0], matrices[:, 1, 1] = -mirror * np.sin(angle), mirror * np.cos(angle)
        return (1 + self.stretch * uniform[:, 2:2 + d])[:, :, None] * matrices, self.shift * uniform[:, 2 + d:]

    def draw_points(self, n: int, d: int, seed: int, epoch: int) -> Array | None:
        """Return the moves (n, d) of the single points, or None if jitter is 0."""
        checked_integers("PointAffine.draw_points", 0, n=n, d=d)
        if not self.jitter:
            return None
        moves: Array = self.jitter * stream(seed, epoch, "jitter").standard_normal((n, d))
        return moves


@known_arguments
class PointBatches(Batches):
    """Batches of clouds of labelled points, for networks that label points: x is a SparseTensor with ground None.

    In training, each epoch moves every cloud anew (about its centre). If `tile` is given, it also cuts every cloud into
    squares of that side in the plane of its first two axes, at a random offset; each tile is a sample, and every point
    is in one. In testing, a cloud is one sample, with its points in the given order. Labels and `x.point_rows` have one
    entry for each point; the last layer of a network is `ToPoints`. `len(...)` is the number of points.

    Args:
        points: (n, d) real numbers, or a list of such clouds.
        features: (n, c), or a list; None: one channel of ones.
        labels: (n,) class numbers, or a list, or None.
        cell: side of a site, in the points' unit; a number or d numbers. The features of points in one site are
            averaged.
        tile: side of a tile, in the points' unit; None: a sample is a whole cloud.
        batch: samples in a batch.
        augment: PointAffine for training; None: clouds are not moved.
        views: the same for the passes of a test, `evaluate(net, data, repeats=12)`: the first pass does not move the
            clouds, each later pass moves them anew.

    Raises:
        ShapeError: clouds, features or labels of a wrong shape or dtype, or not of the same lengths.

    >>> clouds = PointBatches([[2.5, 0.0], [0.1, 0.0], [2.6, 0.0]], None, [7, 8, 9], 1.0)
    >>> x, labels = next(clouds.epoch(0, training=False))
    >>> x.sites.tolist(), x.point_rows.tolist(), labels.tolist()
    ([[0, 0, 0], [0, 2, 0]], [1, 0, 1], [7, 8, 9])
    """

    def __init__(self, points: ArrayLike | Sequence[ArrayLike], features: ArrayLike | Sequence[ArrayLike] | None,
                 labels: ArrayLike | Sequence[ArrayLike] | None, cell: float | Sequence[float], *,
                 tile: float | None = None, batch: int = 8, augment: PointAffine | None = None,
                 views: PointAffine | None = None) -> None:
        clouds: list[Array] = [as_array("PointBatches: points", cloud) for cloud in _listed(points, 2)]
        d = clouds[0].shape[1] if clouds and clouds[0].ndim == 2 else 3
        for i, cloud in enumerate(clouds):
            if cloud.ndim != 2 or cloud.shape[1] != d or d < 1 + (tile is not None) or cloud.dtype.kind not in "fiu":
                raise ShapeError(expected("PointBatches", f"cloud {i} as finite numbers (n, d), with the same d for all"
                                          + ("" if tile is None else ", 2 or more for tiles"),
                                          f"shape {cloud.shape} of {cloud.dtype}"))
            if not (finite := np.isfinite(cloud).all(1)).all():
                first = int(np.argmin(finite))
                raise ShapeError(expected("PointBatches", f"cloud {i} of finite numbers", f"{cloud[first].tolist()} at "
                                          f"point {first}", f"drop or correct the {(~finite).sum()} such points"))
        if tile is not None and not (is_real(tile) and 0 < tile < np.inf):
            raise ShapeError(expected("PointBatches", "tile to be a number above 0, or None", f"{tile!r}"))
        for name, moves in (("augment", augment), ("views", views)):
            if moves is not None and not isinstance(moves, PointAffine):
                raise TypeError(expected("PointBatches", f"{name} to be a PointAffine or None", f"{moves!r}"))
        counts = [len(cloud) for cloud in clouds]
        super().__init__(sum(counts), None if labels is None else _joined("labels", labels, counts, 1), batch=batch)
        self.starts = starts_of(counts)
        self.points = np.concatenate([*clouds, np.zeros((0, d))]).astype(np.float64)
        self.features = np.ones((self.n, 1), np.float32)
        if features is not None:
            self.features = _joined("features", features, counts, 2)
        self.cell, self.augment, self.views = cell, augment, views
        self.tile = None if tile is None else float(tile)
        SparseTensor.from_points(np.zeros((0, 1 + d)), np.zeros((0, 1)), cell=cell)         # checks the cell

    @property
    def n_batches(self) -> int:
        """The number of batches of a test; in training it depends on the epoch's tiles."""
        return -(-(len(self.starts) - 1) // self.batch)

    def epoch(self, epoch: int, seed: int = 0, *, training: bool,
              choose: Choose | None = None) -> Iterator[tuple[SparseTensor, Array | None]]:
        """Yield (x, labels) of every batch, prepared on a background thread; labels is None if none were given.

        With `choose`, a function of the number of batches that returns the numbers of some, only these are made.
        """
        cloud = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        moves = self.augment if training else self.views if epoch else None
        places = self.points if moves is None or not len(self) else self._moved(moves, cloud, epoch, seed)
        sample, n_samples = cloud, len(self.starts) - 1
        order = np.arange(n_samples)
        if training:
            rng = stream(seed, epoch, "order")
            if self.tile is not None:
                corners = np.floor((places[:, :2] + self.tile * rng.random((n_samples, 2))[cloud]) / self.tile)
                sample = np.unique(np.column_stack([cloud, corners]), axis=0, return_inverse=True)[1].reshape(-1)
                n_samples = sample.max(initial=-1) + 1
            order = rng.permutation(n_samples)
        by_sample = np.argsort(sample, kind="stable")
        starts = np.searchsorted(sample[by_sample], np.arange(n_samples + 1))

        def make(samples: Array) -> tuple[SparseTensor, Array | None]:
            items = np.concatenate([by_sample[starts[s]:starts[s + 1]] for s in samples])
            number = np.repeat(np.arange(len(samples)), np.diff(starts)[samples])
            x = SparseTensor.from_points(np.column_stack([number, places[items]]), self.features[items],
                                         cell=self.cell, samples=len(samples), ground=None)
            return x, None if self.labels is None else self.labels[items]

        yield from self._ahead(make, [order[first:first + self.batch] for first in range(0, n_samples, self.batch)],
                               choose)

    def _moved(self, moves: PointAffine, cloud: Array, epoch: int, seed: int) -> Array:
        """Return all points moved, each cloud about its centre."""
        n, d = len(self.starts) - 1, self.points.shape[1]
        counts = np.maximum(np.diff(self.starts), 1)
        centre = np.stack([np.bincount(cloud, axis, n) for axis in self.points.T], 1) / counts[:, None]
        matrices, shifts = moves.draw(n, d, seed, epoch)
        moved: Array = np.einsum("ni,nij->nj", self.points - centre[cloud], matrices[cloud]) + (centre + shifts)[cloud]
        own = moves.draw_points(len(moved), d, seed, epoch)
        return moved if own is None else moved + own


@known_arguments
def neighbourhood_features(points: ArrayLike, k: int = 32) -> Array:
    """Return (n, 3) float32 features of each point's k nearest points in the plane of the first two axes.

    The point itself is one of them. The columns are its height above the lowest of them, its depth below the highest,
    and the logarithm of the distance to the farthest, which is small where points are dense. Height is along the last
    axis.

    Args:
        points: (n, d) finite numbers, d at least 3.
        k: a whole number from 2 up; if there are fewer points, all are used.

    Raises:
        ShapeError: points of another shape or dtype or not finite, or k out of range.

    >>> neighbourhood_features([[0, 0, 5.0], [0, 1, 2.0], [1, 0, 4.0]], k=3)[:, :2].tolist()
    [[3.0, 0.0], [0.0, 3.0], [2.0, 1.0]]
    """
    found: Array = as_array("neighbourhood_features: points", points)
    numbers = found.dtype.kind in "fiu" and np.isfinite(found).all()
    if found.ndim != 2 or found.shape[1] < 3 or not numbers or not is_integer(k) or k < 2:
        raise ShapeError(expected(
            "neighbourhood_features", "points (n, d) of finite numbers, d >= 3, and k to be a whole number from 2 up",
            f"points {found.shape} of {found.dtype} and k {k!r}"))
    if not len(found):
        return np.zeros((0, 3), np.float32)
    from scipy.spatial import cKDTree

    places = found.astype(np.float64)
    distances, near = cKDTree(places[:, :2]).query(places[:, :2], min(k, len(places)))
    distances, near = distances.reshape(len(places), -1), near.reshape(len(places), -1)
    heights, height = places[near, -1], places[:, -1]
    reach = np.log(np.maximum(distances[:, -1], 1e-6))
    columns = np.column_stack([height - heights.min(1), heights.max(1) - height, reach])
    return cast(columns, np.dtype(np.float32), "neighbourhood_features")


def _listed(arrays: ArrayLike | Sequence[ArrayLike], axes: int) -> list[ArrayLike]:
    """Return a list with one entry for each cloud; one array, also as nested lists, is the only cloud."""
    if isinstance(arrays, (list, tuple)) and not (len(arrays) and as_array("points", arrays[0]).ndim < axes):
        return list(arrays)
    return [arrays]  # type: ignore[list-item]


def _joined(what: str, arrays: ArrayLike | Sequence[ArrayLike], counts: list[int], axes: int) -> Array:
    found: list[Array] = [as_array(f"PointBatches: {what}", array) for array in _listed(arrays, axes)]
    if [len(array) if array.ndim == axes else None for array in found] != counts:
        raise ShapeError(expected(
            "PointBatches", f"{what} {'(n, channels)' if axes == 2 else '(n,)'} for clouds of {counts[:5]} points",
            f"shapes {[array.shape for array in found][:5]}"))
    joined = np.concatenate(found) if found else np.zeros((0, 1)[:axes])
    if joined.size and joined.dtype.kind not in ("fiu" if axes == 2 else "iu"):
        remedy = "if they are class numbers, give labels.astype(int) of each cloud" if joined.dtype.kind in "fb" else \
            "number the names by np.unique(names, return_inverse=True)"
        raise ShapeError(expected("PointBatches", f"{what} to be {'numbers' if axes == 2 else 'class numbers'}",
                                  f"dtype {joined.dtype}", remedy if axes == 1 else ""))
    return cast(joined, np.dtype(np.float32), f"PointBatches: {what}") if axes == 2 else joined.astype(np.int64)
