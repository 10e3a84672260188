"""Triangle meshes: checked vertices and triangles, moved to a radius, and points that cover their surface."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.checks import as_array, is_real
from spconv_cy.data.packed import ranges
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError

MOST_POINTS = 2**27                                                      # 3 GiB of them


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles; `read_mesh` reads one from a file.

    Args:
        vertices: (n, 3) finite numbers.
        triangles: (m, 3) whole numbers, rows of vertices.

    Attributes: vertices: (n, 3) float64; triangles: (m, 3) int64.

    Raises:
        ShapeError: arrays of another shape or kind, a vertex that is not finite, a triangle of a vertex that is not
            there.

    >>> square = Mesh([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]], [[0, 1, 2], [0, 2, 3]])
    >>> square, square.normalised(1).vertices[2].round(3).tolist()
    (Mesh(4 vertices, 2 triangles), [0.707, 0.707, 0.0])
    """

    vertices: np.ndarray
    triangles: np.ndarray

    def __post_init__(self):
        vertices = _numbers("vertices (n, 3)", self.vertices, "iuf").astype(np.float64)
        triangles = _numbers("triangles (m, 3), whole numbers,", self.triangles, "iu").astype(np.int64)
        bad = np.flatnonzero(~np.isfinite(vertices).all(1))
        if len(bad):
            raise ShapeError(f"Mesh: vertex {bad[0]} is {vertices[bad[0]].tolist()}; finite numbers fit")
        bad = np.flatnonzero(((triangles < 0) | (triangles >= len(vertices))).any(1))
        if len(bad):
            raise ShapeError(f"Mesh: triangle {bad[0]} has the vertices {triangles[bad[0]].tolist()}; of "
                             f"{len(vertices)} vertices, 0 to {len(vertices) - 1} fit")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "triangles", triangles)

    def __repr__(self):
        return f"Mesh({len(self.vertices)} vertices, {len(self.triangles)} triangles)"

    @property
    def area(self):
        """The area of all triangles."""
        a, b, c = self.vertices[self.triangles].swapaxes(0, 1)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def normalised(self, radius=1.0):
        """Return the mesh with the middle of its bounding box at 0 and its farthest vertex at `radius`.

        Vertices of no triangle do not count. A mesh without extent is only moved.
        """
        if not is_real(radius) or not 0 < radius < np.inf:
            raise ShapeError(f"Mesh.normalised: radius {radius!r} came; a positive number fits")
        used = self.vertices[np.unique(self.triangles)]
        if not len(used):
            return self
        middle = used.min(0) / 2 + used.max(0) / 2
        half = np.abs(used - middle).max() or 1.0                        # first by this: squares would overflow
        farthest = np.linalg.norm((used - middle) / half, axis=1).max() or 1.0
        return Mesh((self.vertices - middle) / half * (radius / farthest), self.triangles)

    def surface(self, spacing):
        """Return points (p, 3) float64 that cover the surface: every triangle's rows and edges, `spacing` apart.

        Each triangle is crossed by rows along its longest edge, and its two other edges are walked as well; neighbours
        on a row or an edge, and neighbouring rows, are at most `spacing` apart. So every place on the surface has a
        point within spacing / sqrt(2), and a connected surface gives

          spacing <= 1 site: sites that are connected, corners counted as neighbours;
          spacing < 0.7 sites: sites through which no way leads from face to face: no holes.

        A triangle without area gives the points of its edges. The points are the same at each call.

        Raises:
            ShapeError: a spacing that is not positive, or so small that the points would take more than 3 GiB.

        Source: the sampling of Graham 2015, arXiv:1505.02890, with edges.
        """
        if not is_real(spacing) or not 0 < spacing < np.inf:
            raise ShapeError(f"Mesh.surface: spacing {spacing!r} came; a positive number fits")
        with np.errstate(over="ignore", invalid="ignore"):
            corners = self.vertices[self.triangles] / spacing            # (m, 3 corners, 3)
            longest = np.linalg.norm(np.roll(corners, -1, 1) - corners, axis=2).argmax(1)
            a, b, c = np.take_along_axis(corners, (longest[:, None] + np.arange(3))[..., None] % 3, 1).swapaxes(0, 1)
            base = np.linalg.norm(b - a, axis=1)
            twice = np.linalg.norm(np.cross(b - a, c - a), axis=1)       # the area
            height = np.divide(twice, base, out=np.zeros(len(a)), where=base > 0)
        if not (3 * len(a) + 2 * base + height + twice / 2).sum() < MOST_POINTS:
            raise ShapeError(f"Mesh.surface: spacing {spacing!r} came for triangles with edges up to "
                             f"{spacing * base.max(initial=0):.3g}, which takes more than {MOST_POINTS:,} points; use "
                             "a larger spacing")
        rows = np.ceil(height).astype(np.int64)
        of = np.repeat(np.arange(len(a)), rows + 1)
        share = (_counted(rows + 1) / np.maximum(1, rows)[of])[:, None]
        starts = np.concatenate([a[of] + share * (c - a)[of], a, b])
        ends = np.concatenate([b[of] + share * (c - b)[of], c, c])
        return spacing * _along(starts, ends)


def fan(sizes, corners):
    """Cut polygons into triangles (m, 3) from the first corner of each: exact for convex ones.

    Args:
        sizes: (f,) corners of each polygon, each 3 or more.
        corners: (sum of sizes,) vertices of all polygons in turn.

    >>> fan([4, 3], [0, 1, 2, 3, 7, 8, 9]).tolist()
    [[0, 1, 2], [0, 2, 3], [7, 8, 9]]
    """
    sizes, corners = as_array("fan", sizes, np.int64), as_array("fan", corners, np.int64)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes - 2)
    second = first + 1 + _counted(sizes - 2)
    return np.column_stack([corners[first], corners[second], corners[second + 1]]).reshape(-1, 3)


def _along(starts, ends):
    """Points of segments, both ends counted, at most 1 apart."""
    pieces = np.ceil(np.linalg.norm(ends - starts, axis=1)).astype(np.int64)
    of = np.repeat(np.arange(len(starts)), pieces + 1)
    share = (_counted(pieces + 1) / np.maximum(1, pieces)[of])[:, None]
    return starts[of] + share * (ends - starts)[of]


def _counted(counts):
    """0 to count - 1 of every count, in turn: [2, 3] gives 0 1 0 1 2."""
    return ranges(np.zeros_like(counts), counts)


def _numbers(what, array, kinds):
    without_mask(array, "Mesh")
    try:
        array = np.asarray(array)
    except ValueError:
        raise ShapeError(f"Mesh: rows of unequal length came; {what} fit") from None
    if array.size == 0:
        array = np.zeros((0, 3), np.int64)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in kinds:
        raise ShapeError(f"Mesh: {array.shape} of {array.dtype} came; {what} fit")
    return array
