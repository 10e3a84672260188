"""Encoders of what is not strokes: clouds of points, events and signals, as sites with features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import described, is_integer, is_number
from spconv_cy.data import Batches, Events, PointAffine, PointCloud
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.estimators.tables import as_table
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from spconv_cy.types import Array, ArrayLike, FloatArray

MOST_AXES = 8
NAMED = {"none": None, "affine": PointAffine(turn=0.3, flip=0.0, stretch=0.1),
         "mild": PointAffine(turn=0.15, flip=0.0, stretch=0.05), "turn": PointAffine(flip=0.0)}


class Clouds:
    """Clouds of points with features, one after another in arrays.

    Attributes:
        rows: (points, columns) float64, coordinates first.
        starts: (n + 1,) where each cloud begins.
        events: whether they are events (x, y, t, brighter, darker).
    """

    def __init__(self, rows: FloatArray, starts: Array, events: bool = False) -> None:
        self.rows, self.starts, self.events = rows, starts, events

    @classmethod
    def read(cls, who: str, X: Any) -> Clouds:
        """Return the clouds of a list: arrays (n, columns), or Events.

        Raises:
            ShapeError, ValueError, TypeError: a cloud that is not a finite array, or with other columns.
        """
        parts: list[FloatArray] = []
        kinds = {isinstance(item, Events) for item in X}
        if len(kinds) > 1:
            raise ShapeError(expected(who, "Events alone or arrays alone", "both in one list"))
        for i, item in enumerate(X):
            if isinstance(item, tuple) and any(getattr(part, "ndim", 0) == 2 for part in item):
                raise ShapeError(expected(f"{who}: cloud {i}", "one array (n, columns)", described(item), "put "
                                          "features into columns after the coordinates, and give dimension="))
            cloud = _of_events(item) if isinstance(item, Events) else as_table(f"{who}: cloud {i}", item, 0)
            if parts and cloud.shape[1] != parts[0].shape[1]:
                raise ShapeError(expected(f"{who}: cloud {i}", f"{parts[0].shape[1]} columns, as cloud 0 has",
                                          cloud.shape[1]))
            parts.append(cloud)
        rows = np.concatenate(parts) if parts else np.zeros((0, 0))
        return cls(rows, starts_of([len(part) for part in parts]), kinds == {True})

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def columns(self) -> int:
        """The number of columns."""
        return int(self.rows.shape[1])

    def take(self, items: Array) -> Clouds:
        """Return some of the clouds."""
        starts, ends = self.starts[:-1][items], self.starts[1:][items]
        return Clouds(self.rows[ranges(starts, ends)], starts_of(ends - starts), self.events)


def _of_events(events: Events) -> FloatArray:
    first = events.t[0] if len(events) else 0
    return np.column_stack([events.x, events.y, events.t - first, events.on, ~events.on]).astype(np.float64)


@known_arguments
@dataclass(frozen=True)
class PointEncoder:
    """Draws clouds of points as active sites with features, each cloud centred in a field.

    The first columns of a cloud are coordinates, the others features. A site has 1 and the mean of its points'
    features, which are brought to mean 0 and standard deviation 1 over the training clouds; of events it has the counts
    of brighter and darker ones. Points outside the field are left out.

    Args:
        cell: side of a site in the unit of the points, a number or one for each axis; None: `fit` chooses it, so that
            the largest cloud takes up a third of the field; for time beside pixels it has its own.
        dimension: number of coordinates; None: 3, or all columns if there are fewer.
        size: sites along each axis of the field; None: that of the network.
        columns, means, scales, events: found by `fit`.

    >>> encoder = PointEncoder(cell=1.0, size=9).fit([[[0, 0, 0], [2, 0, 0]]])
    >>> encoder.planes, encoder.dimension
    (1, 3)
    """

    cell: float | tuple[float, ...] | None = None
    dimension: int | None = None
    size: int | None = None
    columns: int | None = None
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    events: bool = False

    def __post_init__(self) -> None:
        check_cell("PointEncoder", self.cell)
        check_count("PointEncoder", "dimension", self.dimension, MOST_AXES)
        check_count("PointEncoder", "size", self.size, 2**15)

    @property
    def planes(self) -> int:
        """The number of features of a site."""
        extra = (self.columns or 0) - (self.dimension or 0)
        return extra if self.events else 1 + extra

    def fit(self, clouds: Clouds | list[ArrayLike]) -> PointEncoder:
        """Return this encoder with dimension, cell and features' means and scales of training clouds.

        Raises:
            ShapeError: clouds of fewer columns than coordinates; or no size.
        """
        found = clouds if isinstance(clouds, Clouds) else Clouds.read("PointEncoder.fit", clouds)
        d = min(3, found.columns) if self.dimension is None else self.dimension
        if found.columns < d or self.size is None:
            raise ShapeError(expected("PointEncoder.fit", f"clouds with {d} or more columns, and a size",
                                      f"{found.columns} columns and size={self.size}"))
        extra, cell = found.rows[:, d:], self.cell
        if cell is None:
            low, high = _boxes(found.rows[:, :d], found.starts)
            extents = (high - low).max(0, initial=0)
            sides = np.append(np.full(d - 1, extents[:-1].max()), extents[-1]) if found.events else extents.max()
            sides = np.where(sides > 0, sides / (self.size / 3), 1.0)
            cell = tuple(sides.tolist()) if found.events else float(sides)
        means, scales = standard(extra) if not found.events else (np.zeros(2), np.ones(2))
        return replace(self, dimension=d, cell=cell, columns=found.columns, means=tuple(means.tolist()),
                       scales=tuple(scales.tolist()), events=found.events)

    def batches(self, clouds: Clouds, labels: ArrayLike | None, *, batch: int, augment: PointAffine | None = None,
                views: PointAffine | None = None) -> Batches:
        """Return the clouds' batches, for training with `augment`, and for the later passes of a test with `views`."""
        return CloudBatches(self, clouds, labels, batch, augment, views)


@known_arguments
@dataclass(frozen=True)
class SignalEncoder:
    """Draws the rows of an array (n, columns) as signals on one axis, in the middle of a field.

    Each column is brought to mean 0 and standard deviation 1 over the training rows.

    Args:
        size: sites of the field; None: that of the network.
        columns, means, scales: found by `fit`.
    """

    size: int | None = None
    columns: int | None = None
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    planes, dimension = 1, 1

    def fit(self, rows: ArrayLike) -> SignalEncoder:
        """Return this encoder with the means and scales of training rows.

        Raises:
            ShapeError: more columns than the field has sites.
        """
        found = as_table("SignalEncoder.fit", rows)
        if self.size is None or found.shape[1] > self.size:
            raise ShapeError(expected("SignalEncoder", f"at most {self.size} columns, the sites of the network's field",
                                      found.shape[1], "give a net with more levels: l= for 'deepcnet'"))
        means, scales = standard(found)
        return replace(self, columns=found.shape[1], means=tuple(means.tolist()), scales=tuple(scales.tolist()))

    def batches(self, rows: FloatArray, labels: ArrayLike | None, *, batch: int, augment: object = None,
                views: object = None) -> Batches:
        """Return the rows' batches; signals are not distorted."""
        clouds = Clouds(np.column_stack([np.tile(np.arange(rows.shape[1]), len(rows)),
                                         ((rows - self.means) / self.scales).ravel()]),
                        np.arange(len(rows) + 1) * rows.shape[1])
        points = PointEncoder(1.0, 1, self.size, 2, (0.0,), (1.0,), True)
        return CloudBatches(points, clouds, labels, batch, None, None)


def check_cell(who: str, cell: Any) -> None:
    """Raise ValueError if a cell is no side of a site: a number above 0, one for each axis, or None."""
    sides = cell if isinstance(cell, (list, tuple)) else [] if cell is None else [cell]
    if not all(is_number(side) and side > 0 for side in sides):
        raise ValueError(expected(who, "cell to be a number above 0, one for each axis, or None", repr(cell)))


def check_count(who: str, name: str, value: object, most: int) -> None:
    """Raise ValueError if a value is neither a whole number from 1 to most, nor None."""
    if value is not None and (not is_integer(value) or not 1 <= value <= most):
        raise ValueError(expected(who, f"{name} to be a whole number from 1 to {most}, or None", repr(value)))


def _boxes(places: FloatArray, starts: Array) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest coordinates (n, d) of each cloud; 0 for clouds without points."""
    low, high = np.zeros((2, len(starts) - 1, places.shape[1]))
    there = np.diff(starts) > 0
    first = starts[:-1][there]                                           # reduceat: no empty parts
    low[there], high[there] = (least.reduceat(places, first) for least in (np.minimum, np.maximum))
    return low, high


def standard(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the means and the standard deviations of columns; 0 and 1 without rows, 1 for constant columns."""
    if not len(rows):
        return np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    scales = rows.std(0)
    return rows.mean(0), np.where(scales > 0, scales, 1.0)


class CloudBatches(Batches):
    """Batches of clouds that a PointEncoder draws; arguments as for `PointEncoder.batches`."""

    def __init__(self, encoder: PointEncoder, clouds: Clouds, labels: ArrayLike | None, batch: int,
                 augment: PointAffine | None, views: PointAffine | None) -> None:
        super().__init__(len(clouds), labels, batch=batch)
        d = encoder.dimension or 0
        self.encoder, self.starts, self.augment, self.views = encoder, clouds.starts, augment, views
        self.places = clouds.rows[:, :d]
        self.features = ((clouds.rows[:, d:] - encoder.means) / encoder.scales).astype(np.float32)
        if not encoder.events:
            self.features = np.column_stack([np.ones(len(clouds.rows), np.float32), self.features])
        low, high = _boxes(self.places, clouds.starts)
        self.middles = (high + low) / 2

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], SparseTensor]:
        """Draw the epoch's motions; return a function from item indices (b,) to a SparseTensor."""
        moves = self.augment if training else self.views if epoch else None
        encoder = self.encoder
        size, d = encoder.size or 1, encoder.dimension or 1
        drawn = None if moves is None else moves.draw(self.n, d, seed, epoch)

        def make(items: Array) -> SparseTensor:
            first, end = self.starts[:-1][items], self.starts[1:][items]
            rows, sample = ranges(first, end), np.repeat(np.arange(len(items)), end - first)
            places = self.places[rows] - self.middles[items][sample]
            if drawn is not None:
                places = np.einsum("ni,nij->nj", places, drawn[0][items][sample]) + drawn[1][items][sample]
            sites = np.floor(places / np.asarray(encoder.cell) + size / 2)
            inside = ((sites >= 0) & (sites < size)).all(1)
            given = np.column_stack([sample, sites])[inside].astype(np.int32)
            return SparseTensor.from_sites(given, self.features[rows][inside], (size,) * d, len(items),
                                           reduce="sum" if encoder.events else "mean")

        return make


def motion(who: str, name: str, value: object) -> PointAffine | None:
    """Return a PointAffine of a name, an Affine's name among them; a PointAffine unchanged.

    Raises:
        ValueError: something else.
    """
    if value is None or isinstance(value, PointAffine):
        return value
    if not isinstance(value, str) or value not in NAMED:
        raise ValueError(expected(who, f"{name} to be one of {', '.join(NAMED)}, or a PointAffine, for points",
                                  f"{value!r}"))
    return NAMED[value]


def has_only_arrays(X: Any) -> bool:
    """Return whether X is a list of Events or of arrays (n, columns) with three columns or more, not of strokes."""
    if isinstance(X, PointCloud):
        return True                                                      # one cloud, an error that says so
    if isinstance(X, np.ndarray) and X.dtype != object:
        return X.ndim == 3 and X.shape[2] > 2
    if not isinstance(X, (list, tuple)) or not X:
        return False
    return all(isinstance(item, Events) or isinstance(item, np.ndarray) and item.ndim == 2 and item.shape[1] > 2
               or _is_nested(item) for item in X)


def _is_nested(item: Any) -> bool:
    """Return whether an item is a list of points, lists of three numbers or more; a character is a list of strokes."""
    first = item[0] if isinstance(item, (list, tuple)) and item else None
    return isinstance(first, (list, tuple)) and len(first) > 2 and not any(hasattr(x, "__len__") for x in first)


def listed(X: Any) -> Any:
    """Return an array of objects (n,) or (n, 1), also of a data frame or a series, as a list of its items; else X.

    PointClouds and data frames in a list become arrays.
    """
    X = rows_of(X) if not isinstance(X, PointCloud) else X
    X = X.to_numpy() if hasattr(X, "to_numpy") and not hasattr(X, "columns") else X
    if isinstance(X, np.ndarray) and X.dtype == object and (X.ndim == 1 or X.ndim == 2 and X.shape[1] == 1):
        X = list(X.ravel())
    return [rows_of(item) for item in X] if isinstance(X, (list, tuple)) else X


def rows_of(cloud: Any) -> Any:
    """Return a PointCloud (its points and features) or a data frame as an array (n, columns); else it unchanged."""
    if isinstance(cloud, PointCloud):
        return np.column_stack([cloud.points, cloud.features()])
    return cloud.to_numpy() if hasattr(cloud, "columns") and hasattr(cloud, "to_numpy") else cloud


def as_signals(who: str, X: Any, least: int = 1) -> FloatArray:
    """Return the rows of X as signals; errors as for `as_table`."""
    return as_table(f"{who}: X", X, least) if not isinstance(X, (list, tuple)) or len(X) else np.zeros((0, 0))


def check_columns(who: str, found: int, wanted: int | None) -> None:
    """Raise ShapeError if X has another number of columns than in training."""
    if wanted is not None and found != wanted:
        raise ShapeError(expected(who, f"X with {wanted} columns", found, f"X has {found} features, but "
                                  f"{who.split('.')[0]} is expecting {wanted} features as input"))
