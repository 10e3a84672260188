"""Clouds of real points with a class for each: moved, cut into tiles and brought to sites, a batch at a time."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.backend.ops import cast
from spconv_cy.checks import as_array, checked_integers, is_real
from spconv_cy.data.augment import stream
from spconv_cy.data.batch import Batches
from spconv_cy.data.packed import starts_of
from spconv_cy.errors import ShapeError
from spconv_cy.sites.lattice import is_whole
from spconv_cy.tensor import SparseTensor

MOST_AXES = 8


@dataclass(frozen=True)
class PointAffine:
    """Turn a cloud in the plane of its first two axes, mirror it, stretch it, and move each point by itself.

    The axes after the second (the vertical one of a landscape) are neither turned nor mirrored. Every draw depends on
    (seed, epoch, item) alone.

    Args:
        turn: the angle is uniform on ±turn radians.
        flip: 0 to 1, how often the second axis is mirrored.
        stretch: 0 <= stretch < 1; each axis by itself grows by a factor uniform on 1 ± stretch.
        shift: >= 0, in the points' unit; each axis moves by itself, uniform on ±shift.
        jitter: >= 0, in the points' unit; standard deviation of each point's own move, normal.
    """

    turn: float = np.pi
    flip: float = 0.5
    stretch: float = 0.1
    shift: float = 0.0
    jitter: float = 0.0

    def __post_init__(self):
        limits = {"flip": (1, "from 0 to 1"), "stretch": (np.nextafter(1, 0), "from 0 up to but not 1")}
        for name, value in vars(self).items():
            most, fits = limits.get(name, (np.finfo(float).max, "from 0 up"))
            if not is_real(value) or not 0 <= value <= most:
                raise ValueError(f"PointAffine: {name} {value!r} came; a number {fits} fits")

    def draw(self, n, d, seed, epoch):
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

    def draw_points(self, n, d, seed, epoch):
        """Return each point's own move (n, d), or None where jitter is 0."""
        checked_integers("PointAffine.draw_points", 0, n=n, d=d)
        return self.jitter * stream(seed, epoch, "jitter").standard_normal((n, d)) if self.jitter else None


class PointBatches(Batches):
    """Clouds of labelled points in batches of sites, for networks that label points: x is a SparseTensor, ground None.

    In training each epoch moves every cloud anew (about its middle) and, where `tile` is given, cuts it anew into
    squares of that side in the plane of its first two axes, each a sample: every point is met once. In testing a cloud
    is one sample, its points in the order given. Labels and `x.point_rows` go point by point; a network ends in
    `ToPoints`. `len(...)` is the number of points.

    Args:
        points: (n, d) real numbers; or a list of such clouds.
        features: (n, c), or a list; None: one channel of ones.
        labels: (n,) class numbers, or a list; or None.
        cell: side of a site, in the points' unit; a number or d numbers. Points of one site have their features
            averaged.
        tile: side of a tile, in the points' unit; None: a sample is a whole cloud.
        batch: samples in a batch.
        augment: PointAffine of training; None: not moved.
        views: the same for the repeated passes of a test, `evaluate(net, data, repeats=12)`: the first sees the clouds
            as they are, each later one moves them anew.

    Raises:
        ShapeError: clouds, features or labels that do not fit.

    >>> clouds = PointBatches([[2.5, 0.0], [0.1, 0.0], [2.6, 0.0]], None, [7, 8, 9], 1.0)
    >>> x, labels = next(clouds.epoch(0, training=False))
    >>> x.sites.tolist(), x.point_rows.tolist(), labels.tolist()
    ([[0, 0, 0], [0, 2, 0]], [1, 0, 1], [7, 8, 9])
    """

    def __init__(self, points, features, labels, cell, *, tile=None, batch=8, augment=None, views=None):
        clouds = [as_array("PointBatches: points", cloud) for cloud in _listed(points, 2)]
        d = clouds[0].shape[1] if clouds and clouds[0].ndim == 2 else 3
        for i, cloud in enumerate(clouds):
            if cloud.ndim != 2 or cloud.shape[1] != d or d < 1 + (tile is not None) or cloud.dtype.kind not in "fiu" \
                    or not np.isfinite(cloud).all():
                raise ShapeError(f"PointBatches: cloud {i} of {cloud.shape} {cloud.dtype} came; finite numbers (n, d) "
                                 "fit, d the same for all" + (", and 2 or more for tiles" if tile is not None else ""))
        if tile is not None and not (is_real(tile) and 0 < tile < np.inf):
            raise ShapeError(f"PointBatches: tile {tile!r} came; a number above 0, or None, fits")
        for name, moves in (("augment", augment), ("views", views)):
            if moves is not None and not isinstance(moves, PointAffine):
                raise TypeError(f"PointBatches: {name} {moves!r} came; a PointAffine or None fits")
        counts = [len(cloud) for cloud in clouds]
        super().__init__(sum(counts), None if labels is None else _joined("labels", labels, counts, 1), batch=batch)
        self.starts = starts_of(counts)
        self.points = np.concatenate([*clouds, np.zeros((0, d))]).astype(np.float64)
        self.features = np.ones((self.n, 1), np.float32)
        if features is not None:
            self.features = _joined("features", features, counts, 2)
        self.cell, self.tile, self.augment, self.views = cell, tile, augment, views
        SparseTensor.from_points(np.zeros((0, 1 + d)), np.zeros((0, 1)), cell=cell)         # refuses a wrong cell now

    @property
    def n_batches(self):
        """The number of batches of a test; in training each epoch's tiles are others."""
        return -(-(len(self.starts) - 1) // self.batch)

    def epoch(self, epoch, seed=0, *, training):
        """Yield (x, labels) of every batch, prepared ahead on one background thread; labels is None where none are."""
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

        def make(samples):
            items = np.concatenate([by_sample[starts[s]:starts[s + 1]] for s in samples])
            number = np.repeat(np.arange(len(samples)), np.diff(starts)[samples])
            x = SparseTensor.from_points(np.column_stack([number, places[items]]), self.features[items],
                                         cell=self.cell, samples=len(samples), ground=None)
            return x, None if self.labels is None else self.labels[items]

        yield from self._ahead(make, [order[first:first + self.batch] for first in range(0, n_samples, self.batch)])

    def _moved(self, moves, cloud, epoch, seed):
        n, d = len(self.starts) - 1, self.points.shape[1]
        counts = np.maximum(np.diff(self.starts), 1)
        middle = np.stack([np.bincount(cloud, axis, n) for axis in self.points.T], 1) / counts[:, None]
        matrices, shifts = moves.draw(n, d, seed, epoch)
        moved = np.einsum("ni,nij->nj", self.points - middle[cloud], matrices[cloud]) + (middle + shifts)[cloud]
        own = moves.draw_points(len(moved), d, seed, epoch)
        return moved if own is None else moved + own


def neighbourhood_features(points, k=32):
    """Return (n, 3) float32 of each point's k nearest in the plane of the first two axes, itself among them.

    The columns: its height above the lowest of them, its depth below the highest, and the logarithm of how far the
    farthest lies, which is small where points are dense. Height is along the last axis.

    Args:
        points: (n, d) finite numbers, d at least 3.
        k: a whole number from 2 up; where there are fewer points, all of them.

    Raises:
        ShapeError: points or a k that do not fit.

    >>> neighbourhood_features([[0, 0, 5.0], [0, 1, 2.0], [1, 0, 4.0]], k=3)[:, :2].tolist()
    [[3.0, 0.0], [0.0, 3.0], [2.0, 1.0]]
    """
    points = as_array("neighbourhood_features: points", points)
    numbers = points.dtype.kind in "fiu" and np.isfinite(points).all()
    if points.ndim != 2 or points.shape[1] < 3 or not numbers or not is_whole(k) or k < 2:
        raise ShapeError(
            f"neighbourhood_features: points {points.shape} and k {k!r} came; finite numbers (n, 3) or more axes, "
            "and a whole number from 2 up, fit"
        )
    if not len(points):
        return np.zeros((0, 3), np.float32)
    from scipy.spatial import cKDTree

    points = points.astype(np.float64)
    distances, near = cKDTree(points[:, :2]).query(points[:, :2], min(k, len(points)))
    distances, near = distances.reshape(len(points), -1), near.reshape(len(points), -1)
    heights, height = points[near, -1], points[:, -1]
    reach = np.log(np.maximum(distances[:, -1], 1e-6))
    found = np.column_stack([height - heights.min(1), heights.max(1) - height, reach])
    return cast(found, np.dtype(np.float32), "neighbourhood_features")


def _listed(arrays, axes):
    """Return a list with an array for each cloud: one array, or one as nested lists, is that of the only cloud."""
    one = not isinstance(arrays, (list, tuple)) or len(arrays) and as_array("points", arrays[0]).ndim < axes
    return [arrays] if one else list(arrays)


def _joined(what, arrays, counts, axes):
    found = [as_array(f"PointBatches: {what}", array) for array in _listed(arrays, axes)]
    if [len(array) if array.ndim == axes else None for array in found] != counts:
        raise ShapeError(f"PointBatches: {what} of {[array.shape for array in found][:5]} came for clouds of "
                         f"{counts[:5]} points; {'(n, channels)' if axes == 2 else '(n,)'} for each fits")
    joined = np.concatenate(found) if found else np.zeros((0, 1)[:axes])
    if joined.size and joined.dtype.kind not in ("fiu" if axes == 2 else "iu"):
        raise ShapeError(f"PointBatches: {what} of {joined.dtype} came; {'numbers' if axes == 2 else 'class numbers'} "
                         "fit")
    return cast(joined, np.dtype(np.float32), f"PointBatches: {what}") if axes == 2 else joined.astype(np.int64)
