"""Sums of arrays over ranks, which go on while the caller computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from spconv_cy.types import Array

SMALL = 65536                                                            # bytes that every rank sends to every other
PIECE = 8192                                                             # numbers that are added together


class Sum:
    """A sum over ranks that goes on while the caller computes.

    Small arrays are sent whole to every rank. Of others, each rank sums a slice, and the sums are then exchanged:
    each rank sends and receives about twice the array, for any number of ranks.

    Args:
        ranks: Ranks.
        flat: (n,) float32 or float64, contiguous, changed in place.

    Attributes:
        done: whether the sum is complete on this rank.
    """

    def __init__(self, ranks: Any, flat: Array) -> None:
        self.ranks, self.small = ranks, flat.nbytes <= SMALL
        self._requests: list[Any] = []
        bounds = len(flat) * np.arange(1, ranks.size) // ranks.size
        self._slices = [flat] * ranks.size if self.small else np.split(flat, bounds)
        mine = self._slices[ranks.rank]
        self._parts = {r: mine if r == ranks.rank else np.empty_like(mine) for r in range(ranks.size)}
        self.start()

    def start(self) -> None:
        """Begin, or begin again, with what the array holds now; a sum keeps its buffers."""
        self._summed = self.done = self.ranks.size == 1
        if not self.done:
            self._tags = self.ranks.next_tag(), self.ranks.next_tag()
            self._exchange(self._tags[0], self._parts, {r: self._slices[r] for r in self.ranks.others()})

    def _exchange(self, tag: int, received: dict[int, Array], sent: dict[int, Array]) -> None:
        self._requests = self.ranks.begin(tag, {r: received[r] for r in self.ranks.others()}, sent)

    def progress(self) -> bool:
        """Let MPI work without waiting; return True if the sum is complete."""
        if not self.done and not self.ranks.in_order and self.ranks._testall(self._requests):
            self._next()
        return self.done

    def finish(self) -> None:
        """Wait until the sum is complete on this rank."""
        while not self.done:
            self.ranks.wait(self._requests)
            self._next()

    def _next(self) -> None:
        if self._summed:
            self.done = True
            return
        ranks, mine = self.ranks, self._parts[self.ranks.rank]
        add_in_turn([self._parts[rank] for rank in range(ranks.size)], mine)
        self._summed, self.done = True, self.small
        if not self.small:
            self._exchange(self._tags[1], {r: self._slices[r] for r in ranks.others()},
                           {r: mine for r in ranks.others()})


def add_in_turn(parts: list[Array], total: Array) -> None:
    """Write the sum of arrays (n,), added in their order, floats in float64 and rounded once; `total` may be one."""
    if len(parts) == 2:
        np.add(parts[0], parts[1], out=total)                      # one addition: the same rounded once
        return
    for low in range(0, len(total), PIECE):                              # a few pages of memory, not the whole array
        wide = np.zeros(len(total[low:low + PIECE]), np.float64 if total.dtype.kind == "f" else total.dtype)
        for part in parts:
            wide += part[low:low + PIECE]
        total[low:low + PIECE] = wide
