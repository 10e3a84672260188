"""A rulebook in a GPU's memory: the neighbour table, its row masks, the rows sorted by mask, and the pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.backend.ops import open_windows
from spconv_cy.once import once
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.backend.structure import Rulebook


class part:
    """An attribute that is made from the rulebook and uploaded at first use, and kept.

    The rulebook's listener, if there is one, notes each use, so that the array of the next batch is made in advance.
    """

    def __init__(self, make: Callable[[Any], Array]) -> None:
        self._make, self.__doc__ = make, make.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, placed: PlacedRulebook | None, _: type | None = None) -> Any:
        if placed is None:
            return self
        if placed.rulebook.listener is not None:
            placed.rulebook.listener.names.add(self._name)
        return once(placed.parts, self._name, self._placed, placed)

    def _placed(self, placed: PlacedRulebook) -> Array:
        return placed.upload(f"the {self._name} of a rulebook", self._make(placed))


class PlacedRulebook:
    """The arrays that kernels read of a rulebook, each made and uploaded at first use.

    Args:
        rulebook: Rulebook.
        ops: CudaOps.

    Memory: (n_out, k) and (n_out, words) int32 for the table, 2 * pairs int32 for the pairs.
    """

    def __init__(self, rulebook: Rulebook, ops: Any) -> None:
        self.rulebook, self.upload = rulebook, ops.uploaded
        self.parts: dict[str, Array] = {}
        self._on_host: dict[str, Array] = {}

    @part
    def table(self) -> Array:
        """(n_out, k) int32: the input row of each output and offset, -1 if there is none."""
        book = self.rulebook
        table = np.full((book.n_out, book.n_offsets), -1, np.int32)
        table[book.out_rows, self._offsets()] = book.in_rows
        return table

    @part
    def masks(self) -> Array:
        """(n_out, words) uint32: bit k % 32 of word k / 32 is set if the table has an input row."""
        return self._host_masks()

    @part
    def order(self) -> Array:
        """(n_out,) int32: the rows sorted by mask, equal masks in the order of the rows."""
        book = self.rulebook
        if not book.n_offsets:
            return np.arange(book.n_out, dtype=np.int32)
        return np.lexsort(self._host_masks().T).astype(np.int32)

    @part
    def open(self) -> Array:
        """(n_out,) uint8: 1 if a site of the window is inactive, so that the ground state competes."""
        return open_windows(self.rulebook).astype(np.uint8)

    @part
    def in_rows(self) -> Array:
        """(p,) int32: the input row of each pair."""
        return self.rulebook.in_rows

    @part
    def out_rows(self) -> Array:
        """(p,) int32: the output row of each pair."""
        return self.rulebook.out_rows

    @part
    def offset_ptr(self) -> Array:
        """(k+1,) int64: where the pairs of each offset begin."""
        return self.rulebook.offset_ptr

    def _offsets(self) -> Array:
        return np.repeat(np.arange(self.rulebook.n_offsets), np.diff(self.rulebook.offset_ptr))

    def _host_masks(self) -> Array:
        return once(self._on_host, "masks", self._made_masks)

    def _made_masks(self) -> Array:
        book, offsets = self.rulebook, self._offsets()
        masks = np.zeros((book.n_out, -(-book.n_offsets // 32)), np.uint32)
        bits = np.uint32(1) << (offsets % 32).astype(np.uint32)
        np.bitwise_or.at(masks, (book.out_rows, offsets // 32), bits)
        return masks


def placed(rulebook: Rulebook, ops: Any) -> PlacedRulebook:
    """Return the PlacedRulebook of a rulebook on the device of `ops`, made once."""
    return once(rulebook.kept, ("copy", ops.name), PlacedRulebook, rulebook, ops)
