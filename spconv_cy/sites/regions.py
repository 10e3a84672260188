"""Windows with drawn bounds: for every sample, axis and output the input sites that it sees; and their rules."""

import numpy as np

from spconv_cy import config
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError
from spconv_cy.sites import rules
from spconv_cy.sites.grid import Grid, Source
from spconv_cy.sites.order import arrange
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.shapes import MOST_OFFSETS

try:
    import spconv_cy.compiled.regions as compiled
except ImportError:
    compiled = None

MOST_BOUNDS = 2**24                                                      # of all samples and axes together


class Regions:
    """Output j of sample b sees the product of the intervals low[a][b, j] <= x < high[a][b, j] of all axes a.

    Args:
        lattice: Lattice, a cubic one.
        size: d ints, the field.
        low, high: an int array (samples, outputs of the axis) an axis. Both rise with the output, low strictly.

    Attributes: `out_size` d ints; `span` d ints, the longest interval; and the arguments, whole numbers as int32.

    An offset is a position inside a region, as inside a window: lexicographic, the last axis fastest.

    Raises:
        ShapeError: bounds that do not fit each other or the field; another lattice.
    """

    def __init__(self, lattice, size, low, high):
        if lattice.kind != "cubic":
            raise ShapeError(f"Regions: {lattice} came; regions are products of intervals, which the cubic lattice "
                             f"has: Lattice.cubic({lattice.d}) fits")
        self.lattice, self.size = lattice, tuple(size)
        self.low, self.high = (tuple(np.ascontiguousarray(without_mask(side, "Regions"), np.int32) for side in sides)
                               for sides in (low, high))
        for axis, (a, b, n) in enumerate(zip(self.low, self.high, self.size, strict=True)):
            if a.ndim != 2 or a.shape != b.shape or len(a) != len(self.low[0]) or not a.shape[1] or not (
                    (a < b).all() and (np.diff(a) > 0).all() and (np.diff(b) >= 0).all()
                    and a.min(initial=0) >= 0 and b.max(initial=0) <= n):
                raise ShapeError(f"Regions: bounds {a.shape} and {b.shape} came for axis {axis} of {n} sites; "
                                 "0 <= low < high <= size fit, (samples, outputs) each, both rising, low strictly")
        self.out_size = tuple(a.shape[1] for a in self.low)
        self.span = tuple(int((b - a).max(initial=1)) for a, b in zip(self.low, self.high, strict=True))
        if np.prod(self.span, dtype=object) > MOST_OFFSETS:
            raise ShapeError(f"Regions: regions of up to {self.span} sites came; at most {MOST_OFFSETS} offsets fit")

    @property
    def samples(self):
        """Number of samples."""
        return len(self.low[0])

    def rules(self, grid, window=None):
        """Return (output grid, rulebook) of the regions over a grid of this field; drawn once, they are not memoised.

        An output is active where its region holds an active site. The output grid remembers the regions, or the Window
        that they stand for, as its `source`. `rulebook.volume` is (n_out,) where regions differ.

        Raises:
            ShapeError: a grid of another lattice, size or number of samples; more bounds than memory is given for.
        """
        if (grid.lattice, grid.size, grid.samples) != (self.lattice, self.size, self.samples):
            raise ShapeError(f"Regions: {grid} came; {self.samples} samples of size {self.size} on {self.lattice} fit")
        out_sites, *parts = self._pairs(grid.sites)
        rulebook = Rulebook.trusted(*parts, grid.n, len(out_sites), self._volume(out_sites))
        source = Source(grid, window or self, rulebook)
        return Grid(out_sites, self.out_size, grid.samples, grid.lattice, source), rulebook

    def _pairs(self, sites):
        tables, found = self.tables(), None
        if compiled and len(sites):
            low, high = rules.bounds(sites)
            for axis, ends in enumerate(self.high, 1):                   # a region's number is at most its first site
                low[axis] = min(low[axis], (ends <= low[axis]).sum(1).min())
            found = compiled.pairs(sites, low, high - low + 1, tables, config.threads())
        return pairs(sites, tables) if found is None else found

    def tables(self):
        """Return (span, samples, size) int32 an axis: which region has a site at this place inside it; -1: none."""
        check_bounds("Regions", self.samples, self.size)
        tables = []
        for low, high, n, span in zip(self.low, self.high, self.size, self.span, strict=True):
            table = np.full((span, *low.shape[:1], n), -1, np.int32)
            sample, number = np.indices(low.shape)
            for tap in range(span):
                holds = low + tap < high
                table[tap, sample[holds], low[holds] + tap] = number[holds]
            tables.append(table)
        return tables

    def _volume(self, out_sites):
        lengths = [b - a for a, b in zip(self.low, self.high, strict=True)]
        if all((length == span).all() for length, span in zip(lengths, self.span, strict=True)):
            return int(np.prod(self.span))
        columns = np.ascontiguousarray(out_sites.T).astype(np.int64)
        each = [length.reshape(-1).take(columns[0] * length.shape[1] + place)
                for length, place in zip(lengths, columns[1:], strict=True)]
        return np.prod(each, axis=0, dtype=np.int64)

    def __repr__(self):
        return f"Regions({self.samples} samples, size {self.size} -> {self.out_size})"


def check_bounds(who, samples, size):
    """Raise ShapeError where the bounds of regions, one a site along each axis of each sample, would be too many."""
    n = samples * sum(size)
    if n > MOST_BOUNDS:
        raise ShapeError(f"{who}: expected at most {MOST_BOUNDS} bounds of drawn regions, got {n} of {samples} samples "
                         f"of size {tuple(size)}; use a smaller field or a smaller batch")


def pairs(sites, tables):
    """Return (output sites, in_rows, out_rows, offset_ptr) in plain numpy: reference and fallback.

    Args:
        sites: (n, 1+d), canonical.
        tables: from Regions.tables.
    """
    def of(table):
        return lambda batch, place: table[:, batch, place]

    return paired(sites, [len(table) for table in tables], list(map(of, tables)))


def paired(sites, spans, regions_at):
    """As `pairs`, where regions_at[axis](batch, place) gives (span, n) int: the region at each place inside it, or -1.
    """
    rows, offsets, out = np.arange(len(sites), dtype=np.int32), np.zeros(len(sites), np.int64), sites[:, :1]
    n_offsets = 1
    for axis, (span, found) in enumerate(zip(spans, regions_at, strict=True), 1):
        regions = found(sites[rows, 0], sites[rows, axis])
        tap, place = np.nonzero(regions >= 0)
        out = np.column_stack([out[place], regions[tap, place]])
        rows, offsets, n_offsets = rows[place], offsets[place] * span + tap, n_offsets * span
    out_sites, out_rows = arrange(out)
    order = np.lexsort((out_rows, offsets))
    counts = np.bincount(offsets, minlength=n_offsets)
    return out_sites, rows[order], out_rows[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
