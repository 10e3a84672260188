"""Evenly spread regions by formula, for fields that would have far more bounds than sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spconv_cy.sites.regions import Regions, paired

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice
    from spconv_cy.sites.regions import Pairing


class EvenRegions(Regions):
    """The regions of a pseudorandom fractional pooling without arrays of bounds; time and memory grow with the sites.

    Args:
        lattice: cubic Lattice.
        size: d ints, the field.
        axes: list of Even, one for each axis.

    Attributes: `lattice`, `size`, `out_size`, `span` and `samples` as for Regions, but neither `low` nor `high`.
    """

    def __init__(self, lattice: Lattice, size: Sequence[int], axes: Sequence[Even]) -> None:
        self.lattice, self.size, self.axes = lattice, tuple(size), tuple(axes)
        self.out_size, self.span = tuple(axis.m for axis in axes), tuple(axis.span for axis in axes)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.axes[0].shift)

    def _few(self, sites: NDArray[np.int32]) -> None:
        # There are no bounds to read.
        return None

    def _pairs(self, sites: NDArray[np.int32]) -> Pairing:
        return paired(sites, self.span, [axis.regions_at for axis in self.axes])

    def _volume(self, out_sites: NDArray[np.int32]) -> int | NDArray[np.int64]:
        if all(axis.is_regular for axis in self.axes):
            return int(np.prod(self.span))
        lengths = []
        for number, axis in enumerate(self.axes, 1):
            low, high = axis.bounds(out_sites[:, 0], out_sites[:, number].astype(np.int64))
            lengths.append(high - low)
        volume: NDArray[np.int64] = np.prod(lengths, axis=0, dtype=np.int64)
        return volume


class Even:
    """Regions along one axis: region j begins at floor((j + u) room / steps) - floor(u room / steps).

    Args:
        m: number of regions.
        room, steps: of the starts, as in the formula.
        width: sites of a region, or None: up to the next start, and `more` sites beyond.
        more: see width.
        shift: (samples,) int64, floor(u room).
    """

    def __init__(self, m: int, room: int, steps: int, width: int | None, more: int, shift: NDArray[np.int64]) -> None:
        self.m, self.room, self.steps, self.width, self.more, self.shift = m, room, steps, width, more, shift
        self.span = width or -(-room // steps) + more
        self.is_regular = width is not None or room % steps == 0

    def bounds(self, batch: NDArray[np.int32],
               region: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (low, high), (k,) int64, of regions (k,) int64 of samples (k,)."""
        low = self._start(batch, region)
        return low, low + self.width if self.width else self._start(batch, region + 1) + self.more

    def regions_at(self, batch: NDArray[np.int32], place: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return (span, k): the region that has a site at each place inside it, -1 if none; for k samples and sites."""
        where, rows = place.astype(np.int64), np.arange(len(place))
        found = np.full((self.span, len(place)), -1, np.int64)
        shift, last = self.shift[batch], np.zeros(len(place), np.int64)
        if self.steps:
            last = np.minimum(((where + 1 + shift // self.steps) * self.steps - 1 - shift) // self.room, self.m - 1)
        for region in (last - back for back in range(self.span)):
            low, high = self.bounds(batch, region)
            held = (region >= 0) & (where >= low) & (where < high)
            found[(where - low)[held], rows[held]] = region[held]
        return found

    def _start(self, batch: NDArray[np.int32], region: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self.steps:
            return np.zeros(len(region), np.int64)
        shift = self.shift[batch]
        return (region * self.room + shift) // self.steps - shift // self.steps
