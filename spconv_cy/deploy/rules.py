"""The rulebooks of a network, found ahead from the input's sites, and kept while the sites stay the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from spconv_cy.sites import Grid, Rulebook, Window
from spconv_cy.sites.chains import Course

ROOT, ROWS = 0, -1                      # the input's sites; one row for each sample, or rows without sites


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
    """

    def __init__(self, links: Sequence[Link], turned: Iterable[int] = (), linear: Iterable[int] = ()) -> None:
        self.links, self.turned, self.linear, self.made = tuple(links), tuple(turned), tuple(linear), 0
        self._places = [-1, *(i for i, link in enumerate(links) if link.makes)]
        self._course = Course([(self._places[link.place], link.window) for link in links if link.target is None]) \
            if all(link.target is None for link in links) and links else None
        self._last: Found | None = None
        self._lock = Lock()

    def find(self, grid: Grid, keep: bool = True) -> Found:
        """Return the sites and rulebooks for an input's grid; the last ones if its sites are the same.

        Raises:
            ShapeError: a window does not fit the lattice or the field.
        """
        last = self._last
        if last is not None and last.grids[0] is grid:
            return last
        if last is not None and _equal(last.grids[0], grid):
            found = last.at(grid, self.links)
        else:
            found = self._find(grid)
        if keep:
            with self._lock:
                self._last = found
        return found

    def forget(self) -> None:
        """Drop what is kept."""
        self._last = None

    def _find(self, grid: Grid) -> Found:
        if self._course is not None:
            grid.expect(self._course)
        grids, books = [grid], list[Rulebook]()
        for link in self.links:
            if link.target is not None:
                books.append(grids[link.place].rules_to(link.window, grids[link.target]))
                continue
            child, book = grids[link.place].rules(link.window)
            books.append(book)
            if link.makes:
                grids.append(child)
        for link in self.turned:
            _ = books[link].T
        counts = {grid.samples if place < 0 else grids[place].n for place in self.linear}
        self.made += 1
        return Found(tuple(grids), tuple(books), {n: Rulebook.identity(n) for n in counts})

    def __getstate__(self) -> tuple[Any, ...]:
        return self.links, self.turned, self.linear

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)                                            # type: ignore[misc]


def _equal(a: Grid, b: Grid) -> bool:
    same: Any = (a.n, a.size, a.samples, a.lattice) == (b.n, b.size, b.samples, b.lattice)
    return bool(same) and np.array_equal(a.sites, b.sites)
