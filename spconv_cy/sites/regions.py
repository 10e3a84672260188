"""Windows with drawn bounds: the input sites of every sample, axis and output, and their rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spconv_cy import config
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites import rules
from spconv_cy.sites.grid import Grid, Source
from spconv_cy.sites.order import arrange
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.shapes import MOST_OFFSETS

try:
    import spconv_cy.compiled.regions as compiled
    from spconv_cy.compiled import drawn as drawn
except ImportError:
    compiled = drawn = None                                              # type: ignore[assignment]

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice
    from spconv_cy.sites.window import Window

MOST_BOUNDS = 2**24                                                      # of all samples and axes together
MOST_SITES, MOST_ROWS = 4096, 2**16                                      # of rules of few sites: sites, rows of a table
Rows: TypeAlias = NDArray[np.int32]
# Output sites, in_rows, out_rows, offset_ptr.
Pairing: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]


class Regions:
    """Regions: output j of sample b covers the box low[a][b, j] <= x < high[a][b, j] of all axes a.

    Args:
        lattice: cubic Lattice.
        size: d ints, the field.
        low, high: an int array (samples, outputs of the axis) for each axis. Both rise with the output, low strictly.

    Attributes: `out_size` d ints; `span` d ints, the longest interval; and the arguments, low and high as int32.

    An offset is a position inside a region, as inside a window: lexicographic, the last axis fastest.

    Raises:
        ShapeError: bounds that do not fit each other or the field; another lattice.
    """

    def __init__(self, lattice: Lattice, size: Sequence[int], low: Sequence[Any], high: Sequence[Any]) -> None:
        if lattice.kind != "cubic":
            raise ShapeError(expected("Regions", f"Lattice.cubic({lattice.d}), as regions are boxes", lattice))
        self.lattice, self.size = lattice, tuple(size)
        self.low, self.high = (tuple(np.ascontiguousarray(without_mask(side, "Regions"), np.int32) for side in sides)
                               for sides in (low, high))
        for axis, (a, b, n) in enumerate(zip(self.low, self.high, self.size, strict=True)):
            if a.ndim != 2 or a.shape != b.shape or len(a) != len(self.low[0]) or not a.shape[1] or not (
                    (a < b).all() and (np.diff(a) > 0).all() and (np.diff(b) >= 0).all()
                    and a.min(initial=0) >= 0 and b.max(initial=0) <= n):
                raise ShapeError(expected(
                    "Regions", "0 <= low < high <= size, (samples, outputs) each, both rising, low strictly",
                    f"bounds {a.shape} and {b.shape} for axis {axis} of {n} sites"))
        self.out_size = tuple(a.shape[1] for a in self.low)
        self.span = tuple(int((b - a).max(initial=1)) for a, b in zip(self.low, self.high, strict=True))
        if np.prod(self.span, dtype=object) > MOST_OFFSETS:
            raise ShapeError(expected("Regions", f"at most {MOST_OFFSETS} offsets",
                                      f"regions of up to {self.span} sites"))

    @classmethod
    def trusted(cls, lattice: Lattice, size: Sequence[int], sides: Sequence[tuple[Rows, Rows, int]]) -> Regions:
        """Return regions of (low, high, longest) for each axis, which are right by construction and not checked."""
        regions = cls.__new__(cls)
        regions.lattice, regions.size = lattice, tuple(size)
        regions.low, regions.high, regions.span = zip(*sides, strict=True)
        regions.out_size = tuple(a.shape[1] for a in regions.low)
        return regions

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.low[0])

    def rules(self, grid: Grid, window: Window | None = None) -> tuple[Grid, Rulebook]:
        """Return (output grid, rulebook) of the regions over a grid of this field; they are not kept.

        An output is active if its region has an active site. The `source` of the output grid has the regions, or the
        Window that they replace. `rulebook.volume` is (n_out,) if regions differ.

        Raises:
            ShapeError: a grid of another lattice, size or number of samples; too many bounds.
        """
        if (grid.lattice, grid.size, grid.samples) != (self.lattice, self.size, self.samples):
            raise ShapeError(expected("Regions", f"a grid of {self.samples} samples of size {self.size} on "
                                      f"{self.lattice}", grid))
        few = self._few(grid.sites)
        if few is not None:
            pairs, out_sites, volume = few
            rulebook = Rulebook.of_pairs(pairs, volume)
            return grid.child(out_sites, self.out_size, window or self, rulebook), rulebook
        out_sites, in_rows, out_rows, offset_ptr = self._pairs(grid.sites)
        rulebook = Rulebook.trusted(in_rows, out_rows, offset_ptr, grid.n, len(out_sites), self._volume(out_sites))
        source = Source(grid, window or self, rulebook)
        return Grid(out_sites, self.out_size, grid.samples, grid.lattice, source), rulebook

    def _few(self, sites: Rows) -> tuple[Any, Rows, int | NDArray[np.int64]] | None:
        # Rules of few sites, in one compiled call.
        if not drawn or not 0 < len(sites) <= MOST_SITES:
            return None
        return drawn.rules(sites, self.low, self.high, self.size, self.span, MOST_ROWS)

    def _pairs(self, sites: NDArray[np.int32]) -> Pairing:
        tables, found = self.tables(), None
        if compiled and len(sites):
            low, high = rules.bounds(sites)
            for axis, ends in enumerate(self.high, 1):                   # a region's number is at most its first site
                low[axis] = min(low[axis], (ends <= low[axis]).sum(1).min())
            found = compiled.pairs(sites, low, high - low + 1, tables, config.threads())
        return pairs(sites, tables) if found is None else found

    def tables(self) -> list[NDArray[np.int32]]:
        """Return (span, samples, size) for each axis: the region with a site at this place inside it, -1 if none."""
        check_bounds("Regions", self.samples, self.size)
        tables = []
        for low, high, n, span in zip(self.low, self.high, self.size, self.span, strict=True):
            table = np.full((span, *low.shape[:1], n), -1, np.int32)
            places: Any = np.indices(low.shape)
            sample, number = places
            for tap in range(span):
                holds = low + tap < high
                table[tap, sample[holds], low[holds] + tap] = number[holds]
            tables.append(table)
        return tables

    def _volume(self, out_sites: NDArray[np.int32]) -> int | NDArray[np.int64]:
        lengths = [b - a for a, b in zip(self.low, self.high, strict=True)]
        if all((length == span).all() for length, span in zip(lengths, self.span, strict=True)):
            return int(np.prod(self.span))
        columns = np.ascontiguousarray(out_sites.T).astype(np.int64)
        each = [length.reshape(-1).take(columns[0] * length.shape[1] + place)
                for length, place in zip(lengths, columns[1:], strict=True)]
        volume: NDArray[np.int64] = np.prod(each, axis=0, dtype=np.int64)
        return volume

    def __repr__(self) -> str:
        return f"Regions({self.samples} samples, size {self.size} -> {self.out_size})"


def check_bounds(who: str, samples: int, size: Sequence[int]) -> None:
    """Raise ShapeError if the bounds of regions, one for each site of each axis of each sample, are too many."""
    n = samples * sum(size)
    if n > MOST_BOUNDS:
        raise ShapeError(expected(who, f"at most {MOST_BOUNDS} bounds of drawn regions",
                                  f"{n} of {samples} samples of size {tuple(size)}",
                                  "use a smaller field or a smaller batch"))


def pairs(sites: NDArray[np.int32], tables: Sequence[NDArray[np.int32]]) -> Pairing:
    """Return (output sites, in_rows, out_rows, offset_ptr) in plain numpy, the reference and fallback.

    Args:
        sites: (n, 1+d), canonical.
        tables: from Regions.tables.
    """
    def of(table: NDArray[np.int32]) -> Callable[[Any, Any], Any]:
        return lambda batch, place: table[:, batch, place]

    return paired(sites, [len(table) for table in tables], list(map(of, tables)))


def paired(sites: NDArray[np.int32], spans: Sequence[int], regions_at: Sequence[Callable[[Any, Any], Any]]) -> Pairing:
    """Return the same as `pairs`, from functions instead of tables.

    regions_at[axis](batch, place) returns (span, n) int: the region with a site at each place inside it, -1 if none.
    """
    rows: NDArray[Any] = np.arange(len(sites), dtype=np.int32)
    offsets, out = np.zeros(len(sites), np.int64), sites[:, :1]
    n_offsets = 1
    for axis, (span, found) in enumerate(zip(spans, regions_at, strict=True), 1):
        regions: NDArray[Any] = found(sites[rows, 0], sites[rows, axis])
        tap, place = np.nonzero(regions >= 0)
        out = np.column_stack([out[place], regions[tap, place]])
        rows, offsets, n_offsets = rows[place], offsets[place] * span + tap, n_offsets * span
    out_sites, out_rows = arrange(out)
    order = np.lexsort((out_rows, offsets))
    counts = np.bincount(offsets, minlength=n_offsets)
    return out_sites, rows[order], out_rows[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
