"""Strokes lifted to up to five dimensions: a site for each position, direction, curvature and time of the pen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, is_integer, is_number
from spconv_cy.data.characters import Characters
from spconv_cy.data.packed import ranges
from spconv_cy.errors import GridError, ShapeError, expected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from spconv_cy.types import Array, ArrayLike

AXES = ("x", "y", "direction", "curvature", "time")


@known_arguments
@dataclass(frozen=True)
class LiftedEncoder:
    """Draws characters as sites with the named axes; strokes that cross in the plane are apart along the other axes.

    Points are taken along each stroke at even spacing, and each adds the weight `spacing` to its site: the one feature
    is the length of the path in the site. Every axis has `size` sites; a larger field costs nothing, because the field
    is sparse.

    - "x", "y": as for StrokeEncoder; the bounding box of a character is scaled to `scale` sites along its longer side,
      keeping the aspect ratio, and centred.
    - "direction": of the step from `window` sites before the point to `window` sites after it (clipped at the stroke's
      ends), rounded to one of `directions` bins. The axis is cyclic: the first `overlap` bins are repeated after the
      last, so that all neighbours stay neighbours. A dot has no direction; its weight is divided among all.
    - "curvature": the change of direction at the point, from -90 degrees or less (one bin) to 90 or more, in `bends`
      bins. Their number is odd, so that straight is the centre of a bin.
    - "time": the fraction of the character's path, or of its time if `times` are given, scaled to `span` sites.

    Args:
        axes: some of those names, each once.
        size: sites along every axis, 1 to 32768.
        scale, spacing, window: in sites, positive.
        directions: 2 or more.
        overlap: 0 to directions.
        bends: odd.
        span: sites, from 0 up.

    >>> encoder = LiftedEncoder(("x", "direction"), size=8, scale=2, spacing=1, directions=4, overlap=1)
    >>> sites, features = encoder.sites([[[(0, 0), (9, 0)]]])           # to the right: direction 0, and its copy
    >>> sites.tolist(), features.ravel().tolist()
    ([[0, 3, 1], [0, 3, 5], [0, 4, 1], [0, 4, 5], [0, 5, 1], [0, 5, 5]], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """

    axes: tuple[str, ...] = AXES
    size: int = 32
    scale: float = 16
    spacing: float = 0.5
    window: float = 1.5
    directions: int = 8
    overlap: int = 1
    bends: int = 5
    span: float = 16

    def __post_init__(self) -> None:
        who = "LiftedEncoder"
        axes = self.axes if isinstance(self.axes, (list, tuple)) else (self.axes,)
        words = all(isinstance(axis, str) for axis in axes)
        if not axes or not words or not set(axes) <= set(AXES) or len(set(axes)) != len(axes):
            raise ValueError(expected(who, f"axes to be some of {AXES}, each once", f"{self.axes!r}"))
        object.__setattr__(self, "axes", tuple(axes))
        if not is_integer(self.size) or not 1 <= self.size <= 2**15:
            raise ValueError(expected(who, f"size to be a whole number from 1 to {2**15}", f"{self.size!r}"))
        for name in ("scale", "spacing", "window"):
            if not is_number(getattr(self, name), 0.001, 2**31):
                raise ValueError(expected(who, f"{name} to be a number from 0.001 up", f"{getattr(self, name)!r}"))
        counts = self.directions, self.overlap, self.bends
        if not all(map(is_integer, counts)) or self.directions < 2 or not 0 <= self.overlap <= self.directions \
                or self.bends < 1 or self.bends % 2 == 0:
            raise ValueError(expected(who, "2 or more directions, overlap from 0 to directions and an odd number of "
                                      "bends", f"directions, overlap, bends {counts}"))
        if not is_number(self.span):
            raise ValueError(expected(who, "span to be a number from 0 up", f"{self.span!r}"))
        for axis, needed in (("x", self.scale), ("y", self.scale), ("direction", self.directions + self.overlap),
                             ("curvature", self.bends), ("time", self.span)):
            if axis in axes and not 0 <= needed <= self.size - (axis in "xy time"):
                raise ValueError(expected(who, f"a size above {needed}, the sites of the axis {axis}", self.size))

    @property
    def planes(self) -> int:
        """The number of features of a site, 1."""
        return 1

    @property
    def dimension(self) -> int:
        """The number of axes."""
        return len(self.axes)

    def sites(self, characters: Characters | Sequence[Sequence[ArrayLike]], items: ArrayLike | None = None, *,
              matrices: ArrayLike | None = None, shifts: ArrayLike | None = None,
              stroke_shifts: ArrayLike | None = None, time_shifts: ArrayLike | None = None,
              times: ArrayLike | None = None, n_threads: int | None = None) -> tuple[Array, Array]:
        """Draw characters as one batch; return their sites and features.

        Args:
            characters, items, matrices, shifts, stroke_shifts: as for StrokeEncoder.sites.
            time_shifts: (b,), in units of span.
            times: (points,), the time of every pen point of characters, finite; None: time is the length of the path.
            n_threads: unused.

        Returns:
            sites (m, 1 + d) int32, batch index first, distinct and in lexicographic order, and features (m, 1)
            float32.

        Raises:
            ShapeError, ValueError: characters as for Characters.pack; moves or times of another shape, or not finite.
            GridError: points outside the field; the message names their number and the axis.
        """
        packed = Characters.pack(characters)
        at: Array = np.atleast_1d(as_array("LiftedEncoder.sites: items",
                                           np.arange(len(packed)) if items is None else items))
        if at.ndim != 1 or at.dtype.kind not in "iu" and at.size:
            raise ShapeError(expected("LiftedEncoder.sites", "items (b,) of whole numbers",
                                      f"shape {at.shape} of {at.dtype}"))
        at = np.arange(len(packed))[at.astype(np.int64)]
        time = _checked("times", times, (len(packed.points),))
        time_moves = _checked("time_shifts", time_shifts, (len(at),))
        moves = _checked("stroke_shifts", stroke_shifts, (len(packed.stroke_starts) - 1, 2))
        taken, strokes = packed.take(at)
        if time is not None:
            time = time[ranges(packed.stroke_starts[:-1][strokes], packed.stroke_starts[1:][strokes])]
        ink = _Ink(taken, self.scale, _checked("matrices", matrices, (len(at), 2, 2)),
                   _checked("shifts", shifts, (len(at), 2)), None if moves is None else moves[strokes])
        stroke, way = ink.steps(self.spacing)
        here, before, after = (ink.at(stroke, way + by) for by in (0, -self.window, self.window))
        columns = [self._times(ink, stroke, way, time, time_moves) if axis == "time" else
                   self._places(axis, here, before, after) for axis in self.axes]
        sites = np.column_stack([ink.sample[stroke], *columns])
        weights = np.full(len(sites), self.spacing)
        if "direction" in self.axes:
            dots = ink.length[stroke] == 0
            sites, weights = self._all_directions(sites, weights, dots, 1 + self.axes.index("direction"))
        self._check_inside(sites)
        return _merged(sites.astype(np.int64), weights, self.size)

    def describe(self) -> dict[str, Any]:
        """Return {"class", "arguments"} as JSON values: LiftedEncoder(**arguments) is an equal encoder."""
        return {"class": "LiftedEncoder", "arguments": asdict(self) | {"axes": list(self.axes)}}

    def _times(self, ink: _Ink, stroke: Array, way: Array, times: Array | None, time_shifts: Array | None) -> Array:
        """Return the coordinates along the time axis of points at the distances `way` along their strokes."""
        share = ink.way_share(stroke, way) if times is None else ink.time_share(stroke, way, times)
        moved = 0 if time_shifts is None else time_shifts[ink.sample[stroke]]
        return np.floor(self.size / 2 + self.span * (share - 0.5 + moved))

    def _places(self, axis: str, here: Array, before: Array, after: Array) -> Array:
        """Return the coordinates along one of the other axes of points, from their positions and those around them."""
        if axis in "xy":
            return np.floor(here[:, "xy".index(axis)] + self.size / 2)
        if axis == "direction":
            low = (self.size - self.directions - self.overlap) // 2
            return low + _direction(after - before, self.directions)
        return (self.size - self.bends) // 2 + _bend(here - before, after - here, self.bends)

    def _all_directions(self, sites: Array, weights: Array, dots: Array, column: int) -> tuple[Array, Array]:
        """Put dots at every direction, then repeat the first directions after the last."""
        n, first = self.directions, (self.size - self.directions - self.overlap) // 2
        spread = np.repeat(sites[dots], n, 0)
        spread[:, column] = first + np.arange(len(spread)) % n
        sites = np.concatenate([sites[~dots], spread])
        weights = np.concatenate([weights[~dots], np.repeat(weights[dots] / n, n)])
        again = sites[:, column] < first + self.overlap
        copies = sites[again]
        copies[:, column] += n
        return np.concatenate([sites, copies]), np.concatenate([weights, weights[again]])

    def _check_inside(self, sites: Array) -> None:
        outside = (sites[:, 1:] < 0) | (sites[:, 1:] >= self.size)
        if outside.any():
            axis = self.axes[int(outside.sum(0).argmax())]
            raise GridError(expected("LiftedEncoder", f"points inside the field of {self.size} sites",
                                     f"{int(outside.any(1).sum())} outside, most along {axis}",
                                     "use a larger size, a smaller scale or span, or smaller shifts"))


class _Ink:
    """The strokes of a batch, normalised and moved: their samples (s,), lengths (s,), and positions along them."""

    def __init__(self, characters: Characters, scale: float, matrices: Array | None, shifts: Array | None,
                 stroke_shifts: Array | None) -> None:
        n = len(characters)
        self.sample = np.repeat(np.arange(n), np.diff(characters.character_starts))
        self.starts, self.last = characters.stroke_starts[:-1], characters.stroke_starts[1:] - 1
        self.of = np.repeat(np.arange(len(self.starts)), np.diff(characters.stroke_starts))
        points, of = characters.points, self.sample[self.of]             # of: the sample of every point
        low, high = _extremes(points, of, n)
        with np.errstate(invalid="ignore"):                              # a character without strokes
            middle, extent = (low + high) / 2, np.maximum((high - low).max(1), 1e-4)
        points = (points - middle[of]) * (scale / extent)[of, None]
        if stroke_shifts is not None:
            points = points + scale * stroke_shifts[self.of]
        if matrices is not None:
            points = points[:, :1] * matrices[of, 0] + points[:, 1:] * matrices[of, 1]
        self.points = points if shifts is None else points + scale * shifts[of]
        steps = np.zeros(len(points))
        between = np.diff(self.points, axis=0)
        steps[1:] = np.hypot(between[:, 0], between[:, 1])
        steps[self.starts] = 0                                           # the pen is up
        self.way = np.cumsum(steps)                                      # path length so far, over all strokes
        self.length = self.way[self.last] - self.way[self.starts]

    def steps(self, spacing: float) -> tuple[Array, Array]:
        """Return (stroke, distance along it) of evenly spaced points; one on a stroke shorter than half of it."""
        n = np.floor(self.length / spacing + 0.5).astype(np.int64) + 1
        stroke = np.repeat(np.arange(len(n)), n)
        return stroke, ranges(0 * n, n) * (self.length / np.maximum(n - 1, 1))[stroke]

    def _between(self, stroke: Array, way: Array) -> tuple[Array, Array, Array]:
        """Return the points before and after each position, and where it lies between them, from 0 to 1."""
        way = self.way[self.starts][stroke] + np.clip(way, 0, self.length[stroke])
        left = np.searchsorted(self.way, way, "right") - 1
        left = np.clip(left, self.starts[stroke], np.maximum(self.last - 1, self.starts)[stroke])
        right = np.minimum(left + 1, self.last[stroke])
        gap = self.way[right] - self.way[left]
        return left, right, np.clip(np.divide(way - self.way[left], gap, out=np.zeros_like(way), where=gap > 0), 0, 1)

    def at(self, stroke: Array, way: Array) -> Array:
        """Return the positions (p, 2) at distances along strokes, clipped at their ends."""
        left, right, share = self._between(stroke, way)
        places: Array = self.points[left] + share[:, None] * (self.points[right] - self.points[left])
        return places

    def way_share(self, stroke: Array, way: Array) -> Array:
        """Return the fraction of the character's path before each position, 0.5 for a path without length."""
        n = self.sample.max(initial=-1) + 1
        total = np.bincount(self.sample, self.length, n)
        passed = np.cumsum(self.length) - self.length
        passed -= (np.cumsum(total) - total)[self.sample]
        whole = total[self.sample[stroke]]
        return np.clip(np.divide(passed[stroke] + way, whole, out=np.full(len(way), 0.5), where=whole > 0), 0, 1)

    def time_share(self, stroke: Array, way: Array, times: Array) -> Array:
        """Return the fraction of the character's time that has passed at each position."""
        low, high = _extremes(times, self.sample[self.of], self.sample.max(initial=-1) + 1)
        left, right, share = self._between(stroke, way)
        now, sample = times[left] + share * (times[right] - times[left]), self.sample[stroke]
        whole = (high - low)[sample]
        return np.divide(now - low[sample], whole, out=np.full(len(way), 0.5), where=whole > 0)


def _extremes(values: Array, of: Array, n: int) -> tuple[Array, Array]:
    """Return the minima and maxima of n parts, infinite for empty parts."""
    low, high = np.full((n, *values.shape[1:]), np.inf), np.full((n, *values.shape[1:]), -np.inf)
    np.minimum.at(low, of, values)
    np.maximum.at(high, of, values)
    return low, high


def _direction(steps: Array, bins: int) -> Array:
    """Return the nearest of the direction bins; 0 is along x, counted from x towards y."""
    nearest: Array = np.floor(np.arctan2(steps[:, 1], steps[:, 0]) * (bins / (2 * np.pi)) + 0.5) % bins
    return nearest


def _bend(before: Array, after: Array, bins: int) -> Array:
    """Return the curvature bin of the turn between two steps, from -90 to 90 degrees."""
    turn = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(1))
    return np.clip(np.floor((turn / np.pi + 0.5) * bins), 0, bins - 1)


def _merged(sites: Array, weights: Array, size: int) -> tuple[Array, Array]:
    """Return the distinct sites and the sums of their weights."""
    d = sites.shape[1] - 1
    if float(sites[:, 0].max(initial=0) + 1) * float(size)**d < 2**63:
        keys = np.ravel_multi_index(tuple(sites.T), (int(sites[:, 0].max(initial=0)) + 1, *(size,) * d))
        _, first, row = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, row = np.unique(sites, axis=0, return_index=True, return_inverse=True)
    features = np.bincount(row.ravel(), weights, len(first)).astype(np.float32)
    return sites[first].astype(np.int32), features[:, None]


def _checked(name: str, values: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    if values is None:
        return None
    array: Array = as_array(f"LiftedEncoder.sites: {name}", values)
    if array.shape != shape or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ShapeError(expected("LiftedEncoder.sites", f"{name} {shape} of finite numbers",
                                  f"shape {array.shape} of {array.dtype}"))
    return array.astype(np.float64)
