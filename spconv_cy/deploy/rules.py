"""The rulebooks of a network, found ahead from the input's sites, kept while these stay, and updated if few change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.config import threads
from spconv_cy.errors import expected
from spconv_cy.sites import Grid, Rulebook, Window, changes, rules
from spconv_cy.sites.chains import MOST_SITES, Course

try:
    from spconv_cy.compiled import memory as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

if TYPE_CHECKING:
    from spconv_cy.compiled.changes import Change

ROOT, ROWS = 0, -1                      # the input's sites; one row for each sample, or rows without sites
CHANGED = 8.5                           # bytes for each row of a Change
# Bytes for each thread while rules are found, of Python objects for each link, and for memory that fits no better.
THREAD, OBJECTS, SPARE = 22_528, 18_432, 65_536


@dataclass(frozen=True)
class Link:
    """A window over the sites of a place.

    Attributes:
        place: number of the place: 0 the input's sites, i the sites that the i-th of the links with new sites makes.
        window: Window.
        target: the place whose sites are the outputs; None: the sites that the window makes.
    """

    place: int
    window: Window
    target: int | None = None

    @property
    def makes(self) -> bool:
        """Whether the outputs are at new sites."""
        return self.target is None and not self.window.keeps_sites


@dataclass(frozen=True)
class Found:
    """The sites and rulebooks of a network for one input.

    Attributes:
        grids: tuple of Grid, one for each place.
        books: tuple of Rulebook, one for each link.
        identities: {number of rows: the rulebook that pairs each row with itself}.
    """

    grids: tuple[Grid, ...]
    books: tuple[Rulebook, ...]
    identities: dict[int, Rulebook]

    def at(self, grid: Grid, links: Sequence[Link]) -> Found:
        """Return the same for a grid of the same sites: its own grids, which share the rulebooks of these."""
        grids = [grid]
        for link, book in zip(links, self.books, strict=True):
            if link.makes:
                like = self.grids[len(grids)]
                grids.append(grids[link.place].child(like.sites, like.size, link.window, book))
            keep(link, grids, book)
        return replace(self, grids=tuple(grids))


class Rules:
    """The links of a network, and what was found last.

    Args:
        links: list of Link, each after those that make its sites.
        turned: numbers of the links whose rulebooks are used with inputs and outputs exchanged, too.
        linear: places whose rows are multiplied one by one.

    Attributes:
        links: the tuple of them.
        made: how often rulebooks were found, for tests.
        updated: how many rulebooks were made from those before a change, for tests.
    """

    def __init__(self, links: Sequence[Link], turned: Iterable[int] = (), linear: Iterable[int] = ()) -> None:
        self.links, self.turned, self.linear, self.made, self.updated = tuple(links), tuple(turned), tuple(linear), 0, 0
        self._places = [-1, *(i for i, link in enumerate(links) if link.makes)]
        self._read = {place: i for i, link in enumerate(links) for place in {link.place, link.target} - {None}}
        self._course = Course([(self._places[link.place], link.window) for link in links if link.target is None]) \
            if all(link.target is None for link in links) and links else None
        self._last: Found | None = None
        self._lock = Lock()

    def find(self, grid: Grid, most: int | None = None) -> Found:
        """Return the sites and rulebooks for an input's grid; the last ones if its sites are the same.

        If few sites have changed since, they are updated, with the same rows as if they were found afresh.

        Args:
            grid: Grid.
            most: bytes that the sites and rulebooks may take while they are found, or None.

        Raises:
            ShapeError: a window does not fit the lattice or the field.
            MemoryError: they might take more than `most`.
        """
        last = self._last
        if last is not None and last.grids[0] is grid:
            return last
        if last is not None and _equal(last.grids[0], grid):
            found = last.at(grid, self.links)
        else:
            found = self._find(grid, most, last)
        with self._lock:
            self._last = found
        return found

    def finding_bytes(self, found: Found) -> int:
        """Return the most bytes that it takes to find these sites and rulebooks."""
        from spconv_cy.deploy import finding

        most, so_far, made, n_made = 0, 0, iter(found.grids[1:]), 1
        for number, (link, book) in enumerate(zip(self.links, found.books, strict=True)):
            grid, arrays = found.grids[link.place], [book.in_rows, book.out_rows, book.offset_ptr, book.tile_ptr]
            child = next(made) if link.makes else grid if link.target is None else found.grids[link.target]
            results = _bytes_of([*arrays, child.sites] if link.makes else arrays)
            size = finding.size_of(link.window, grid.sites, child.sites, book, grid.size, link.makes)
            n_made += link.makes
            rows = sum(some.n for place, some in enumerate(found.grids[:n_made])
                       if some.n > MOST_SITES and self._read.get(place, -1) >= number)
            most = max(most, so_far + finding.finding_bytes(link.window, size, results) + int(CHANGED * rows))
            so_far += results
        return max(most, rules_bytes(found)) + THREAD * threads() + OBJECTS * len(self.links) + SPARE

    def forget(self) -> None:
        """Drop what is kept."""
        self._last = None

    def _find(self, grid: Grid, most: int | None, last: Found | None) -> Found:
        update = [None if last is None else changes.change(last.grids[0], grid)]     # by place: Change, or None
        if self._course is not None:
            grid.expect(self._course)
        grids, books = [grid], list[Rulebook]()
        for number, link in enumerate(self.links):
            update = [change if self._read.get(place, -1) >= number else None           # what no link needs any more
                      for place, change in enumerate(update)]
            if most is not None:
                self._check(Found(tuple(grids), tuple(books), {}), link, most)
            if last is not None and self._follow(link, last, number, grids, books, update):
                continue
            if link.target is not None:
                books.append(grids[link.place].rules_to(link.window, grids[link.target]))
                continue
            child, book = grids[link.place].rules(link.window)
            books.append(book)
            if link.makes:
                grids.append(child)
                update.append(None if last is None else changes.change(last.grids[len(grids) - 1], child))
        for number in self.turned:
            _ = books[number].T
        counts = {grid.samples if place < 0 else grids[place].n for place in self.linear}
        self.made += 1
        return Found(tuple(grids), tuple(books), {n: Rulebook.identity(n) for n in counts})

    def _follow(self, link: Link, last: Found, number: int, grids: list[Grid], books: list[Rulebook],
                update: list[Change | None]) -> bool:
        """Add the rulebook and the sites of a link from those before a change; return False if that does not pay."""
        place, before, inputs = link.place, last.books[number], update[link.place]
        if inputs is None:
            return False
        if link.makes:
            made = changes.child_after(link.window, last.grids[len(grids)], inputs, grids[place])
            if made is None:
                return False
            grids.append(made[0])
            update.append(made[1])
            books.append(made[0].source.rulebook)                        # type: ignore[union-attr]
        else:
            to = place if link.target is None else link.target
            outputs = update[to]
            if outputs is None:
                return False
            books.append(changes.pairs_after(link.window, before, inputs, outputs, grids[place].sites,
                                             grids[to].sites))
        keep(link, grids, books[-1])
        self.updated += 1
        return True

    def _check(self, found: Found, link: Link, most: int) -> None:
        """Raise MemoryError if the rules of one more link might exceed `most` bytes."""
        given = None if link.target is None else found.grids[link.target].n
        needs = rules_bytes(found) + worst_bytes(found.grids[link.place].n, link.window, given)
        if needs > most:
            raise MemoryError(expected("Frozen", f"rulebooks of at most {most:,} bytes", f"perhaps {needs:,}",
                                       "give fewer sites or samples, or a higher limit"))

    def __getstate__(self) -> tuple[Any, ...]:
        return self.links, self.turned, self.linear

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)                                            # type: ignore[misc]


def keep(link: Link, grids: Sequence[Grid], book: Rulebook) -> None:
    """Let layers that are called as they are find what is known of a link; grids: those up to the link's outputs."""
    if link.target is None:
        grids[link.place].keep(link.window, grids[-1] if link.makes else book)


def worst_bytes(n: int, window: Window, target: int | None = None) -> int:
    """Return the most bytes that finding the outputs and rulebook of a window over n sites may take.

    Args:
        n: number of sites.
        window: Window.
        target: number of the sites of its outputs if they are given, or None.
    """
    from spconv_cy.deploy import finding

    worst = finding.worst_size(window, n, target)
    outputs = worst.m if worst.made else 0
    tiles = 8 * window.volume * (worst.m // rules.TILE_ROWS + 2)
    results = 8 * worst.pairs + 4 * (window.lattice.d + 1) * outputs + tiles
    return finding.finding_bytes(window, worst, results) + THREAD * threads() + OBJECTS


def rules_bytes(found: Found) -> int:
    """Return the bytes that the sites and rulebooks of a network hold, without those of the input's sites."""
    books = {id(book): book for book in (*found.books, *found.identities.values())}.values()
    turned = [book.kept["T"] for book in books if "T" in book.kept]
    arrays = [array for book in books for array in (book.in_rows, book.out_rows, book.offset_ptr, book.tile_ptr)]
    arrays += [grid.sites for grid in found.grids[1:]] + [book.tile_ptr for book in turned]
    return _bytes_of(arrays)


def _bytes_of(arrays: list[Any]) -> int:
    return compiled.bytes_of(arrays) if compiled else sum(array.nbytes for array in arrays)


def _equal(a: Grid, b: Grid) -> bool:
    same: Any = (a.n, a.size, a.samples, a.lattice) == (b.n, b.size, b.samples, b.lattice)
    return bool(same) and np.array_equal(a.sites, b.sites)
