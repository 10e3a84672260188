"""World-lines: random points and shapes that move, with classes that no single moment shows."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.checks import as_array, as_list, checked_integers, checked_numbers, generator, is_integer, is_one_of
from spconv_cy.data.augment import stream
from spconv_cy.data.batch import Batches
from spconv_cy.data.characters import Characters
from spconv_cy.data.events import Events
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.lattice import INT32_MAX, per_axis
from spconv_cy.tensor import SparseTensor

MOST_LINES, MOST_STEPS = 10**8, 10**6
TIMES = ("axis", "none", "permuted")


@dataclass(frozen=True, eq=False, repr=False)
class WorldLines:
    """Points that move, as returned by `circling_points`, `helices` and `leader_pairs`.

    Attributes:
        places: (n, steps, d) float64, in sites; at least 0 and below size.
        labels: (n,) int64, indices into classes.
        classes: tuple of the names of the classes.
        size: sites along each axis of space.
    """

    places: np.ndarray
    labels: np.ndarray
    classes: tuple
    size: int

    def __len__(self):
        return len(self.places)

    def __repr__(self):
        n, steps, d = self.places.shape
        return f"WorldLines({n} points in {d} dimensions, {steps} steps, size {self.size}; {', '.join(self.classes)})"


def circle(phases, size=32, steps=32, turns=1):
    """Return points (n, steps, 2) on a circle of radius size / 3 about the middle of the field, from x towards y.

    >>> circle([0.0], 30, 4).round(9).tolist()
    [[[25.0, 15.0], [15.0, 25.0], [5.0, 15.0], [15.0, 5.0]]]
    """
    angles = np.reshape(as_array("phases", phases), (-1, 1)) + 2 * np.pi * turns * np.arange(steps) / steps
    return size / 2 + size / 3 * np.stack([np.cos(angles), np.sin(angles)], -1)


def helix(phases, size=32, steps=32, turns=2):
    """Return points (n, steps, 3) on a helix: two turns of `circle` while z goes through the field."""
    round_about = circle(phases, size, steps, turns)
    heights = np.broadcast_to(size * np.arange(steps) / steps, round_about.shape[:2])
    return np.concatenate([round_about, heights[..., None]], -1)


def lissajous(phases, frequencies, size=16, steps=16):
    """Return points (n, steps, d) on Lissajous curves: axis i oscillates frequencies[i] times, by size / 3.

    Args:
        phases: (n, d), radians.
        frequencies: d numbers, or (n, d).
    """
    _check_drawn("lissajous", 0, size, steps)
    phases, frequencies = as_array("lissajous: phases", phases), as_array("lissajous: frequencies", frequencies)
    d = phases.shape[-1] if phases.ndim == 2 else 0
    kinds = {phases.dtype.kind, frequencies.dtype.kind}
    if not d or frequencies.shape not in ((d,), phases.shape) or kinds - set("iuf"):
        raise ShapeError(expected("lissajous", "phases (n, d) and frequencies (d,) or (n, d), numbers",
                                  f"phases {phases.shape} and frequencies {frequencies.shape}"))
    times = 2 * np.pi * np.arange(steps)[:, None] / steps
    angles = phases.astype(float)[:, None] + times * np.atleast_2d(frequencies)[:, None]
    return size / 2 + size / 3 * np.sin(angles)


def circling_points(n, size=32, steps=32, seed=0):
    """Return n points that circle once about a point near the middle; class 1 runs backward in time.

    >>> circling_points(100)
    WorldLines(100 points in 2 dimensions, 32 steps, size 32; forward, backward)
    """
    _check_drawn("circling_points", n, size, steps)
    rng = generator("circling_points", seed, "seed")
    places = circle(rng.uniform(0, 2 * np.pi, n), size, steps)
    places += rng.uniform(-size / 8, size / 8, (n, 1, 2))
    labels = rng.permutation(np.arange(n) % 2)
    return WorldLines(_turned(places, labels == 1), labels, ("forward", "backward"), size)


def helices(n, size=32, steps=32, seed=0):
    """Return n points on right- and left-handed helices, run through forward or backward in time: 4 classes.

    The places alone show the hand, but not the direction in time.
    """
    _check_drawn("helices", n, size, steps)
    rng = generator("helices", seed, "seed")
    places = helix(rng.uniform(0, 2 * np.pi, n), size, steps)
    labels = rng.permutation(np.arange(n) % 4)
    left = labels >= 2
    places[left, :, 1] = np.nextafter(size, 0) - places[left, :, 1]     # the mirror image
    places[..., :2] += rng.uniform(-size / 8, size / 8, (n, 1, 2))
    classes = ("right forward", "right backward", "left forward", "left backward")
    return WorldLines(_turned(places, labels % 2 == 1), labels, classes, size)


def leader_pairs(n, size=16, steps=16, seed=0, lag=2):
    """Return n pairs of points in the plane, as one point (x, y, x', y') in 4 dimensions: which of the two leads?

    Both run along one closed curve of two random harmonics, the second `lag` steps behind the first (class 0) or ahead
    of it (class 1). A pair of one class that runs backward is a pair of the other, so only the order in time tells the
    classes apart.
    """
    _check_drawn("leader_pairs", n, size, steps)
    checked_integers("leader_pairs", -MOST_STEPS, MOST_STEPS, lag=lag)
    rng = generator("leader_pairs", seed, "seed")
    labels = rng.permutation(np.arange(n) % 2)
    times = 2 * np.pi * np.stack([np.arange(steps), np.arange(steps) - lag]) / steps
    places = np.zeros((n, 2, steps, 2))
    for harmonic in (1, 2):
        phases, sizes = rng.uniform(0, 2 * np.pi, (n, 1, 1, 2)), rng.uniform(0.5, 1, (n, 1, 1, 2)) / harmonic**2
        places += sizes * np.sin(harmonic * times[None, :, :, None] + phases)
    low, high = places.min((1, 2), keepdims=True), places.max((1, 2), keepdims=True)
    places = size / 2 + (places - (low + high) / 2) * (2 * size / 3) / (high - low)
    places[labels == 1] = places[labels == 1, ::-1]
    return WorldLines(np.concatenate([places[:, 0], places[:, 1]], -1), labels, ("first leads", "second leads"), size)


def _check_drawn(who, n, size, steps):
    checked_integers(who, 0, MOST_LINES, n=n)
    checked_integers(who, 1, MOST_STEPS, steps=steps)
    checked_numbers(who, 1, 2**31, size=size)


def surface_sites(kind, radius=3):
    """Return the sites (s, 3) of the surface of a "cube" or a "ball" around the origin."""
    if not is_one_of(kind, ("cube", "ball")):
        raise ValueError(expected("surface_sites", "kind 'cube' or 'ball'", f"{kind!r}"))
    checked_integers("surface_sites", 0, 256, radius=radius)
    sites = np.indices((2 * radius + 1,) * 3).reshape(3, -1).T - radius
    reach = abs(sites).max(1) if kind == "cube" else np.rint(np.sqrt((sites**2).sum(1)))
    return sites[reach == radius]


def dart_events(milliseconds=1000, size=(320, 240), seed=0):
    """Return the Events of a dark dart that circles the middle of an event camera's sensor once a second, point first.

    Its outline makes events where it moves across itself: brighter behind, darker ahead. A few events are noise. Played
    backward, the dart flies with its point behind.
    """
    checked_integers("dart_events", 2, 10**6, milliseconds=milliseconds)
    size = per_axis(size, 2, "dart_events size", 1)
    rng = generator("dart_events", seed, "seed")
    corners = min(size) / 240 * np.array([(30, 0), (-22, 26), (-10, 0), (-22, -26)])
    share = np.arange(100)[:, None] / 100
    sides = np.roll(corners, -1, 0) - corners
    outline = (corners[:, None] + share * sides[:, None]).reshape(-1, 2)
    normals = np.repeat(sides[:, ::-1] * (1, -1) / np.linalg.norm(sides, axis=1, keepdims=True), 100, 0)
    times = np.arange(milliseconds)
    angles = 2 * np.pi * (times / 1000 + rng.random())
    turns = np.stack([-np.sin(angles), np.cos(angles), -np.cos(angles), -np.sin(angles)], 1).reshape(-1, 2, 2)
    middles = np.array(size) / 2 + 0.28 * min(size) * np.stack([np.cos(angles), np.sin(angles)], 1)
    places = middles[:, None] + outline @ turns
    speeds = (np.gradient(places, axis=0) * (normals @ turns)).sum(-1)  # pixels a millisecond, outward
    seen = rng.random(speeds.shape) < abs(speeds)
    wrong = 2 * milliseconds
    t = np.concatenate([np.nonzero(seen)[0], rng.integers(milliseconds, size=wrong)])
    x, y = np.floor(np.concatenate([places[seen], rng.random((wrong, 2)) * size])).astype(np.int64).T
    on = np.concatenate([speeds[seen] < 0, rng.random(wrong) < 0.5])
    order = np.argsort(t, kind="stable")
    return Events(1000 * t[order], x[order], y[order], on[order], size)


def reversed_strokes(characters):
    """Return characters drawn from their last point to the first: the same ink, with time reversed.

    >>> reversed_strokes([[[(0, 0), (3, 4)], [(5, 5)]]])[0][1].tolist()
    [[3.0, 4.0], [0.0, 0.0]]
    """
    packed = Characters.pack(characters)
    points = _mirrored(packed.stroke_starts[packed.character_starts])
    lengths = np.diff(packed.stroke_starts)[_mirrored(packed.character_starts)]
    return Characters(packed.points[points], starts_of(lengths), packed.character_starts)


class WorldLineBatches(Batches):
    """World-lines as batches of sites (x_1, ..., x_d, t) in the middle of a field; the feature is the number of points.

    Args:
        lines: WorldLines.
        field: sites along each axis of the network's field.
        batch: samples in a batch.
        time: "axis"; "none": sites (x_1, ..., x_d), a control without time; "permuted": the moments of each sample in
            a random order, a control without the order of time.
        shapes: list of arrays (s, d) of sites around the origin, as from `surface_sites`; None: points.
        kinds: (n,), index of the shape that moves.
        labels: (n,); by default those of the lines.

    Raises:
        ShapeError: the field is too small, or shapes or kinds do not fit the lines.

    >>> x, labels = next(WorldLineBatches(circling_points(100), 32).epoch(0, training=False))
    >>> x.grid.size, x.grid.n
    ((32, 32, 32), 1600)
    """

    def __init__(self, lines, field, *, batch=50, time="axis", shapes=None, kinds=None, labels=None):
        if not isinstance(lines, WorldLines):
            raise TypeError(expected("WorldLineBatches", "WorldLines", f"a {type(lines).__name__}"))
        super().__init__(len(lines), lines.labels if labels is None else labels, batch=batch)
        n, steps, d = lines.places.shape
        if not is_one_of(time, TIMES):
            raise ValueError(expected("WorldLineBatches", f"time to be one of {', '.join(TIMES)}", f"{time!r}"))
        shapes = [np.zeros((1, d), int)] if shapes is None else [
            as_array("WorldLineBatches: shapes", shape)
            for shape in as_list("WorldLineBatches", shapes, "a list of shapes, each an array (s, d)")]
        if any(shape.ndim != 2 or shape.shape[1] != d or shape.dtype.kind not in "iu" for shape in shapes):
            raise ShapeError(expected("WorldLineBatches", f"shapes of integers (s, {d})",
                                      [shape.shape for shape in shapes]))
        kinds = np.zeros(n, int) if kinds is None else as_array("WorldLineBatches: kinds", kinds)
        if kinds.shape != (n,) or kinds.dtype.kind not in "iu" or not set(kinds.tolist()) <= set(range(len(shapes))):
            raise ShapeError(expected("WorldLineBatches", f"kinds ({n},), below {len(shapes)}", kinds.shape))
        reach = max((int(abs(shape).max(initial=0)) for shape in shapes), default=0)
        least = max(lines.size + 2 * reach, steps * (time != "none"))
        if not is_integer(field) or not least <= field <= INT32_MAX:
            raise ShapeError(expected("WorldLineBatches", f"a field of {least} or more sites for {lines} with {reach} "
                                      "sites around", f"{field!r}"))
        self.time, self.kinds, self.size = time, kinds, (int(field),) * (d + (time != "none"))
        self.places = np.floor(lines.places).astype(np.int32) + (field - lines.size) // 2
        self.first = (field - steps) // 2
        # All shapes in one array, so that those of a batch are taken in one step.
        self.shapes, self.counts = np.concatenate(shapes), np.array([len(shape) for shape in shapes])

    def prepare(self, epoch, seed, training):
        """Draw the orders of moments and return a function from item numbers (b,) to a SparseTensor."""
        n, steps, d = self.places.shape
        moments = np.broadcast_to(np.arange(steps), (n, steps))
        if self.time == "permuted":
            drawn = stream(seed, epoch if training else 0, "time").random((n, steps))
            moments = drawn.argsort(1)
        ends = np.cumsum(self.counts)

        def make(items):
            counts = np.repeat(self.counts[self.kinds[items]], steps)
            row = np.repeat(np.arange(len(counts)), counts)              # of (sample, step), for every site
            sample, kinds = row // steps, np.repeat(self.kinds[items], steps)
            sites = self.places[items].reshape(-1, d)[row] + self.shapes[
                ranges((ends - self.counts)[kinds], ends[kinds])]
            if self.time != "none":
                sites = np.column_stack([sites, self.first + moments[items].reshape(-1)[row]])
            return SparseTensor.from_sites(np.column_stack([sample, sites]).astype(np.int32),
                                           np.ones((len(sites), 1), np.float32), self.size, len(items), reduce="sum")

        return make


def _turned(places, backward):
    # The same places in the opposite order.
    return np.where(backward[:, None, None], places[:, ::-1], places)


def _mirrored(starts):
    # The indices of all ranges, each range in reverse.
    counts = np.diff(starts)
    return np.repeat(starts[:-1] + starts[1:] - 1, counts) - np.arange(starts[0], starts[-1])
