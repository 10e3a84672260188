"""The active sites of a batch, in canonical order, with the rules that were made from them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import kind_of
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.once import once
from spconv_cy.sites import algebra, chains, rules
from spconv_cy.sites.chains import Ahead, Course, Link
from spconv_cy.sites.given import as_sites as as_sites
from spconv_cy.sites.given import check_inside, checked_samples
from spconv_cy.sites.given import check_samples as check_samples
from spconv_cy.sites.lattice import Lattice, LatticeLike, Size, as_lattice, is_whole, per_axis
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.sites.window import Window, field_after
from spconv_cy.types import IntegerArray

MANY_WINDOWS = 16                                                        # from here on dead entries are removed


class Source(NamedTuple):
    """The origin of a grid: the grid before, the Window (or Regions) that made it, and their rulebook."""

    parent: Grid
    window: Any
    rulebook: Rulebook


class Join(NamedTuple):
    """A grid of sites of two others; left[i], right[i] are the rows of its site i in them, -1 if it has none."""

    grid: Grid
    left: NDArray[np.int32]
    right: NDArray[np.int32]


class Part(NamedTuple):
    """A grid of some sites of another, and their rows there."""

    grid: Grid
    rows: NDArray[np.int32]


class Weakly(dict[Window, Any]):
    """Grids by the window that made them, each as long as something else holds it."""

    def get(self, window: Window, /) -> Any:  # type: ignore[override]
        """Return the grid of a window, or None."""
        found = super().get(window)
        return None if found is None else found()

    def __setitem__(self, window: Window, grid: Any, /) -> None:
        if len(self) >= MANY_WINDOWS:
            for other in [other for other in list(self) if self.get(other) is None]:
                self.pop(other, None)
        super().__setitem__(window, ref(grid))


@known_arguments
class Grid:
    """Active sites of a batch; make one with `Grid.from_sites`. Immutable.

    Attributes:
        sites: (n, 1+d) int32, batch index first, unique, in lexicographic order.
        size: d ints, or None for an unbounded grid, which may have negative sites.
        samples: number of samples in the batch, including empty ones.
        batch_starts: (samples+1,) int64; the rows of sample i are batch_starts[i] to batch_starts[i+1].
        lattice: Lattice.
        source: (parent, window, rulebook) of a grid that a window made, else None.
        listener: None, or a function of (window, output grid, rulebook) that `rules` calls with what it returns.

    >>> grid = Grid.from_sites(np.array([[0, 5, 1], [0, 2, 7]]), size=8)
    >>> grid.sites.tolist(), grid.rows_of([[0, 5, 1], [0, 0, 0]]).tolist()
    ([[0, 2, 7], [0, 5, 1]], [1, -1])
    """

    def __init__(self, sites: NDArray[np.int32], size: tuple[int, ...] | None, samples: int, lattice: Lattice,
                 source: Source | None = None) -> None:
        fits = isinstance(sites, np.ndarray) and sites.ndim == 2 and sites.shape[1] > 1 and sites.dtype.kind in "iu"
        if not fits or not is_whole(samples) or not 0 <= samples < 2**31:
            raise ShapeError(expected("Grid", "an int32 array in canonical order and a whole number of samples",
                                      f"{kind_of(sites)} and {samples!r}",
                                      "use Grid.from_sites, which takes any sites"))
        sites.flags.writeable = False
        self._begin(sites.view(), size, samples, lattice, source)

    def _begin(self, sites: NDArray[np.int32], size: tuple[int, ...] | None, samples: int, lattice: Lattice,
               source: Source | None, ahead: Ahead | None = None) -> None:
        self._is = (sites, size, samples, lattice, source)
        # The rulebook of a window that keeps the sites lives as long as the grid. A grid that a window makes holds this
        # one, so this one holds it by a weak reference: no cycle keeps a batch alive. All entries are made by `once`.
        self._kept: dict[Hashable, Any] = {}
        self._made = Weakly()
        self._ahead = ahead
        self._course: Course | None = None
        self.listener: Callable[[Window, Grid, Rulebook], None] | None = None

    @property
    def sites(self) -> NDArray[np.int32]:
        """(n, 1+d) int32, read-only: batch index first, unique, in lexicographic order."""
        return self._is[0]

    @property
    def batch_starts(self) -> NDArray[np.int64]:
        """(samples+1,) int64, read-only: the rows of sample i are batch_starts[i] to batch_starts[i+1]."""
        return once(self._kept, "batch_starts", self._starts)

    def _starts(self) -> NDArray[np.int64]:
        samples = np.arange(self.samples + 1, dtype=self.sites.dtype)    # of another dtype, both would be copied
        starts = np.searchsorted(self.sites[:, 0], samples).astype(np.int64)
        starts.flags.writeable = False
        return starts.view()

    @property
    def size(self) -> tuple[int, ...] | None:
        """Size of the field, d ints; None if the grid is unbounded."""
        return self._is[1]

    @property
    def samples(self) -> int:
        """Number of samples in the batch, including empty ones."""
        return self._is[2]

    @property
    def lattice(self) -> Lattice:
        """Lattice of the sites."""
        return self._is[3]

    @property
    def source(self) -> Source | None:
        """The origin of this grid, (parent, window, rulebook); None if no window made it."""
        return self._is[4]

    def __reduce__(self) -> tuple[Any, ...]:
        # Rules are not pickled but made again. The source is, for layers that restore its sites.
        return Grid, (self.sites, self.size, self.samples, self.lattice, self.source)

    @classmethod
    @known_arguments
    def from_sites(cls, sites: ArrayLike, size: Size | None = None, samples: int | None = None,
                   lattice: LatticeLike | None = None) -> Grid:
        """Return a grid of distinct sites.

        Args:
            sites: (n, 1+d) of any integer dtype with int32 values, batch index first, in any order.
            size: an int or d ints: coordinates are from 0 to size - 1; None: unbounded.
            samples: number of samples; by default one more than the largest batch index.
            lattice: Lattice; by default the cubic one of the sites' dimension.

        Raises:
            ShapeError: not whole numbers, or not (n, 1+d).
            GridError: duplicate sites, sites outside the size, a batch index that is negative or too large.
        """
        grid, rows = cls.arrange(sites, size, samples, lattice)
        if grid.n != len(rows):
            raise GridError(expected(
                "Grid", "distinct sites", f"{len(rows) - grid.n} duplicates of {len(rows)}", "remove them, or merge "
                "their features by SparseTensor.from_sites(reduce='sum', 'mean', 'max', 'first' or 'last')"))
        return grid

    @classmethod
    def arrange(cls, sites: ArrayLike, size: Size | None = None, samples: int | None = None,
                lattice: LatticeLike | None = None) -> tuple[Grid, NDArray[np.int32]]:
        """Return (grid, row of each given site (n,) int32) for sites that may repeat; see from_sites."""
        given = as_numpy(sites, "sites")
        array = as_sites(given)
        lattice = as_lattice(array.shape[1] - 1 if lattice is None else lattice)
        if lattice.d != array.shape[1] - 1:
            raise ShapeError(expected("Grid", f"sites (n, {lattice.d + 1}), the batch index and {lattice.d} "
                                      "coordinates", f"shape {array.shape}"))
        axes = None if size is None else lattice.per_axis(size, "Grid size", 1)
        bounds = rules.bounds(array) if len(array) else np.array([[0] * array.shape[1], [-1] * array.shape[1]])
        samples = checked_samples(len(array), int(bounds[0, 0]), int(bounds[1, 0]), samples)
        if axes is not None and len(array):
            check_inside(array, bounds[:, 1:], axes, lattice)
        unique, rows = rules.arrange(array)
        if np.may_share_memory(unique, given):
            unique = unique.copy()                                       # the grid makes its array read-only
        return cls(unique, axes, samples, lattice), rows

    @property
    def n(self) -> int:
        """Number of active sites."""
        return len(self.sites)

    @property
    def d(self) -> int:
        """Dimension."""
        return self.lattice.d

    @property
    def field(self) -> int | None:
        """Number of sites of one sample, active or not; None if the grid is unbounded."""
        return None if self.size is None else self.lattice.field(self.size)

    @property
    def n_dense(self) -> int | None:
        """Number of sites of all samples, active or not; None if the grid is unbounded."""
        return None if self.size is None else self.samples * self.lattice.field(self.size)

    def rows_of(self, sites: ArrayLike) -> NDArray[np.int32]:
        """Return the row (q,) of each of sites (q, 1+d), -1 if a site is not active.

        Raises:
            ShapeError: not whole numbers, or not (q, 1+d).
        """
        queries = as_sites(sites)
        if queries.shape[1] != self.d + 1:
            raise ShapeError(expected("rows_of", f"sites (q, {self.d + 1})", f"shape {queries.shape}"))
        return rules.find(self.sites, queries)

    def rules(self, window: Window) -> tuple[Grid, Rulebook]:
        """Return (output grid, rulebook) of a window over this grid; the same objects for an equal window.

        Args:
            window: Window of this grid's lattice.

        Raises:
            ShapeError: another lattice, a window larger than the field, a stride that does not divide.
        """
        if not isinstance(window, Window):
            raise TypeError(expected("rules", "a Window", kind_of(window)))
        child, rulebook = self._rules(window)
        if self.listener is not None:
            self.listener(window, child, rulebook)
        return child, rulebook

    def _rules(self, window: Window) -> tuple[Grid, Rulebook]:
        # An equal window gives the same objects, also in threads that ask at the same time.
        if window.keeps_sites:
            return self, once(self._kept, window, self._own_pairs, window)
        child: Grid = once(self._made, window, self._child, window)
        return child, child.source.rulebook                             # type: ignore[union-attr]

    def _own_pairs(self, window: Window) -> Rulebook:
        self._check_lattice(window)
        found = self._chained(window)
        if found is None:
            return Rulebook.trusted(*rules.given(self.sites, self.sites, window))
        return Rulebook.of_pairs(found[0][0])

    def _child(self, window: Window) -> Grid:
        self._check_lattice(window)
        out_size = field_after(window, self.size)
        found = self._chained(window)
        if found is None:
            out_sites, parts = rules.made(self.sites, window, out_size)
            return Grid(out_sites, out_size, self.samples, self.lattice, Source(self, window, Rulebook.trusted(*parts)))
        (pairs, sites), ahead = found
        return self.child(cast("NDArray[np.int32]", sites), out_size, window, Rulebook.of_pairs(pairs), ahead)

    def child(self, sites: NDArray[np.int32], size: tuple[int, ...] | None, window: object, rulebook: Rulebook,
              ahead: Ahead | None = None) -> Grid:
        """Return the grid of canonical, read-only sites that a Window, or Regions, made from this one."""
        made = Grid.__new__(Grid)
        made._begin(sites, size, self.samples, self.lattice, Source(self, window, rulebook), ahead)
        return made

    def keep(self, window: Window, found: Grid | Rulebook) -> None:
        """Keep what a window finds, for `rules`: its rulebook if it keeps the sites, else the grid that it makes."""
        kept: Any = self._kept if window.keeps_sites else self._made
        once(kept, window, lambda: found)

    def expect(self, course: Course) -> None:
        """Find the rules of all windows of a course when the first of them is asked for; see sites/chains.py."""
        if self._ahead is None:
            self._course = course

    def _chained(self, window: Window) -> tuple[Link, Ahead] | None:
        found = None if self._ahead is None else self._ahead.take(window)
        if found is None and self._course is not None and window in self._course.first:
            self._ahead = chains.run(self._course, self.sites, self.size)
            found = None if self._ahead is None else self._ahead.take(window)
        if found is None and chains.is_served(window):
            ahead = chains.run(chains.alone(window), self.sites, self.size)
            found = None if ahead is None else ahead.take(window)
        return found

    def _check_lattice(self, window: Window) -> None:
        if window.lattice != self.lattice:
            raise ShapeError(expected("rules", f"a window on {self.lattice}, as the grid", f"one on {window.lattice}"))

    def rules_to(self, window: Window, target: Grid) -> Rulebook:
        """Return the rulebook of a window whose output sites are those of any grid; the same one for equal arguments.

        Args:
            window: Window; if its kind is "transposed", the target has the finer sites, else the coarser.
            target: Grid of this lattice and number of samples, of any size.

        Raises:
            ShapeError: another lattice or number of samples.

        >>> fine, coarse = Grid.from_sites([[0, 3], [0, 4]]), Grid.from_sites([[0, 2], [0, 7]])
        >>> fine.rules_to(Window(1, 2, stride=2), coarse)
        Rulebook(1 pairs, 2 offsets, 2 -> 2 rows)
        """
        if not isinstance(window, Window) or not isinstance(target, Grid):
            raise TypeError(expected("rules_to", "a Window and a Grid",
                                     f"{kind_of(window)} and {kind_of(target)}"))
        if not window.lattice == self.lattice == target.lattice or self.samples != target.samples:
            raise ShapeError(expected("rules_to", f"a window and a target of {self.samples} samples on {self.lattice}",
                                      f"a window on {window.lattice} and {target.samples} samples on {target.lattice}"))
        if target is self and window.keeps_sites:
            return self.rules(window)[1]
        given: WeakKeyDictionary[Grid, dict[Window, Rulebook]] = once(self._kept, "rules_to", WeakKeyDictionary)
        return once(given.setdefault(target, {}), window, self._pairs_to, window, target.sites)

    def _pairs_to(self, window: Window, there: NDArray[np.int32]) -> Rulebook:
        parts = (rules.swapped(rules.given(there, self.sites, window)) if window.kind == "transposed"
                 else rules.given(self.sites, there, window))
        return Rulebook.trusted(*parts)

    def partition(self, size: Size, shift: Size) -> list[IntegerArray]:
        """Return the rows of each window of a partition (see sites/partition.py); the same arrays for equal d ints."""
        from spconv_cy.sites.partition import partition  # only attention needs it

        axes, shifts = per_axis(size, self.d, "partition size", 1), per_axis(shift, self.d, "partition shift", None)
        return once(self._kept, (axes, shifts), partition, self.sites, axes, shifts)

    def grouped(self, size: tuple[int, ...], shift: tuple[int, ...]) -> object:
        """Return the compiled form of a partition, for d ints each, or None; the same one for equal ints."""
        from spconv_cy.sites.partition import grouped

        return once(self._kept, ("grouped", size, shift), lambda: (grouped(self.sites, size, shift),))[0]

    def collapse(self, axis: int) -> tuple[Grid, NDArray[np.int32]]:
        """Return (grid, rows): the grid without a coordinate, and the row in it of each site, (n,) int32; made once.

        >>> grid, rows = Grid.from_sites([[0, 1, 7], [0, 2, 3], [0, 2, 7]]).collapse(0)
        >>> grid.sites.tolist(), rows.tolist()
        ([[0, 3], [0, 7]], [1, 0, 1])
        """
        if not is_whole(axis) or not 0 <= axis < self.d or self.d < 2:
            raise ShapeError(expected("collapse", f"axis from 0 to {self.d - 1}, in dimension 2 or more", repr(axis)))
        return once(self._kept, ("collapse", int(axis)), self._collapsed, int(axis))

    def _collapsed(self, axis: int) -> tuple[Grid, NDArray[np.int32]]:
        size = None if self.size is None else self.size[:axis] + self.size[axis + 1:]
        grid, rows = Grid.arrange(np.delete(self.sites, 1 + axis, axis=1), size, self.samples)
        rows.flags.writeable = False
        return grid, rows

    def union(self, other: Grid) -> Join:
        """Return Join(grid, left, right): the sites of either grid, and their rows in this grid and in the other.

        A row is -1 if the site is not in that grid. `a | b`, `a & b` and `a - b` return the grids only.

        Raises:
            ShapeError: another lattice, size or number of samples.

        >>> a, b = Grid.from_sites([[0, 1], [0, 5]]), Grid.from_sites([[0, 3], [0, 5]])
        >>> a.union(b).left.tolist(), a.union(b).right.tolist()
        ([0, -1, 1], [-1, 0, 1])
        >>> (a | b).sites[:, 1].tolist(), (a & b).sites[:, 1].tolist(), (a - b).sites[:, 1].tolist()
        ([1, 3, 5], [5], [1])
        """
        return Join(*algebra.join(self, other, "outer"))

    def intersection(self, other: Grid) -> Join:
        """Return Join(grid, left, right): the sites of both grids, and their rows in each; see union."""
        return Join(*algebra.join(self, other, "inner"))

    def difference(self, other: Grid) -> Part:
        """Return Part(grid, rows): the sites of this grid that are not in the other, and their rows; see union."""
        return Part(*algebra.difference(self, other))

    def crop(self, low: Size, high: Size, *, moved: bool = False) -> Part:
        """Return Part(grid, rows): the sites with low <= x < high, and their rows.

        Args:
            low, high: an int or d ints each, high above low.
            moved: True: the box becomes the field: low becomes site 0, and high - low the size.
        """
        return Part(*algebra.crop(self, low, high, moved=moved))

    def mask(self, keep: ArrayLike) -> Part:
        """Return Part(grid, rows): the sites for which keep (n,) is True, and their rows."""
        return Part(*algebra.mask(self, keep))

    def __or__(self, other: object) -> Grid:
        return self.union(other).grid if isinstance(other, Grid) else NotImplemented

    def __and__(self, other: object) -> Grid:
        return self.intersection(other).grid if isinstance(other, Grid) else NotImplemented

    def __sub__(self, other: object) -> Grid:
        return self.difference(other).grid if isinstance(other, Grid) else NotImplemented

    def __repr__(self) -> str:
        return f"Grid({self.n} sites, size {self.size}, {self.samples} samples, d {self.d})"
