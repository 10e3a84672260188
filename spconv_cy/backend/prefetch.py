"""Prefetching for a GPU: the rules of the next batch, and the device arrays that its step will read.

Networks ask every batch for the same windows. `Requests` records which ones a batch was asked for, and which device
arrays were read; `make_ahead` repeats these requests for the next batch, on another thread. The records hold windows
and names, no sites and no arrays, so they keep no batch in memory.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from spconv_cy.backend.placed import placed
from spconv_cy.errors import ShapeError

if TYPE_CHECKING:
    from spconv_cy.backend.ops import Ops
    from spconv_cy.backend.structure import Grid, Rulebook, Window

TURNS = 2                                                                # backward passes read .T, or .T.T, and no more


class Reads:
    """The names of the device arrays that were read of a rulebook, and of its transpose: `.T`, or None."""

    def __init__(self, turns: int = TURNS) -> None:
        self.names: set[str] = set()
        self.T = Reads(turns - 1) if turns else None

    def follow(self, rulebook: Rulebook) -> None:
        """Record what is read of a rulebook, and of its transpose, from now on."""
        rulebook.listener = self
        transposed = rulebook.kept.get("T")
        if transposed is not None and self.T is not None:
            self.T.follow(transposed)

    def repeat(self, rulebook: Rulebook, ops: Ops) -> None:
        """Make the same device arrays for another rulebook."""
        for name in list(self.names):                                    # another thread may add more meanwhile
            getattr(placed(rulebook, ops), name)
        if self.T is not None and self.T.any():
            self.T.repeat(rulebook.T, ops)

    def any(self) -> bool:
        """Return True if something was read, of the rulebook or of a transpose."""
        return bool(self.names) or self.T is not None and self.T.any()


class Requests:
    """A tree of requests: the windows used on a grid, and the windows used on each grid that they made."""

    def __init__(self) -> None:
        self.windows: dict[Window, tuple[Requests, Reads]] = {}

    def follow(self, grid: Grid) -> None:
        """Record what a grid is asked for from now on."""
        grid.listener = self._add

    def _add(self, window: Window, child: Grid, rulebook: Rulebook) -> None:
        below, reads = self.windows.setdefault(window, (Requests(), Reads()))
        if rulebook.listener is not reads:
            reads.follow(rulebook)
        if not window.keeps_sites:                                       # else the child is the grid itself
            below.follow(child)


def make_ahead(grid: Grid, requests: Requests, ops: Ops) -> list[Grid]:
    """Make for a grid the rulebooks and device arrays that an earlier batch used.

    Args:
        grid: Grid of a batch to come.
        requests: Requests of an earlier batch.
        ops: backend.

    Returns:
        The grids that windows made; they last as long as the caller holds them.
    """
    held = []
    for window, (below, reads) in list(requests.windows.items()):        # another thread may add more meanwhile
        with suppress(ShapeError):                                       # it does not fit; the network will say so
            child, rulebook = grid.rules(window)
            reads.repeat(rulebook, ops)
            held += [] if child is grid else [child, *make_ahead(child, below, ops)]
    return held
