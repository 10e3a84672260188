"""PointCloud: points with named values of each, as files of point clouds hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.numbers import cast
from spconv_cy.checks import as_array, kind_of, shortened
from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spconv_cy.types import Array, ArrayLike

LABELS = ("label", "labels", "class", "classification", "semantic", "semantic_label", "category", "target")
PARTS = ("instance", "event", "sample", "batch", "frame")                # numbers that tell points apart, no features


@known_arguments
@dataclass(frozen=True, eq=False, repr=False)
class PointCloud:
    """Points with named values of each.

    Attributes:
        points: (n, d) float64, the coordinates; a point may be NaN where a scanner saw nothing.
        values: {name: (n,) array} of what the file tells of each point, such as intensity, red or label, in its dtype.

    >>> cloud = PointCloud([[0.5, 2.0], [1.0, np.nan]], {"energy": [3, 4], "label": [0, 1]})
    >>> cloud.finite().features().tolist(), cloud.labels().tolist()
    ([[3.0]], [0, 1])
    """

    points: Array
    values: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points: Array = as_array("PointCloud: points", self.points)
        if points.ndim != 2 or not points.shape[1] or points.dtype.kind not in "fiu":
            raise ShapeError(expected("PointCloud", "points (n, d) of numbers", f"shape {points.shape} of "
                                      f"{points.dtype}"))
        if not hasattr(self.values, "items"):
            raise TypeError(expected("PointCloud", "values to be a dict {name: array}", kind_of(self.values)))
        values = {str(name): as_array(f"PointCloud: {name}", value) for name, value in self.values.items()}
        for name, value in values.items():
            if value.shape != (len(points),):
                raise ShapeError(expected("PointCloud", f"{name} of shape ({len(points)},), one for each point",
                                          value.shape))
        object.__setattr__(self, "points", points.astype(np.float64, copy=False))
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        named = ", ".join(self.values)
        return f"PointCloud({len(self)} points in {self.points.shape[1]} dimensions{named and f'; {named}'})"

    def take(self, items: ArrayLike) -> PointCloud:
        """Return some of the points with their values.

        Args:
            items: indices, or a mask (n,).

        Raises:
            IndexError: an index is out of range, or the mask has another length.
        """
        at: Array = as_array("PointCloud.take: items", items)
        at = at.astype(np.int64) if not at.size else at
        return PointCloud(self.points[at], {name: value[at] for name, value in self.values.items()})

    def finite(self) -> PointCloud:
        """Return the points whose coordinates are finite."""
        there = np.isfinite(self.points).all(1)
        return self if there.all() else self.take(there)

    def feature_names(self) -> list[str]:
        """Return the names of the values that are features: all numbers but those of labels and of parts."""
        return [name for name, value in self.values.items()
                if value.dtype.kind in "fiub" and name.lower() not in (*LABELS, *PARTS)]

    def features(self, *names: str) -> Array:
        """Return values as features (n, c) float32; without names those of `feature_names`.

        Raises:
            ShapeError: there are no such values, or they are not numbers.
        """
        columns = [self._value(name, "fiub") for name in names or self.feature_names()]
        if not columns:
            return np.zeros((len(self), 0), np.float32)
        stacked = np.column_stack([column.astype(np.float64) for column in columns])
        return cast(stacked, np.dtype(np.float32), "PointCloud.features")

    def labels(self, name: str | None = None) -> Array:
        """Return the class (n,) of each point.

        Args:
            name: of the values; None: the first that is named as labels are, such as label or classification.

        Raises:
            ShapeError: there are none.
        """
        if name is None:
            name = next((found for label in LABELS for found in self.values
                         if found.lower().removeprefix("scalar_") == label), None)
        if name is None:
            raise ShapeError(expected("PointCloud.labels", f"values named {', '.join(LABELS[:4])} or alike",
                                      shortened(list(self.values)) or "none", "give their name"))
        return self._value(name, "iufUSOb")

    def _value(self, name: str, kinds: str) -> Array:
        if name not in self.values:
            raise ShapeError(expected("PointCloud", f"values named {name!r:.40}",
                                      shortened(list(self.values)) or "none"))
        value = self.values[name]
        if value.dtype.kind not in kinds:
            raise ShapeError(expected("PointCloud", f"numbers in {name}", f"dtype {value.dtype}"))
        return value
