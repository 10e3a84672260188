"""The sites of a scene that a rank has, as a Grid whose windows reach over the cuts."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from spconv_cy.distributed.scene_halo import REMEDY, Link, Place, SceneRulebook
from spconv_cy.errors import BackendError, expected
from spconv_cy.sites import Grid, Rulebook, Window


class SceneGrid(Grid):
    """The sites of one rank. All ranks must ask for the same windows in the same order.

    Attributes:
        place: Place of the sites.
    """

    place: Place

    @classmethod
    def of(cls, ranks: Any, cuts: tuple[int, ...], axis: int, whole: Grid) -> SceneGrid:
        """Return this rank's grid of its sites, those of a Grid, between cuts along an axis."""
        return cls.at(Place(ranks, whole.sites, cuts, axis), whole.size, whole.samples, whole.lattice)

    @classmethod
    def at(cls, place: Place, size: tuple[int, ...] | None, samples: int, lattice: Any,
           source: Any = None) -> SceneGrid:
        """Return the grid of a Place."""
        grid = cls(place.sites, size, samples, lattice, source)
        grid.place = place
        return grid

    def _rules(self, window: Window) -> tuple[Grid, Rulebook]:
        if window.keeps_sites:
            return super()._rules(window)
        # Grids that a window makes live as long as something holds them, which the ranks must see alike.
        child = self._made.get(window)
        if not all(self.place.ranks.gather(child is not None)):
            self._made[window] = child = self._child(window)
        return child, child.source.rulebook

    def _own_pairs(self, window: Window) -> Rulebook:
        self._check_lattice(window)
        return SceneRulebook(Link(self.place, self.place, window), False)

    def _child(self, window: Window) -> Grid:
        self._check_lattice(window)
        if window.kind == "transposed":
            refuse("TransposedConvolution with sites='reached'")
        size, place = window.out_size(self.size), self.place
        coarse = place.coarse(window, size)
        rulebook = SceneRulebook(Link(place, coarse, window), False)
        source = self.child(coarse.sites, size, window, rulebook).source
        return SceneGrid.at(coarse, size, self.samples, self.lattice, source)

    def expect(self, course: Any) -> None:
        """Do nothing: windows of a scene are found when they are asked for."""

    def rules_to(self, window: Window, target: Grid) -> Rulebook:
        """Return the rulebook of a window to the sites of another grid of the scene; see Grid.rules_to."""
        if not isinstance(target, SceneGrid):
            refuse("a layer at the sites of a grid that is not part of the scene")
        if target is self and window.keeps_sites:
            return self.rules(window)[1]
        up = window.kind == "transposed"
        fine, coarse = (target, self) if up else (self, target)
        return SceneRulebook(Link(fine.place, coarse.place, window), up)

    @property
    def batch_starts(self) -> NDArray[np.int64]:
        """Refused: the rows of a sample are on all ranks."""
        refuse("an operation on the rows of each sample")

    def partition(self, size: Any, shift: Any) -> list[Any]:
        """Refused: windows of attention would be cut."""
        refuse("attention in windows")

    grouped = partition

    def collapse(self, axis: int) -> tuple[Grid, NDArray[np.int32]]:
        """Refused: sites of several ranks would fall together."""
        refuse("a collapsed axis")

    def rows_of(self, sites: Any) -> NDArray[np.int32]:
        """Refused: other ranks have the other sites."""
        refuse("rows of given sites")

    def union(self, other: Any) -> Any:
        """Refused, as are intersection, difference, crop and mask, whose grids would know nothing of the cuts."""
        refuse("a join of grids")

    intersection = difference = __or__ = __and__ = __sub__ = union

    def crop(self, low: Any, high: Any, *, moved: bool = False) -> Any:
        """Refused; see union."""
        refuse("a crop")

    def mask(self, keep: Any) -> Any:
        """Refused; see union."""
        refuse("a choice of sites")

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(expected("pickle", "a whole grid", "one of a scene that is cut among ranks"))


def refuse(what: str) -> NoReturn:
    """Raise BackendError for what is not computed on a scene that is cut among ranks."""
    raise BackendError(expected("scene", "layers that compute each site from a window around it, or by itself", what,
                                REMEDY))
