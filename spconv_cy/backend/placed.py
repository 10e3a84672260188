"""A rulebook in a GPU's memory: the neighbour table, its row masks, the rows sorted by mask, and the pairs."""

from functools import cached_property

import numpy as np

from spconv_cy.backend.ops import open_windows


class PlacedRulebook:
    """What the kernels read of a rulebook, each array uploaded at first use and kept.

    Args:
        rulebook: Rulebook, whose arrays are read through its attributes alone.
        ops: CudaOps.

    Memory: (n_out, k) and (n_out, words) int32 for the table, 2 * pairs int32 for the pairs.
    """

    def __init__(self, rulebook, ops):
        self._rulebook, self._place = rulebook, ops.xp.asarray
        self._masks = None

    @cached_property
    def table(self):
        """(n_out, k) int32: the input row of each output and offset, -1 where there is none."""
        book = self._rulebook
        table = np.full((book.n_out, book.n_offsets), -1, np.int32)
        table[book.out_rows, self._offsets()] = book.in_rows
        return self._place(table)

    @cached_property
    def masks(self):
        """(n_out, words) uint32: bit k % 32 of word k / 32 is set where the table has an input row."""
        return self._place(self._host_masks())

    @cached_property
    def order(self):
        """(n_out,) int32: the rows sorted by mask, equal masks in the order of the rows."""
        return self._place(np.lexsort(self._host_masks().T).astype(np.int32) if self._rulebook.n_offsets
                           else np.arange(self._rulebook.n_out, dtype=np.int32))

    @cached_property
    def open(self):
        """(n_out,) uint8: 1 where a site of the window is not active, so that the ground state competes."""
        return self._place(open_windows(self._rulebook).astype(np.uint8))

    @cached_property
    def in_rows(self):
        """(p,) int32: the input row of each pair."""
        return self._place(self._rulebook.in_rows)

    @cached_property
    def out_rows(self):
        """(p,) int32: the output row of each pair."""
        return self._place(self._rulebook.out_rows)

    @cached_property
    def offset_ptr(self):
        """(k+1,) int64: where the pairs of each offset begin."""
        return self._place(self._rulebook.offset_ptr)

    def _offsets(self):
        return np.repeat(np.arange(self._rulebook.n_offsets), np.diff(self._rulebook.offset_ptr))

    def _host_masks(self):
        if self._masks is None:
            book, offsets = self._rulebook, self._offsets()
            self._masks = np.zeros((book.n_out, -(-book.n_offsets // 32)), np.uint32)
            bits = np.uint32(1) << (offsets % 32).astype(np.uint32)
            np.bitwise_or.at(self._masks, (book.out_rows, offsets // 32), bits)
        return self._masks
