"""Recordings of event cameras to sites: crops of time windows, sites (x, y, t), counts of events as features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.backend.numbers import cast
from spconv_cy.checks import (
    as_array,
    checked_flags,
    checked_integers,
    generator,
    is_integer,
    is_number,
    is_one_of,
    kind_of,
)
from spconv_cy.data.augment import stream
from spconv_cy.data.batch import Batches
from spconv_cy.data.packed import ranges
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.lattice import INT32_MAX
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from spconv_cy.types import Array, ArrayLike, Seed

MOST_CROPS = 10**8
POLARITIES = ("none", "kept", "flipped")


@known_arguments
@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """Events of a camera whose pixels report when they become brighter or darker, in the order of time.

    Attributes:
        t: (n,) int64, microseconds, never decreasing.
        x, y: (n,) int64, pixels, x right and y down.
        on: (n,) bool, True for brighter.
        size: (width, height) of the sensor.

    Raises:
        ShapeError: arrays of different lengths or wrong dtypes, decreasing times, events outside the sensor.
    """

    t: Array
    x: Array
    y: Array
    on: Array
    size: tuple[int, int]

    def __post_init__(self) -> None:
        size: Array = as_array("Events: size", self.size)
        if size.shape != (2,) or size.dtype.kind not in "iu" or not (size > 0).all():
            raise ShapeError(expected("Events", "size to be (width, height), whole and positive", f"{self.size!r}"))
        object.__setattr__(self, "size", tuple(size.tolist()))
        n = as_array("Events: t", self.t).shape[:1]
        for name in ("t", "x", "y", "on"):
            values: Array = as_array(f"Events: {name}", getattr(self, name))
            if values.ndim != 1 or values.shape != n or values.dtype.kind not in ("b" if name == "on" else "iu"):
                kind = "bool" if name == "on" else "whole numbers"
                raise ShapeError(expected("Events", f"{name} {n or '(n,)'}, {kind}",
                                          f"shape {values.shape} of {values.dtype}"))
            if values.dtype == np.uint64 and (values > np.iinfo(np.int64).max).any():
                raise ShapeError(expected("Events", f"{name} below 2^63", values.max(), "the recording is damaged"))
            object.__setattr__(self, name, values if name == "on" else values.astype(np.int64))
        falls = np.flatnonzero(self.t[1:] < self.t[:-1])                 # compared: a difference may overflow
        if len(falls):
            at = falls[0] + 1
            raise ShapeError(expected("Events", "times t that never decrease",
                                      f"{self.t[at]} after {self.t[at - 1]} at event {at}", "sort the events by time"))
        outside = (self.x < 0) | (self.x >= self.size[0]) | (self.y < 0) | (self.y >= self.size[1])
        if outside.any():
            raise ShapeError(expected("Events", f"events inside the sensor of {self.size} pixels",
                                      f"{int(outside.sum())} outside"))

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        return f"Events({len(self)} of a sensor of {self.size[0]} x {self.size[1]} pixels)"

    def between(self, low: ArrayLike, high: ArrayLike) -> tuple[Array, Array]:
        """Return (first, end): the events first to end - 1 have low <= t < high; arrays for arrays."""
        begin: Array = as_array("Events.between: low", low)
        end: Array = as_array("Events.between: high", high)
        if not {begin.dtype.kind, end.dtype.kind} <= set("iuf"):
            raise ShapeError(expected("Events.between", "numbers low and high", f"{begin.dtype} and {end.dtype}"))
        return np.searchsorted(self.t, begin), np.searchsorted(self.t, end)

    def crops(self, starts: ArrayLike, length: int, side: int, per_window: int = 1, *, min_events: int = 100,
              seed: Seed = 0) -> Array:
        """Return random square crops with events in them, each around an event of a time window.

        Args:
            starts: (w,) first microseconds of the windows.
            length: of a window, in microseconds.
            side: of a crop, in pixels, at most the sensor's shorter side.
            per_window: the number of crops tried in each window.
            min_events: the smallest number of events of a crop; crops with fewer are dropped.
            seed: for the choice of the events.

        Returns:
            (n, 3) int64: start, smallest x and smallest y of each crop, which is inside the sensor.
        """
        if not is_integer(side) or not 1 <= side <= min(self.size):
            raise ShapeError(expected("Events.crops", f"side to be a whole number from 1 to {min(self.size)}",
                                      f"{side!r}"))
        checked_integers("Events.crops", 1, length=length)
        checked_integers("Events.crops", 0, per_window=per_window, min_events=min_events)
        begin: Array = as_array("Events.crops: starts", starts)
        if begin.ndim != 1 or begin.size and begin.dtype.kind not in "iu":
            raise ShapeError(expected("Events.crops", "starts (w,) of whole numbers",
                                      f"shape {begin.shape} of {begin.dtype}"))
        if len(begin) * per_window > MOST_CROPS:
            raise ShapeError(expected("Events.crops", f"at most {MOST_CROPS} crops",
                                      f"{per_window} in each of {len(begin)} windows"))
        begin = np.repeat(begin.astype(np.int64), per_window)
        first, end = self.between(begin, begin + length)
        begin, first, end = (a[end > first] for a in (begin, first, end))
        rng = generator("Events.crops", seed, "seed")
        drawn = first + np.floor(rng.random(len(first)) * (end - first)).astype(np.int64)
        low = [np.clip(places[drawn] - side // 2, 0, extent - side)
               for places, extent in zip((self.x, self.y), self.size, strict=True)]
        crops = np.column_stack([begin, *low])
        return crops[np.bincount(self._held(crops, length, side)[0], minlength=len(crops)) >= min_events]

    def _held(self, crops: Array, length: int, side: int) -> tuple[Array, Array]:
        """Return (crop, event), the indices of every crop (n, 3) and every event in it."""
        first, end = self.between(crops[:, 0], crops[:, 0] + length)
        crop = np.repeat(np.arange(len(crops)), end - first)
        event = ranges(first, end)
        held = np.ones(len(crop), bool)
        for column, places in ((1, self.x), (2, self.y)):
            at = places[event] - crops[crop, column]
            held &= (at >= 0) & (at < side)
        return crop[held], event[held]


@known_arguments
class EventBatches(Batches):
    """Batches of crops of an event recording as sites (x, y, t); features are the numbers of their events.

    A crop is `side` pixels wide and `length` microseconds long, in cells of `pixels` and `microseconds`, centred in a
    field. In training it may be mirrored, turned, stretched, shifted, and boosted: as seen by a camera that moves at
    constant speed, x += v t.

    Samples with `backward` true are played from their end to their start. Backward in time, an edge that got darker
    gets brighter. With unchanged polarities a recording played backward therefore looks like a negative image, which is
    easier to recognise than the direction of time. `polarity` selects how polarities are used:

    - "none": one plane, all events.
    - "kept": two planes, brighter and darker, unchanged.
    - "flipped": two planes, exchanged in samples played backward, as a real reversed scene would give.

    With time="none", "none" and "kept" give the same sites forward and backward. "flipped" does not: which side of an
    object has the brighter events shows the direction of its motion.

    Args:
        events: Events.
        crops: (n, 3) start, x, y, as `Events.crops` returns them.
        labels: (n,) class numbers, or None.
        backward: (n,) bool; None: all forward.
        length, side: of a crop; the length is a whole number of cells.
        pixels, microseconds: of a cell.
        field: sites along each axis; None: as many as the longest axis of a crop needs.
        time: "axis"; "none": all events of a window at once, as a control.
        polarity: one of the above.
        factors: one number for each plane, by which it is multiplied; None: those that scale the mean of its non-zero
            counts to 1 (the maximum would depend on the single noisiest pixel).
        mirror: whether to mirror x and y at random in training.
        turn: largest angle in radians; np.pi: all directions.
        stretch: largest relative change of both axes together, less than 1.
        shift: largest shift in pixels.
        boost: largest speed in pixels a millisecond, along each axis.
        batch: samples in a batch.

    Raises:
        ShapeError, ValueError: an argument of the wrong shape or out of range.
    """

    def __init__(self, events: Events, crops: ArrayLike, labels: ArrayLike | None, *,
                 backward: ArrayLike | None = None, length: int = 20_000, side: int = 64, pixels: int = 2,
                 microseconds: int = 2000, field: int | None = None, time: str = "axis", polarity: str = "none",
                 factors: ArrayLike | None = None, mirror: bool = False, turn: float = 0.0, stretch: float = 0.0,
                 shift: float = 0.0, boost: float = 0.0, batch: int = 50) -> None:
        self.crops: Array = as_array("EventBatches: crops", crops)
        if self.crops.ndim != 2 or self.crops.shape[1] != 3 or self.crops.dtype.kind not in "iu":
            raise ShapeError(expected("EventBatches", "crops (n, 3) of whole numbers: start, x and y, see Events.crops",
                                      f"shape {self.crops.shape} of {self.crops.dtype}"))
        super().__init__(len(self.crops), labels, batch=batch)
        self.backward: Array = np.zeros(self.n, bool) if backward is None else as_array(
            "EventBatches: backward", backward)
        if self.backward.shape != (self.n,) or self.backward.dtype != bool:
            raise ShapeError(expected("EventBatches", f"backward ({self.n},), bool",
                                      f"shape {self.backward.shape} of {self.backward.dtype}"))
        _check_cells(length=length, side=side, pixels=pixels, microseconds=microseconds)
        if not is_one_of(time, ("axis", "none")) or not is_one_of(polarity, POLARITIES):
            raise ValueError(expected("EventBatches", f"time to be 'axis' or 'none' and polarity one of {POLARITIES}",
                                      f"{time!r} and {polarity!r}"))
        self.moves = {"turn": turn, "stretch": stretch, "shift": shift, "boost": boost}
        if not all(is_number(value, 0, 1 if name == "stretch" else np.inf) for name, value in self.moves.items()):
            raise ValueError(expected("EventBatches", "turn, stretch, shift and boost to be numbers from 0 up, stretch "
                                      "below 1", f"{self.moves}"))
        checked_flags("EventBatches", mirror=mirror)
        if not isinstance(events, Events):
            raise TypeError(expected("EventBatches", "Events", kind_of(events)))
        self.events, self.length, self.side, self.cell = events, length, side, (pixels, pixels, microseconds)
        self.time, self.polarity, self.mirror = time, polarity, mirror
        cells = [-(-side // pixels)] * 2 + [-(-length // microseconds)] * (time == "axis")
        field = max(cells) if field is None else field
        if not is_integer(field) or not max(cells) <= field <= INT32_MAX:
            raise ShapeError(expected("EventBatches", f"field to be {max(cells)} or more, to hold a crop",
                                      f"{field!r}"))
        self.size, self.planes = (int(field),) * len(cells), 1 if polarity == "none" else 2
        self._low = (np.array(self.size) - cells).astype(np.int32) // 2     # the crop's first site
        self.factors = np.ones(self.planes, np.float32)
        self.factors = self._checked_factors(self._mean_factors() if factors is None else factors)

    def _checked_factors(self, factors: ArrayLike) -> Array:
        found: Array = cast(as_array("EventBatches: factors", factors), np.dtype(np.float32), "EventBatches: factors")
        if found.shape != (self.planes,) or found.dtype.kind != "f":
            raise ShapeError(expected("EventBatches", f"factors ({self.planes},)", f"shape {found.shape}"))
        return found.astype(np.float32)

    def _mean_factors(self) -> Array:
        total, counted = np.zeros(self.planes), np.zeros(self.planes)
        draw = self.prepare(0, 0, False)
        for first in range(0, self.n, self.batch):
            features = draw(np.arange(first, min(first + self.batch, self.n))).features.numpy()
            total, counted = total + features.sum(0), counted + (features > 0).sum(0)
        factors: Array = np.divide(counted, total, out=np.zeros(self.planes), where=total > 0)
        return factors

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], SparseTensor]:
        """Draw the epoch's moves; return a function from item indices (b,) to a SparseTensor."""
        matrices, shifts, boosts = np.tile(np.eye(2), (self.n, 1, 1)), np.zeros((self.n, 2)), np.zeros((self.n, 2))
        if training:
            matrices, shifts, boosts = self._moves(stream(seed, epoch, "affine").uniform(-1, 1, (self.n, 8)))
        centre = np.array([self.side, self.side, self.length]) / 2 - 0.5

        def make(items: Array) -> SparseTensor:
            crop, event = self.events._held(self.crops[items], self.length, self.side)
            item = items[crop]
            places = np.column_stack([self.events.x[event], self.events.y[event], self.events.t[event]])
            places = places - self.crops[item][:, [1, 2, 0]] - centre
            back = self.backward[item]
            on = self.events.on[event] ^ (back & (self.polarity == "flipped"))
            places[back, 2] *= -1
            places[:, :2] = places[:, :1] * matrices[item, 0] + places[:, 1:2] * matrices[item, 1]
            places[:, :2] += shifts[item] + boosts[item] * (places[:, 2:] / 1000)
            places += centre + 0.5
            inside = ((places[:, :2] >= 0) & (places[:, :2] < self.side)).all(1)
            return self._tensor(places[inside], crop[inside], on[inside], items)

        return make

    def _moves(self, drawn: Array) -> tuple[Array, Array, Array]:
        """Return matrices (n, 2, 2), shifts in pixels and boosts in pixels a millisecond, from numbers (n, 8) on ±1."""
        angles = self.moves["turn"] * drawn[:, 0]
        turns = np.stack([np.cos(angles), np.sin(angles), -np.sin(angles), np.cos(angles)], 1).reshape(-1, 2, 2)
        signs = np.where((drawn[:, 1:3] > 0) & self.mirror, -1, 1)
        matrices = signs[:, :, None] * turns * (1 + self.moves["stretch"] * drawn[:, 3, None, None])
        return matrices, self.moves["shift"] * drawn[:, 4:6], self.moves["boost"] * drawn[:, 6:]

    def _tensor(self, places: Array, crop: Array, on: Array, items: Array) -> SparseTensor:
        places = np.floor(places / self.cell).astype(np.int32)[:, :len(self.size)] + self._low
        planes = np.zeros((len(places), self.planes), np.float32)
        planes[np.arange(len(places)), (~on).astype(int) if self.planes == 2 else 0] = 1
        return SparseTensor.from_sites(np.column_stack([crop, places]).astype(np.int32), planes * self.factors,
                                       self.size, len(items), reduce="sum")


def _check_cells(*, length: int, side: int, pixels: int, microseconds: int) -> None:
    sizes = {"length": length, "side": side, "pixels": pixels, "microseconds": microseconds}
    if not all(is_integer(value) and value >= 1 for value in sizes.values()):
        raise ShapeError(expected("EventBatches", "whole numbers from 1 up", f"{sizes}"))
    if length % microseconds:                                   # a shorter last cell would reveal the direction of time
        raise ShapeError(expected("EventBatches", f"length to be a multiple of the {microseconds} microseconds of a "
                                  "cell", length))
