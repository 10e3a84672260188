"""Triangle meshes: checked vertices and triangles, normalisation, and points that cover their surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, is_real
from spconv_cy.data.packed import ranges
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from spconv_cy.types import Array, ArrayLike

MOST_POINTS = 2**27                                                      # they take 3 GiB


@known_arguments
@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles; `read_mesh` reads one from a file and `write_mesh` writes one.

    Args:
        vertices: (n, 3) finite numbers.
        triangles: (m, 3) whole numbers, indices of vertices.

    Attributes:
        vertices: (n, 3) float64.
        triangles: (m, 3) int64.

    Raises:
        ShapeError: arrays of another shape or dtype, a vertex that is not finite, or an index out of range.

    >>> square = Mesh([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]], [[0, 1, 2], [0, 2, 3]])
    >>> square, square.normalised(1).vertices[2].round(3).tolist()
    (Mesh(4 vertices, 2 triangles), [0.707, 0.707, 0.0])
    """

    vertices: Array
    triangles: Array

    def __post_init__(self) -> None:
        vertices = _rows("vertices (n, 3), numbers", self.vertices, "iuf").astype(np.float64)
        triangles = _rows("triangles (m, 3), whole numbers", self.triangles, "iu").astype(np.int64)
        bad = np.flatnonzero(~np.isfinite(vertices).all(1))
        if len(bad):
            raise ShapeError(expected("Mesh", "finite numbers in vertices",
                                      f"{vertices[bad[0]].tolist()} as vertex {bad[0]}"))
        bad = np.flatnonzero(((triangles < 0) | (triangles >= len(vertices))).any(1))
        if len(bad):
            raise ShapeError(expected("Mesh", f"vertices from 0 to {len(vertices) - 1} in triangles",
                                      f"{triangles[bad[0]].tolist()} in triangle {bad[0]}"))
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "triangles", triangles)

    def __repr__(self) -> str:
        return f"Mesh({len(self.vertices)} vertices, {len(self.triangles)} triangles)"

    @property
    def area(self) -> float:
        """The total area of the triangles."""
        a, b, c = self.vertices[self.triangles].swapaxes(0, 1)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def normalised(self, radius: float = 1.0) -> Mesh:
        """Return the mesh with the centre of its bounding box at 0 and its farthest vertex at distance `radius`.

        Vertices without a triangle are ignored. A mesh without extent is only moved.
        """
        if not is_real(radius) or not 0 < radius < np.inf:
            raise ShapeError(expected("Mesh.normalised", "radius to be a positive number", f"{radius!r}"))
        used = self.vertices[np.unique(self.triangles)]
        if not len(used):
            return self
        centre = used.min(0) / 2 + used.max(0) / 2
        half = np.abs(used - centre).max() or 1.0                        # divided by first, as squares could overflow
        farthest = np.linalg.norm((used - centre) / half, axis=1).max() or 1.0
        return Mesh((self.vertices - centre) / half * (radius / farthest), self.triangles)

    def surface(self, spacing: float) -> Array:
        """Return points (p, 3) float64 that cover the surface: rows of points across triangles and along their edges.

        Each triangle is covered by rows parallel to its longest edge, and its two other edges are covered as well.
        Neighbours on a row or an edge, and neighbouring rows, are at most `spacing` apart. So every place on the
        surface has a point within spacing / sqrt(2), and for a connected surface:

        - spacing <= 1 site: the sites are connected, with corners counted as neighbours.
        - spacing < 0.7 sites: no path leads through the sites from face to face; there are no holes.

        A triangle without area gives the points of its edges. The points are the same at each call.

        Raises:
            ShapeError: a spacing that is not positive, or so small that the points would take more than 3 GiB.

        Source: the sampling of Graham 2015, arXiv:1505.02890, with edges.
        """
        if not is_real(spacing) or not 0 < spacing < np.inf:
            raise ShapeError(expected("Mesh.surface", "spacing to be a positive number", f"{spacing!r}"))
        with np.errstate(over="ignore", invalid="ignore"):
            corners = self.vertices[self.triangles] / spacing            # (m, 3 corners, 3)
            longest = np.linalg.norm(np.roll(corners, -1, 1) - corners, axis=2).argmax(1)
            a, b, c = np.take_along_axis(corners, (longest[:, None] + np.arange(3))[..., None] % 3, 1).swapaxes(0, 1)
            base = np.linalg.norm(b - a, axis=1)
            twice = np.linalg.norm(np.cross(b - a, c - a), axis=1)       # the area, doubled
            height = np.divide(twice, base, out=np.zeros(len(a)), where=base > 0)
        if not (3 * len(a) + 2 * base + height + twice / 2).sum() < MOST_POINTS:
            raise ShapeError(expected("Mesh.surface", f"spacing to give at most {MOST_POINTS:,} points",
                                      f"{spacing!r} for edges up to {spacing * base.max(initial=0):.3g}",
                                      "use a larger spacing"))
        rows = np.ceil(height).astype(np.int64)
        of = np.repeat(np.arange(len(a)), rows + 1)
        share = (_counted(rows + 1) / np.maximum(1, rows)[of])[:, None]
        starts = np.concatenate([a[of] + share * (c - a)[of], a, b])
        ends = np.concatenate([b[of] + share * (c - b)[of], c, c])
        points: Array = spacing * _along(starts, ends)
        return points


def fan(sizes: ArrayLike, corners: ArrayLike) -> Array:
    """Return the triangles (m, 3) of polygons, divided from the first corner of each: exact for convex ones.

    Args:
        sizes: (f,) the number of corners of each polygon, 3 or more.
        corners: (sum of sizes,) vertices of all polygons, one polygon after another.

    >>> fan([4, 3], [0, 1, 2, 3, 7, 8, 9]).tolist()
    [[0, 1, 2], [0, 2, 3], [7, 8, 9]]
    """
    counts: Array = as_array("fan", sizes, np.int64)
    vertices: Array = as_array("fan", corners, np.int64)
    first = np.repeat(np.cumsum(counts) - counts, counts - 2)
    second = first + 1 + _counted(counts - 2)
    return np.column_stack([vertices[first], vertices[second], vertices[second + 1]]).reshape(-1, 3)


def _along(starts: Array, ends: Array) -> Array:
    """Return points of segments, including both ends, at most 1 apart."""
    pieces = np.ceil(np.linalg.norm(ends - starts, axis=1)).astype(np.int64)
    of = np.repeat(np.arange(len(starts)), pieces + 1)
    share = (_counted(pieces + 1) / np.maximum(1, pieces)[of])[:, None]
    points: Array = starts[of] + share * (ends - starts)[of]
    return points


def _counted(counts: Array) -> Array:
    """Return 0 to count - 1 for each count, one after another: [2, 3] gives 0 1 0 1 2."""
    return ranges(np.zeros_like(counts), counts)


def _rows(what: str, array: ArrayLike, kinds: str) -> Array:
    without_mask(array, "Mesh")
    try:
        rows = np.asarray(array)
    except ValueError:
        raise ShapeError(expected("Mesh", what, "rows of unequal length")) from None
    if rows.size == 0:
        rows = np.zeros((0, 3), np.int64)
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind not in kinds:
        raise ShapeError(expected("Mesh", what, f"shape {rows.shape} of {rows.dtype}"))
    return rows
