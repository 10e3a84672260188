"""Recordings of event cameras to sites: crops of windows of time, sites (x, y, t), counts of events as features."""

from dataclasses import dataclass

import numpy as np

from spconv_cy.backend.ops import cast
from spconv_cy.checks import as_array, checked_flags, checked_integers, generator, is_number, is_one_of
from spconv_cy.data.augment import stream
from spconv_cy.data.batch import Batches
from spconv_cy.data.packed import ranges
from spconv_cy.errors import ShapeError
from spconv_cy.sites.lattice import INT32_MAX, is_whole
from spconv_cy.tensor import SparseTensor

MOST_CROPS = 10**8
POLARITIES = ("none", "kept", "flipped")


@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """Events of a camera whose pixels tell when they become brighter or darker, in the order of time.

    Attributes:
        t: (n,) int64, microseconds, not falling.
        x, y: (n,) int64, pixels, x right and y down.
        on: (n,) bool: brighter.
        size: (width, height) of the sensor.

    Raises:
        ShapeError: arrays that do not fit each other, times that fall, events beyond the sensor.
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    on: np.ndarray
    size: tuple

    def __post_init__(self):
        size = as_array("Events: size", self.size)
        if size.shape != (2,) or size.dtype.kind not in "iu" or not (size > 0).all():
            raise ShapeError(f"Events: size {self.size!r} came; (width, height), whole and positive, fits")
        object.__setattr__(self, "size", tuple(size.tolist()))
        n = as_array("Events: t", self.t).shape[:1]
        for name in ("t", "x", "y", "on"):
            values = as_array(f"Events: {name}", getattr(self, name))
            if values.ndim != 1 or values.shape != n or values.dtype.kind not in ("b" if name == "on" else "iu"):
                raise ShapeError(f"Events: {name} {values.shape} of {values.dtype} came; {n or '(n,)'} "
                                 f"{'bool' if name == 'on' else 'whole numbers'} fit")
            if values.dtype == np.uint64 and (values > np.iinfo(np.int64).max).any():
                raise ShapeError(f"Events: expected {name} below 2^63, got {values.max()}; the recording is damaged")
            object.__setattr__(self, name, values if name == "on" else values.astype(np.int64))
        falls = np.flatnonzero(self.t[1:] < self.t[:-1])                  # a difference may wrap around
        if len(falls):
            raise ShapeError(f"Events: t falls at event {falls[0] + 1}; sort the events by time")
        outside = (self.x < 0) | (self.x >= self.size[0]) | (self.y < 0) | (self.y >= self.size[1])
        if outside.any():
            raise ShapeError(f"Events: {int(outside.sum())} events lie beyond the sensor of {self.size} pixels")

    def __len__(self):
        return len(self.t)

    def __repr__(self):
        return f"Events({len(self)} of a sensor of {self.size[0]} x {self.size[1]} pixels)"

    def between(self, low, high):
        """Return (first, end): events first up to end are those of low <= t < high; arrays for arrays."""
        low, high = as_array("Events.between: low", low), as_array("Events.between: high", high)
        if not {low.dtype.kind, high.dtype.kind} <= set("iuf"):
            raise ShapeError(f"Events.between: low of {low.dtype} and high of {high.dtype} came; numbers fit")
        return np.searchsorted(self.t, low), np.searchsorted(self.t, high)

    def crops(self, starts, length, side, per_window=1, *, least=100, seed=0):
        """Draw square crops where something happens, around events of windows of time.

        Args:
            starts: (w,) first microseconds of the windows.
            length: of a window, in microseconds.
            side: of a crop, in pixels, at most the sensor's shorter side.
            per_window: crops tried in each window.
            least: events that a crop must hold.
            seed: of the events around which they lie.

        Returns:
            (n, 3) int64: start, and the least x and y of each crop; inside the sensor.
        """
        if not is_whole(side) or not 1 <= side <= min(self.size):
            raise ShapeError(f"Events.crops: side {side!r} came; a whole number up to {min(self.size)} fits")
        checked_integers("Events.crops", 1, length=length)
        checked_integers("Events.crops", 0, per_window=per_window, least=least)
        starts = as_array("Events.crops: starts", starts)
        if starts.ndim != 1 or starts.size and starts.dtype.kind not in "iu":
            raise ShapeError(f"Events.crops: starts {starts.shape} of {starts.dtype} came; (w,) whole numbers fit")
        if len(starts) * per_window > MOST_CROPS:
            raise ShapeError(f"Events.crops: per_window {per_window} came for {len(starts)} windows; {MOST_CROPS} "
                             "crops at most fit")
        starts = np.repeat(starts.astype(np.int64), per_window)
        first, end = self.between(starts, starts + length)
        starts, first, end = (a[end > first] for a in (starts, first, end))
        rng = generator("Events.crops", seed, "seed")
        drawn = first + np.floor(rng.random(len(first)) * (end - first)).astype(np.int64)
        low = [np.clip(places[drawn] - side // 2, 0, extent - side)
               for places, extent in zip((self.x, self.y), self.size, strict=True)]
        crops = np.column_stack([starts, *low])
        return crops[np.bincount(self._held(crops, length, side)[0], minlength=len(crops)) >= least]

    def _held(self, crops, length, side):
        # (crop, event) of every event in every crop.
        first, end = self.between(crops[:, 0], crops[:, 0] + length)
        crop = np.repeat(np.arange(len(crops)), end - first)
        event = ranges(first, end)
        inside = np.ones(len(crop), bool)
        for column, places in ((1, self.x), (2, self.y)):
            at = places[event] - crops[crop, column]
            inside &= (at >= 0) & (at < side)
        return crop[inside], event[inside]


class EventBatches(Batches):
    """Crops of an event recording as sites (x, y, t), the numbers of their events as features.

    A crop is `side` pixels wide and `length` microseconds long, in cells of `pixels` and `microseconds`, in the middle
    of a field. In training it may be mirrored, turned, stretched, shifted, and boosted: seen by a camera that moves
    evenly, x += v t.

    Samples with `backward` true are played from their end to their start. What gets darker forward gets brighter
    backward, so a recording played backward with its polarities as they were shows a world in negative, which is
    another and easier thing to tell. `polarity` says what to do:

    - "none": one plane, all events;
    - "kept": two planes, brighter and darker, as they were;
    - "flipped": two planes, exchanged where time runs backward, as physics would have it.

    Without time ("none" below) the first two are the same forward and backward, site by site; the third is not: which
    edge of a thing is the bright one tells how it moves.

    Args:
        events: Events.
        crops: (n, 3) start, x, y, as `Events.crops` gives them.
        labels: (n,) class numbers, or None.
        backward: (n,) bool, or None: forward.
        length, side: of a crop; the length is a whole number of cells.
        pixels, microseconds: of a cell.
        field: sites along each axis; None: just what the crop takes along its longest.
        time: "axis", or "none": all of a window at once, the control.
        polarity: one of the above.
        factors: one number a plane, which multiplies it; None: those that bring the mean of its counts here to 1 (the
            largest would depend on the one most restless pixel).
        mirror: whether x and y are mirrored at random in training.
        turn: in radians, at most; np.pi: all directions.
        stretch: of both axes alike, by at most this share, less than 1.
        shift: in pixels, at most.
        boost: in pixels a millisecond, at most, along each axis.

    Raises:
        ShapeError, ValueError: arguments that do not fit.
    """

    def __init__(self, events, crops, labels, *, backward=None, length=20_000, side=64, pixels=2, microseconds=2000,
                 field=None, time="axis", polarity="none", factors=None, mirror=False, turn=0.0, stretch=0.0,
                 shift=0.0, boost=0.0, batch=50):
        self.crops = as_array("EventBatches: crops", crops)
        if self.crops.ndim != 2 or self.crops.shape[1] != 3 or self.crops.dtype.kind not in "iu":
            raise ShapeError(f"EventBatches: crops {self.crops.shape} of {self.crops.dtype} came; (n, 3) whole numbers "
                             "fit: start, x and y, as Events.crops gives them")
        super().__init__(len(self.crops), labels, batch=batch)
        self.backward = np.zeros(self.n, bool) if backward is None else as_array("EventBatches: backward", backward)
        if self.backward.shape != (self.n,) or self.backward.dtype != bool:
            raise ShapeError(f"EventBatches: backward {self.backward.shape} of {self.backward.dtype} came; ({self.n},) "
                             "bool fits")
        sizes = {"length": length, "side": side, "pixels": pixels, "microseconds": microseconds}
        if not all(is_whole(value) and value >= 1 for value in sizes.values()):
            raise ShapeError(f"EventBatches: {sizes} came; whole numbers from 1 up fit")
        if length % microseconds:
            raise ShapeError(f"EventBatches: length {length} came with cells of {microseconds} microseconds; a whole "
                             "number of cells fits: a shorter one at the end would tell where the end was")
        if not is_one_of(time, ("axis", "none")) or not is_one_of(polarity, POLARITIES):
            raise ValueError(f"EventBatches: time {time!r} and polarity {polarity!r} came; 'axis' or 'none', and "
                             f"{', '.join(POLARITIES)} fit")
        self.moves = {"turn": turn, "stretch": stretch, "shift": shift, "boost": boost}
        if not all(is_number(value, 0, 1 if name == "stretch" else np.inf) for name, value in self.moves.items()):
            raise ValueError(f"EventBatches: {self.moves} came; numbers from 0 up fit, the stretch below 1")
        checked_flags("EventBatches", mirror=mirror)
        if not isinstance(events, Events):
            raise TypeError(f"EventBatches: a {type(events).__name__} came as the events; Events fit")
        self.events, self.length, self.side, self.cell = events, length, side, (pixels, pixels, microseconds)
        self.time, self.polarity, self.mirror = time, polarity, mirror
        cells = [-(-side // pixels)] * 2 + [-(-length // microseconds)] * (time == "axis")
        field = max(cells) if field is None else field
        if not is_whole(field) or not max(cells) <= field <= INT32_MAX:
            raise ShapeError(f"EventBatches: field {field!r} came; {max(cells)} or more holds the crop")
        self.size, self.planes = (int(field),) * len(cells), 1 if polarity == "none" else 2
        self._low = (np.array(self.size) - cells).astype(np.int32) // 2     # the crop's first site
        self.factors = cast(as_array("EventBatches: factors", self._factors() if factors is None else factors),
                            np.dtype(np.float32), "EventBatches: factors")
        if self.factors.shape != (self.planes,) or self.factors.dtype.kind != "f":
            raise ShapeError(f"EventBatches: factors {self.factors.shape} came; ({self.planes},) fits")
        self.factors = self.factors.astype(np.float32)

    def _factors(self):
        self.factors, total, counted = np.ones(self.planes, np.float32), np.zeros(self.planes), np.zeros(self.planes)
        draw = self.prepare(0, 0, False)
        for first in range(0, self.n, self.batch):
            features = draw(np.arange(first, min(first + self.batch, self.n))).features.numpy()
            total, counted = total + features.sum(0), counted + (features > 0).sum(0)
        return np.divide(counted, total, out=np.zeros(self.planes), where=total > 0)

    def prepare(self, epoch, seed, training):
        """Draw the epoch's moves; return the function of item numbers (b,) that gives a SparseTensor."""
        matrices, shifts, boosts = np.tile(np.eye(2), (self.n, 1, 1)), np.zeros((self.n, 2)), np.zeros((self.n, 2))
        if training:
            matrices, shifts, boosts = self._moves(stream(seed, epoch, "affine").uniform(-1, 1, (self.n, 8)))
        middle = np.array([self.side, self.side, self.length]) / 2 - 0.5

        def make(items):
            crop, event = self.events._held(self.crops[items], self.length, self.side)
            item = items[crop]
            places = np.column_stack([self.events.x[event], self.events.y[event], self.events.t[event]])
            places = places - self.crops[item][:, [1, 2, 0]] - middle
            back = self.backward[item]
            on = self.events.on[event] ^ (back & (self.polarity == "flipped"))
            places[back, 2] *= -1
            places[:, :2] = places[:, :1] * matrices[item, 0] + places[:, 1:2] * matrices[item, 1]
            places[:, :2] += shifts[item] + boosts[item] * (places[:, 2:] / 1000)
            places += middle + 0.5
            inside = ((places[:, :2] >= 0) & (places[:, :2] < self.side)).all(1)
            return self._tensor(places[inside], crop[inside], on[inside], items)

        return make

    def _moves(self, drawn):
        # Of numbers (n, 8) from -1 to 1: matrices (n, 2, 2), shifts in pixels, boosts in pixels a millisecond.
        angles = self.moves["turn"] * drawn[:, 0]
        turns = np.stack([np.cos(angles), np.sin(angles), -np.sin(angles), np.cos(angles)], 1).reshape(-1, 2, 2)
        signs = np.where((drawn[:, 1:3] > 0) & self.mirror, -1, 1)
        matrices = signs[:, :, None] * turns * (1 + self.moves["stretch"] * drawn[:, 3, None, None])
        return matrices, self.moves["shift"] * drawn[:, 4:6], self.moves["boost"] * drawn[:, 6:]

    def _tensor(self, places, crop, on, items):
        places = np.floor(places / self.cell).astype(np.int32)[:, :len(self.size)] + self._low
        planes = np.zeros((len(places), self.planes), np.float32)
        planes[np.arange(len(places)), (~on).astype(int) if self.planes == 2 else 0] = 1
        return SparseTensor.from_sites(np.column_stack([crop, places]).astype(np.int32), planes * self.factors,
                                       self.size, len(items), reduce="sum")
