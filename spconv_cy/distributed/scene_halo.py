"""The boundary rows that ranks exchange so that each has all the rows in the windows of its own sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spconv_cy.backend.switch import Part
from spconv_cy.errors import BackendError, expected
from spconv_cy.sites import Rulebook, Window, rules
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.distributed.ranks import Ranks

Range = tuple[int, int]                                                  # from a coordinate to before another
FAR = 2**62
REMEDY = "gather the scene first, sp.distributed.gather(x), or leave the layer out"


class Place:
    """The sites of one grid that a rank has: those whose coordinate along an axis lies between two cuts.

    Args:
        ranks: Ranks.
        sites: (n, 1+d) int32 in canonical order, of this rank.
        cuts: size - 1 ascending coordinates; rank r has those from cuts[r-1] to before cuts[r].
        axis: number of the coordinate, from 0.

    Attributes:
        slabs: for each rank the range of coordinates of its sites.
        n_all: number of sites of all ranks.
    """

    def __init__(self, ranks: Ranks, sites: NDArray[np.int32], cuts: tuple[int, ...], axis: int) -> None:
        self.ranks, self.sites, self.cuts, self.axis = ranks, sites, cuts, axis
        self.slabs = _slabs(cuts)
        self.n_all: int = sum(ranks.gather(len(sites)))
        self._halos: dict[tuple[Range, ...], Halo] = {}

    def coarse(self, window: Window, size: tuple[int, ...] | None) -> Place:
        """Return the Place of the output sites of a window that makes sites: those of the scene between coarser cuts.

        Args:
            window: Window.
            size: of the output's field, or None.
        """
        stride, rank = window.stride[self.axis], self.ranks.rank
        cuts = tuple(-(-cut // stride) for cut in self.cuts)
        slabs = _slabs(cuts)
        near = self.halo(tuple(_needed(window, self.axis, *slab) for slab in slabs)).sites
        sites = rules.reached(near, window, size)
        along, (low, high) = sites[:, 1 + self.axis], slabs[rank]
        sites = np.ascontiguousarray(sites[(along >= low) & (along < high)])
        if window.min_active > 1:
            counts = np.bincount(rules.given(near, sites, window)[1], minlength=len(sites))
            sites = np.ascontiguousarray(sites[counts >= window.min_active])
        return Place(self.ranks, sites, cuts, self.axis)

    def halo(self, wanted: tuple[Range, ...]) -> Halo:
        """Return the Halo with which every rank has the sites in its wanted range; the same object for equal ranges."""
        if wanted not in self._halos:
            self._halos[wanted] = Halo(self, wanted)
        return self._halos[wanted]


class Halo:
    """Rows of other ranks beside this rank's own, in canonical order.

    Args:
        place: Place of the rows.
        wanted: for each rank the range of coordinates whose sites it needs beside its own.

    Attributes:
        exists: whether any rank may need a row of another.
        sites: (e, 1+d) int32, the sites of own and foreign rows.
        first: the name of this rank's first row, see `names`.
    """

    def __init__(self, place: Place, wanted: tuple[Range, ...]) -> None:
        ranks, slabs = place.ranks, place.slabs
        self.ranks, self.n, self.sites, self.first = ranks, len(place.sites), place.sites, ranks.rank << 32
        # Both sides of an exchange compute these lists alike from the cuts alone.
        pairs = [(a, b) for a in range(ranks.size) for b in range(ranks.size)
                 if a != b and _meet(slabs[a], wanted[b])]
        self.exists = bool(pairs)
        if not self.exists:
            return
        along = place.sites[:, 1 + place.axis]
        self._rows = {b: np.flatnonzero((along >= wanted[b][0]) & (along < wanted[b][1])).astype(np.int32)
                      for a, b in pairs if a == ranks.rank}
        sources = [a for a, b in pairs if b == ranks.rank]
        counts = {a: np.zeros(1, np.int64) for a in sources}
        ranks.exchange({b: np.array([len(rows)], np.int64) for b, rows in self._rows.items()}, counts)
        self._counts = {a: int(n[0]) for a, n in counts.items()}
        foreign = self._received(place.sites)
        joined = np.concatenate([place.sites, *foreign.values()])
        self.sites, places = rules.arrange(joined)
        ends = np.cumsum([self.n, *self._counts.values()])
        self._own = _as_slice(places[:self.n])
        self._at = {a: _as_slice(places[end - self._counts[a]:end]) for a, end in zip(foreign, ends[1:], strict=True)}

    def of(self, x: Part) -> Array:
        """Return a Part's rows with those of the halo. What other ranks sent is kept as long as the Part."""
        if not self.exists:
            return x.plain
        kept = vars(x).setdefault("halos", {})
        if id(self) not in kept:
            kept[id(self)] = self, self._received(x.plain)
        return self._joined(x.plain, kept[id(self)][1])

    def extended(self, x: Array) -> Array:
        """Return this rank's rows x (n, ...) with those of the halo."""
        return self._joined(x, self._received(x)) if self.exists else x

    def names(self) -> NDArray[np.int64]:
        """Return a number for each of this rank's rows that no other row of the scene has."""
        return self.first + np.arange(self.n, dtype=np.int64)

    def _received(self, x: Array) -> dict[int, Array]:
        received = {a: np.empty((n, *x.shape[1:]), x.dtype) for a, n in self._counts.items()}
        self.ranks.exchange({b: x[rows] for b, rows in self._rows.items()}, received)
        return received

    def _joined(self, x: Array, received: dict[int, Array]) -> Array:
        found = np.empty((len(self.sites), *x.shape[1:]), x.dtype)
        found[self._own] = x
        for a, rows in received.items():
            found[self._at[a]] = rows
        return found


class Side(NamedTuple):
    """One direction of a window: the halo of its inputs, a Rulebook from them to own outputs, and rows of all ranks."""

    halo: Halo
    rulebook: Rulebook
    n_in: int
    n_out: int


class Link:
    """A window between the fine and the coarse sites of a scene, in both directions.

    Args:
        fine, coarse: Places.
        window: Window; fine site = stride * coarse site + offset.
    """

    def __init__(self, fine: Place, coarse: Place, window: Window) -> None:
        self.fine, self.coarse, self.window = fine, coarse, window
        self._sides: dict[bool, Side] = {}

    def side(self, up: bool) -> Side:
        """Return the Side from fine to coarse sites, or up from coarse to fine ones; all ranks must ask for it."""
        if up not in self._sides:
            self._sides[up] = self._up() if up else self._down()
        return self._sides[up]

    def _down(self) -> Side:
        halo = self.fine.halo(tuple(fine_range(self.window, self.fine.axis, *slab) for slab in self.coarse.slabs))
        parts = rules.given(halo.sites, self.coarse.sites, self.window)
        return Side(halo, Rulebook.trusted(*parts), self.fine.n_all, self.coarse.n_all)

    def _up(self) -> Side:
        halo = self.coarse.halo(tuple(coarse_range(self.window, self.fine.axis, *slab) for slab in self.fine.slabs))
        parts = rules.swapped(rules.given(self.fine.sites, halo.sites, self.window))
        return Side(halo, Rulebook.trusted(*parts), self.coarse.n_all, self.fine.n_all)


class SceneRulebook(Rulebook):
    """The rulebook of a window for a scene that is cut among ranks: from this rank's rows and a halo to its own rows.

    Args:
        link: Link.
        up: whether inputs are the coarse sites.
    """

    __slots__ = ("link", "up")

    link: Link
    up: bool

    def __init__(self, link: Link, up: bool) -> None:
        self.link, self.up = link, up
        self._pairs, self._volume, self._kept, self.listener = self.side.rulebook.pairs, None, {}, None

    @property
    def side(self) -> Side:
        """The Side of the link that this rulebook is."""
        return self.link.side(self.up)

    @property
    def T(self) -> SceneRulebook:
        """The rulebook of the other direction, with the halo of the outputs."""
        return SceneRulebook(self.link, not self.up)

    @property
    def n_in(self) -> int:
        """Number of this rank's input rows."""
        return len((self.link.coarse if self.up else self.link.fine).sites)

    @property
    def pairs(self) -> Any:
        """Nothing: rows of one rank alone do not fit."""
        raise BackendError(expected("scene", "features that are part of the scene, as scatter and layers make them",
                                    "a plain array", "give it to scatter: scatter(x, array)"))

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(expected("pickle", "a rulebook of a whole grid", "one of a scene that is cut among ranks"))


def _slabs(cuts: tuple[int, ...]) -> tuple[Range, ...]:
    ends = (-FAR, *cuts, FAR)
    return tuple(zip(ends, ends[1:], strict=False))


def fine_range(window: Window, axis: int, low: int, high: int) -> Range:
    """Return the fine coordinates in the windows of coarse coordinates from low to before high."""
    first, last = _reach(window, axis)
    stride = window.stride[axis]
    return _bounded(low, stride * low + first), _bounded(high, stride * (high - 1) + last + 1)


def _needed(window: Window, axis: int, low: int, high: int) -> Range:
    """Return the fine coordinates that decide which coarse sites from low to before high there are."""
    first, end = fine_range(window, axis, low, high)
    if window.kind != "cell":
        return first, end
    stride = window.stride[axis]                                         # a cell may be larger than its window
    return _bounded(low, min(first, stride * low)), _bounded(high, max(end, stride * high))


def coarse_range(window: Window, axis: int, low: int, high: int) -> Range:
    """Return the coarse coordinates whose windows have fine coordinates from low to before high."""
    first, last = _reach(window, axis)
    stride = window.stride[axis]
    return _bounded(low, -((last - low) // stride)), _bounded(high, (high - 1 - first) // stride + 1)


def _reach(window: Window, axis: int) -> Range:
    offsets = window.offsets[:, axis]
    return int(offsets.min()), int(offsets.max())


def _bounded(end: int, found: int) -> int:
    return end if abs(end) == FAR else found


def _meet(a: Range, b: Range) -> bool:
    return max(a[0], b[0]) < min(a[1], b[1])


def _as_slice(rows: Array) -> Any:
    """Return rows as a slice if they follow one another, since numpy copies that faster."""
    n = len(rows)
    return slice(int(rows[0]), int(rows[0]) + n) if n and int(rows[-1]) - int(rows[0]) == n - 1 and (
        np.diff(rows) == 1).all() else rows
