"""How the points of clouds become sites with features for a segmenter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags
from spconv_cy.errors import ShapeError, expected
from spconv_cy.estimators.encoders import MOST_AXES, Clouds, check_cell, check_count, standard
from spconv_cy.types import FloatArray

SAMPLE = 5000


@known_arguments
@dataclass(frozen=True)
class Scene:
    """The sites and the features of points: 1, the position unless positions is False, and the columns that follow it.

    Positions and columns are brought to mean 0 and standard deviation 1 over the training points.

    Args:
        cell: side of a site, a number or one for each axis; None: `fit` takes twice the median distance of a point to
            the nearest other one.
        dimension: number of coordinates; None: 3, or all columns if there are fewer.
        positions: whether the position is a feature.
        columns, means, scales: found by `fit`.
    """

    cell: float | tuple[float, ...] | None = None
    dimension: int | None = None
    positions: bool = True
    columns: int | None = None
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_cell("SparseConvSegmenter", self.cell)
        check_count("SparseConvSegmenter", "dimension", self.dimension, MOST_AXES)
        checked_flags("SparseConvSegmenter", positions=self.positions)

    @property
    def planes(self) -> int:
        """The number of features of a site."""
        return 1 + (self.columns or 0) - (0 if self.positions else self.dimension or 0)

    def fit(self, clouds: Clouds) -> Scene:
        """Return this scene with the cell, means and scales of training clouds.

        Raises:
            ShapeError: clouds of fewer columns than coordinates.
        """
        d = min(3, clouds.columns) if self.dimension is None else self.dimension
        if not 1 <= d <= clouds.columns:
            raise ShapeError(expected("SparseConvSegmenter.fit", f"clouds with {d} or more columns", clouds.columns))
        means, scales = standard(clouds.rows)
        return replace(self, dimension=d, columns=clouds.columns, means=tuple(means.tolist()),
                       scales=tuple(scales.tolist()), cell=_spacing(clouds, d) if self.cell is None else self.cell)

    def features(self, rows: FloatArray) -> FloatArray:
        """Return the features of points (n, planes), float32."""
        d = 0 if self.positions else self.dimension or 0
        found = (rows - self.means) / self.scales
        return np.column_stack([np.ones(len(rows)), found[:, d:]]).astype(np.float32)


def _spacing(clouds: Clouds, d: int) -> float:
    """Return twice the median distance of points of the largest cloud to their nearest other point; 1 if it is 0."""
    from scipy.spatial import cKDTree

    largest = int(np.argmax(np.diff(clouds.starts)))
    places = np.unique(clouds.rows[clouds.starts[largest]:clouds.starts[largest + 1], :d], axis=0)
    if len(places) < 2:
        return 1.0
    some = places[::-(-len(places) // SAMPLE)]
    return 2 * float(np.median(cKDTree(places).query(some, 2)[0][:, 1]))
