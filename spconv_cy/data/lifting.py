"""Strokes lifted to up to five dimensions: a site for each place, direction, curvature and time of the pen."""

from dataclasses import asdict, dataclass

import numpy as np

from spconv_cy.checks import as_array, is_number
from spconv_cy.data.packed import ranges
from spconv_cy.data.strokes import Characters
from spconv_cy.errors import GridError, ShapeError
from spconv_cy.sites.lattice import is_whole

AXES = ("x", "y", "direction", "curvature", "time")


@dataclass(frozen=True)
class LiftedEncoder:
    """Draws characters as sites of as many axes as are named; what crosses in the plane is apart in the others.

    Points are taken along each stroke at even spacing, and each gives its site the weight `spacing`: the feature, one
    plane, is the length of way in the site. Every axis has `size` sites; a sparse field costs nothing for its width.

    - "x", "y": as for StrokeEncoder; the box of a character, its aspect kept, is `scale` sites, in the middle.
    - "direction": of the way from `window` sites before to `window` sites behind the point (clipped at the stroke's
      ends), rounded to one of `directions` bins. It is cyclic: the first `overlap` bins stand a second time behind the
      last, so no pair of neighbours is cut apart. A dot has no direction, and shares its weight among all.
    - "curvature": the turn of that direction at the point, from -90 degrees or less (one bin) to 90 or more, in `bends`
      bins, an odd number: straight is in the middle of one.
    - "time": the share of the character's way, or of its time where `times` are given, spread over `span` sites.

    Args:
        axes: some of those names, each once.
        size: sites along every axis, 1 to 32768.
        scale, spacing, window: in sites, positive.
        directions, overlap: 2 or more; 0 up to directions.
        bends: odd.
        span: sites, from 0 up.

    >>> encoder = LiftedEncoder(("x", "direction"), size=8, scale=2, spacing=1, directions=4, overlap=1)
    >>> sites, features = encoder.sites([[[(0, 0), (9, 0)]]])           # to the right: direction 0, and its copy
    >>> sites.tolist(), features.ravel().tolist()
    ([[0, 3, 1], [0, 3, 5], [0, 4, 1], [0, 4, 5], [0, 5, 1], [0, 5, 5]], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """

    axes: tuple = AXES
    size: int = 32
    scale: float = 16
    spacing: float = 0.5
    window: float = 1.5
    directions: int = 8
    overlap: int = 1
    bends: int = 5
    span: float = 16

    def __post_init__(self):
        axes = self.axes if isinstance(self.axes, (list, tuple)) else (self.axes,)
        words = all(isinstance(axis, str) for axis in axes)
        if not axes or not words or not set(axes) <= set(AXES) or len(set(axes)) != len(axes):
            raise ValueError(f"LiftedEncoder: axes {self.axes!r} came; some of {AXES}, each once, fit")
        object.__setattr__(self, "axes", tuple(axes))
        if not is_whole(self.size) or not 1 <= self.size <= 2**15:
            raise ValueError(f"LiftedEncoder: size {self.size!r} came; a whole number from 1 to {2**15} fits")
        for name in ("scale", "spacing", "window"):
            if not is_number(getattr(self, name), 0.001, 2**31):
                raise ValueError(f"LiftedEncoder: {name} {getattr(self, name)!r} came; a number from 0.001 up fits")
        counts = self.directions, self.overlap, self.bends
        if not all(map(is_whole, counts)) or self.directions < 2 or not 0 <= self.overlap <= self.directions \
                or self.bends < 1 or self.bends % 2 == 0:
            raise ValueError(f"LiftedEncoder: directions, overlap, bends {counts} came; 2 or more directions, an "
                             "overlap of 0 up to as many, and an odd number of bends fit")
        if not is_number(self.span):
            raise ValueError(f"LiftedEncoder: span {self.span!r} came; a number from 0 up fits")
        for axis, needed in (("x", self.scale), ("y", self.scale), ("direction", self.directions + self.overlap),
                             ("curvature", self.bends), ("time", self.span)):
            if axis in axes and not 0 <= needed <= self.size - (axis in "xy time"):
                raise ValueError(f"LiftedEncoder: the axis {axis} takes {needed} sites and size is {self.size}; a size "
                                 "above that fits")

    planes = 1

    @property
    def dimension(self):
        """The number of axes."""
        return len(self.axes)

    def sites(self, characters, items=None, *, matrices=None, shifts=None, stroke_shifts=None, time_shifts=None,
              times=None, n_threads=None):
        """Draw characters as one batch.

        Args:
            characters, items, matrices, shifts, stroke_shifts: as for StrokeEncoder.sites.
            time_shifts: (b,), in units of span.
            times: (points,) of every pen point of characters, finite; None: time passes with the pen's way.
            n_threads: nothing here depends on it.

        Returns:
            sites (m, 1 + d) int32, batch index first, different and in lexicographic order, and features (m, 1)
            float32.

        Raises:
            ShapeError, ValueError: characters, moves or times that do not fit.
            GridError: points outside the field; says how many, and along which axis.
        """
        packed = Characters.pack(characters)
        items = as_array("LiftedEncoder.sites: items", np.arange(len(packed)) if items is None else items)
        items = np.atleast_1d(items)
        if items.ndim != 1 or items.dtype.kind not in "iu" and items.size:
            raise ShapeError(f"LiftedEncoder.sites: items {items.shape} {items.dtype} came; (b,) integers fit")
        items = np.arange(len(packed))[items.astype(np.int64)]
        times = _checked("times", times, (len(packed.points),))
        time_shifts = _checked("time_shifts", time_shifts, (len(items),))
        stroke_shifts = _checked("stroke_shifts", stroke_shifts, (len(packed.stroke_starts) - 1, 2))
        taken, strokes = packed.take(items)
        if stroke_shifts is not None:
            stroke_shifts = stroke_shifts[strokes]
        if times is not None:
            times = times[ranges(packed.stroke_starts[:-1][strokes], packed.stroke_starts[1:][strokes])]
        ink = _Ink(taken, self.scale, _checked("matrices", matrices, (len(items), 2, 2)),
                   _checked("shifts", shifts, (len(items), 2)), stroke_shifts)
        stroke, way = ink.steps(self.spacing)
        here = ink.at(stroke, way)
        before, behind = (ink.at(stroke, way + by) for by in (-self.window, self.window))
        sample = ink.sample[stroke]
        columns = []
        for axis in self.axes:
            if axis in "xy":
                columns.append(np.floor(here[:, "xy".index(axis)] + self.size / 2))
            elif axis == "direction":
                columns.append((self.size - self.directions - self.overlap) // 2
                               + _direction(behind - before, self.directions))
            elif axis == "curvature":
                columns.append((self.size - self.bends) // 2 + _bend(here - before, behind - here, self.bends))
            else:
                share = ink.way_share(stroke, way) if times is None else ink.time_share(stroke, way, times)
                moved = 0 if time_shifts is None else time_shifts[sample]
                columns.append(np.floor(self.size / 2 + self.span * (share - 0.5 + moved)))
        sites = np.column_stack([sample, *columns])
        weights = np.full(len(sites), self.spacing)
        if "direction" in self.axes:
            dots = ink.length[stroke] == 0
            sites, weights = self._round_about(sites, weights, dots, 1 + self.axes.index("direction"))
        self._check_inside(sites)
        return _merged(sites.astype(np.int64), weights, self.size)

    def describe(self):
        """Return {"class", "arguments"} of JSON values: LiftedEncoder(**arguments) is this encoder again."""
        return {"class": "LiftedEncoder", "arguments": asdict(self) | {"axes": list(self.axes)}}

    def _round_about(self, sites, weights, dots, column):
        # Dots at every direction, then the first directions once more behind the last.
        n, first = self.directions, (self.size - self.directions - self.overlap) // 2
        spread = np.repeat(sites[dots], n, 0)
        spread[:, column] = first + np.arange(len(spread)) % n
        sites = np.concatenate([sites[~dots], spread])
        weights = np.concatenate([weights[~dots], np.repeat(weights[dots] / n, n)])
        again = sites[:, column] < first + self.overlap
        copies = sites[again]
        copies[:, column] += n
        return np.concatenate([sites, copies]), np.concatenate([weights, weights[again]])

    def _check_inside(self, sites):
        outside = (sites[:, 1:] < 0) | (sites[:, 1:] >= self.size)
        if outside.any():
            axis = self.axes[int(outside.sum(0).argmax())]
            raise GridError(f"LiftedEncoder: {int(outside.any(1).sum())} points lie outside the field of {self.size} "
                            f"sites, most along {axis}; use a larger size, a smaller scale or span, or smaller shifts")


class _Ink:
    # The strokes of a batch, normalised and moved: sample (s,), length (s,), and places along them.

    def __init__(self, characters, scale, matrices, shifts, stroke_shifts):
        n = len(characters)
        self.sample = np.repeat(np.arange(n), np.diff(characters.character_starts))
        self.starts, self.last = characters.stroke_starts[:-1], characters.stroke_starts[1:] - 1
        self.of = np.repeat(np.arange(len(self.starts)), np.diff(characters.stroke_starts))
        points, of = characters.points, self.sample[self.of]             # the sample of every point
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
        steps[1:] = np.hypot(*np.diff(self.points, axis=0).T)
        steps[self.starts] = 0                                           # the pen is up
        self.way = np.cumsum(steps)                                      # through all strokes, at every point
        self.length = self.way[self.last] - self.way[self.starts]

    def steps(self, spacing):
        # Evenly spaced: (stroke, way within it) of every point; a stroke shorter than half the spacing has one.
        n = np.floor(self.length / spacing + 0.5).astype(np.int64) + 1
        stroke = np.repeat(np.arange(len(n)), n)
        return stroke, ranges(0 * n, n) * (self.length / np.maximum(n - 1, 1))[stroke]

    def _between(self, stroke, way):
        # The point before and the share of the way to the next one.
        way = self.way[self.starts][stroke] + np.clip(way, 0, self.length[stroke])
        left = np.searchsorted(self.way, way, "right") - 1
        left = np.clip(left, self.starts[stroke], np.maximum(self.last - 1, self.starts)[stroke])
        right = np.minimum(left + 1, self.last[stroke])
        gap = self.way[right] - self.way[left]
        return left, right, np.clip(np.divide(way - self.way[left], gap, out=np.zeros_like(way), where=gap > 0), 0, 1)

    def at(self, stroke, way):
        # (p, 2) places, clipped at the strokes' ends.
        left, right, share = self._between(stroke, way)
        return self.points[left] + share[:, None] * (self.points[right] - self.points[left])

    def way_share(self, stroke, way):
        # What part of the character's whole way lies before; a half where there is none.
        n = self.sample.max(initial=-1) + 1
        total = np.bincount(self.sample, self.length, n)
        passed = np.cumsum(self.length) - self.length
        passed -= (np.cumsum(total) - total)[self.sample]
        whole = total[self.sample[stroke]]
        return np.clip(np.divide(passed[stroke] + way, whole, out=np.full(len(way), 0.5), where=whole > 0), 0, 1)

    def time_share(self, stroke, way, times):
        # What part of the time between the character's first and last moment has passed.
        low, high = _extremes(times, self.sample[self.of], self.sample.max(initial=-1) + 1)
        left, right, share = self._between(stroke, way)
        now, sample = times[left] + share * (times[right] - times[left]), self.sample[stroke]
        whole = (high - low)[sample]
        return np.divide(now - low[sample], whole, out=np.full(len(way), 0.5), where=whole > 0)


def _extremes(values, of, n):
    # The least and the largest of each of n parts, infinite where there is none.
    low, high = np.full((n, *values.shape[1:]), np.inf), np.full((n, *values.shape[1:]), -np.inf)
    np.minimum.at(low, of, values)
    np.maximum.at(high, of, values)
    return low, high


def _direction(steps, bins):
    # Rounded to the nearest of the bins, 0 along x, counted from x towards y.
    return np.floor(np.arctan2(steps[:, 1], steps[:, 0]) * (bins / (2 * np.pi)) + 0.5) % bins


def _bend(before, behind, bins):
    turn = np.arctan2(before[:, 0] * behind[:, 1] - before[:, 1] * behind[:, 0], (before * behind).sum(1))
    return np.clip(np.floor((turn / np.pi + 0.5) * bins), 0, bins - 1)  # -90 to 90 degrees


def _merged(sites, weights, size):
    # Sites that occur several times once, with the sum of their weights.
    d = sites.shape[1] - 1
    if float(sites[:, 0].max(initial=0) + 1) * float(size)**d < 2**63:
        keys = np.ravel_multi_index(tuple(sites.T), (int(sites[:, 0].max(initial=0)) + 1, *(size,) * d))
        _, first, row = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, row = np.unique(sites, axis=0, return_index=True, return_inverse=True)
    features = np.bincount(row.ravel(), weights, len(first)).astype(np.float32)
    return sites[first].astype(np.int32), features[:, None]


def _checked(name, values, shape):
    if values is None:
        return None
    values = as_array(f"LiftedEncoder.sites: {name}", values)
    if values.shape != shape or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ShapeError(f"LiftedEncoder.sites: {name} {values.shape} of {values.dtype} came; {shape} finite numbers "
                         "fit")
    return values.astype(np.float64)
