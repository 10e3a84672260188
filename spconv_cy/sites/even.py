"""Evenly spread regions by formula: for fields whose bounds would be more than there are sites by far."""

import numpy as np

from spconv_cy.sites.regions import Regions, paired


class EvenRegions(Regions):
    """The regions of a pseudorandom fractional pooling, without arrays of bounds: the cost is that of the sites.

    Args:
        lattice: Lattice, a cubic one.
        size: d ints, the field.
        axes: list of Even, one an axis.

    Attributes: `lattice`, `size`, `out_size`, `span` and `samples` as for Regions; there is no `low` and no `high`.
    """

    def __init__(self, lattice, size, axes):
        self.lattice, self.size, self.axes = lattice, tuple(size), tuple(axes)
        self.out_size, self.span = tuple(axis.m for axis in axes), tuple(axis.span for axis in axes)

    @property
    def samples(self):
        """Number of samples."""
        return len(self.axes[0].shift)

    def _pairs(self, sites):
        return paired(sites, self.span, [axis.regions_at for axis in self.axes])

    def _volume(self, out_sites):
        if all(axis.is_regular for axis in self.axes):
            return int(np.prod(self.span))
        lengths = []
        for number, axis in enumerate(self.axes, 1):
            low, high = axis.bounds(out_sites[:, 0], out_sites[:, number].astype(np.int64))
            lengths.append(high - low)
        return np.prod(lengths, axis=0, dtype=np.int64)


class Even:
    """Regions along one axis: region j begins at floor((j + u) room / steps) - floor(u room / steps).

    Args:
        m: number of regions.
        room, steps: of the starts; a fixed `width`, or None: up to the next start, and `more` sites beyond.
        shift: (samples,) int64, floor(u room).
    """

    def __init__(self, m, room, steps, width, more, shift):
        self.m, self.room, self.steps, self.width, self.more, self.shift = m, room, steps, width, more, shift
        self.span = width or -(-room // steps) + more
        self.is_regular = width is not None or room % steps == 0

    def bounds(self, batch, region):
        """Return (low, high), (k,) int64, of regions (k,) int64 of samples (k,)."""
        low = self._start(batch, region)
        return low, low + self.width if self.width else self._start(batch, region + 1) + self.more

    def regions_at(self, batch, place):
        """Return (span, k): the region that has a site at this place inside it, -1: none; for k samples and sites."""
        place, rows = place.astype(np.int64), np.arange(len(place))
        found = np.full((self.span, len(place)), -1, np.int64)
        shift, last = self.shift[batch], np.zeros(len(place), np.int64)
        if self.steps:
            last = np.minimum(((place + 1 + shift // self.steps) * self.steps - 1 - shift) // self.room, self.m - 1)
        for region in (last - back for back in range(self.span)):
            low, high = self.bounds(batch, region)
            held = (region >= 0) & (place >= low) & (place < high)
            found[(place - low)[held], rows[held]] = region[held]
        return found

    def _start(self, batch, region):
        if not self.steps:
            return np.zeros(len(region), np.int64)
        shift = self.shift[batch]
        return (region * self.room + shift) // self.steps - shift // self.steps
