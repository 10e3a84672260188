"""Types of what backends read of rulebooks and grids; the classes lie in sites/, which backends do not import."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spconv_cy.operands import Counts


class Window(Hashable, Protocol):
    """A window that a grid is asked for; see sites/window.py."""

    @property
    def keeps_sites(self) -> bool:
        """True if the output sites are those of the input."""


class Rulebook(Counts, Protocol):
    """Pairs of rows by offset; see sites/rulebook.py."""

    listener: Any

    @property
    def pairs(self) -> Any:
        """The object that owns the arrays."""

    @property
    def in_rows(self) -> NDArray[np.int32]:
        """(p,): the input row of each pair."""

    @property
    def out_rows(self) -> NDArray[np.int32]:
        """(p,): the output row of each pair."""

    @property
    def offset_ptr(self) -> NDArray[np.int64]:
        """(k+1,): where the pairs of each offset begin."""

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""

    @property
    def volume(self) -> int | NDArray[np.int64]:
        """Sites in a window, or (n_out,) of them."""

    @property
    def fan_in(self) -> NDArray[np.int32]:
        """(n_out,): the number of pairs of each output row."""

    @property
    def kept(self) -> dict[Hashable, Any]:
        """Objects that were made from this rulebook, by key."""

    @property
    def T(self) -> Rulebook:
        """The transposed rulebook."""


class Grid(Protocol):
    """Active sites of a batch; see sites/grid.py."""

    listener: Callable[[Any, Any, Any], None] | None

    def rules(self, window: Any) -> tuple[Any, Any]:
        """Return (output grid, rulebook) of a window."""
