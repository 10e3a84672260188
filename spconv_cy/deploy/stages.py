"""Networks of several programs, and what lies between them: layers whose sites and memory follow from the sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spconv_cy import layers as library
from spconv_cy.config import threads
from spconv_cy.deploy.limits import REMEDY, ground_of, refuse, shown
from spconv_cy.deploy.memory import OBJECTS, held
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.rules import rules_bytes
from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from spconv_cy.sites import Grid
    from spconv_cy.types import Array

# Bytes for each thread and site in, and for each site in and out, while sites without an axis are found and rows added.
SORTING, ARRANGED, ADDED = 2048 * 8, 48, 16


class Scales:
    """The sum, at the finest sites, of the input and of the results of the next programs: a Pyramid's.

    Args:
        count: number of those programs.
        factor: as of the Pyramid.
    """

    def __init__(self, count: int, factor: int) -> None:
        self.count, self.pyramid = count, library.Pyramid(factor=factor)

    def __call__(self, x: Any, programs: Sequence[Program]) -> Any:
        """Return the sum for an input."""
        return self.pyramid.summed(x, programs)


def run(parts: Sequence[Any], x: Any, more: Sequence[Any] = ()) -> Any:
    """Return what parts give for x, one after the other; more: other arguments of each."""
    i = 0
    while i < len(parts):
        part, i = parts[i], i + 1
        if isinstance(part, Scales):
            x = part(x, parts[i:i + part.count])
            i += part.count
        else:
            x = part(x, *more)
    return x


def check_scales(parts: Sequence[Any]) -> None:
    """Raise ShapeError if the programs that a Scales sums do not follow it."""
    for i, part in enumerate(parts):
        if isinstance(part, Scales) and not 0 < part.count == len(programs_of(parts[i + 1:i + 1 + part.count])):
            raise ShapeError(expected("Frozen", "as many programs after a Pyramid as it has levels",
                                      f"{part.count} levels"))


def programs_of(parts: Sequence[Any]) -> list[Program]:
    """Return the Programs among the parts of a network."""
    return [part for part in parts if isinstance(part, Program)]


def needed(parts: Sequence[Any], grid: Grid, ground: Array | None, limit: int | None = None) -> int:
    """Return the most bytes that a call of parts takes, the first of them a Program, with finding the rulebooks.

    Raises:
        MemoryError: finding the rulebooks might exceed the limit.
        TypeError: a part's memory is not known.
    """
    bound, i = _Bound(grid, ground, limit), 0
    while i < len(parts):
        part, i = parts[i], i + 1
        if isinstance(part, Program):
            bound.program(part, bound.given)
        elif isinstance(part, Scales):
            bound.scales(part, parts[i:i + part.count])
            i += part.count
        elif type(part) is library.Collapse and bound.has_sites:
            bound.collapse(part)
        else:
            raise refuse([part])
    return bound.most


def fits_in(parts: Sequence[Any], x: Any, limit: int) -> None:
    """Raise MemoryError if a call of parts takes more than `limit` bytes."""
    needs = needed(parts, x.grid, ground_of(x), limit)
    if needs > limit:
        raise MemoryError(expected("Frozen", f"a call that takes at most {shown(limit)}", shown(needs), REMEDY))


class _Bound:
    """What a call takes so far.

    Attributes:
        most: the most bytes at once.
        kept: bytes of the rulebooks and sites that stay until the next call.
        given: bytes of the rows that the next part reads; 0 for those of the caller.
    """

    def __init__(self, grid: Grid, ground: Array | None, limit: int | None) -> None:
        self.grid, self.ground, self._limit = grid, ground, limit
        self.most = self.kept = self.given = self._columns = 0
        self.has_sites = True

    def program(self, program: Program, beside: int) -> None:
        """Add a Program; beside: bytes that are held while it runs."""
        found = program.rules.find(self.grid, self._limit)
        now = max(program.bytes(found, self.ground), program.rules.finding_bytes(found))
        self.most = max(self.most, self.kept + beside + now)
        self.kept += rules_bytes(found) + OBJECTS * (4 * len(found.books) + 16)
        value = program.values[program.output]
        self.ground = None if self.ground is None else program.grounds(self.ground)[0][program.output]
        self._columns, self.has_sites = value.channels, value.place >= 0
        self.grid = found.grids[value.place] if self.has_sites else self.grid
        self.given = held(4 * value.channels * (self.grid.n if self.has_sites else self.grid.samples))

    def collapse(self, layer: library.Collapse) -> None:
        """Add a Collapse: the sites in order, and their rows added; with a ground state, minus it and plus its sum."""
        finer, grounds = self.grid, self.ground is not None
        self.grid, rows = finer.collapse(layer.axis)
        n, m, threads_bytes = finer.n, self.grid.n, SORTING * threads()
        self.kept += rows.nbytes + self.grid.sites.nbytes
        finding = (ARRANGED + 4 * (finer.d + 1)) * n + threads_bytes
        adding = (1 + grounds) * held(4 * self._columns * m) + grounds * self.given + ADDED * (n + m)
        self.most = max(self.most, self.kept + self.given + max(finding, adding) + threads_bytes + 16 * OBJECTS)
        if self.ground is not None and finer.size is not None:
            self.ground = self.ground * float(finer.size[layer.axis])
        self.given = held(4 * self._columns * m)

    def scales(self, part: Scales, programs: Sequence[Program]) -> None:
        """Add the Programs of a Pyramid, each beside its input, the finest rows and the sum so far; then their sum."""
        finest, first, total = self.grid, self.given, self.grid
        sum_bytes = scale = 0
        for power, program in enumerate(programs, 1):
            if self.has_sites:
                self.program(program, first + sum_bytes + scale)
            if not self.has_sites:
                raise refuse([part.pyramid])                             # the call refuses rows without sites, too
            beside = first + sum_bytes + scale + self.given
            spread = part.pyramid.spread(self.grid, power, finest)
            before, total = total, total.union(spread).grid
            row = 4 * (finest.d + 1)
            finding = 4 * row * spread.n + 3 * row * total.n
            rows = 3 * held(4 * self._columns * total.n)
            joined = ADDED * (before.n + spread.n) + row * (total.n + spread.n)
            self.most = max(self.most, self.kept + beside + joined + max(finding, rows) + 32 * OBJECTS)
            sum_bytes, scale = held(4 * self._columns * total.n) + (row + 8) * total.n, self.given
        self.grid, self.given = total, sum_bytes
