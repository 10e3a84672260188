"""Batch normalisation over the rows of all ranks: sums and counts are exchanged, not averaged statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.compiled.mailbox import joined, part_of

if TYPE_CHECKING:
    from spconv_cy.distributed.ranks import Ranks
    from spconv_cy.types import Array


class SharedStatistics:
    """Moments and sums over the rows of all ranks, for `functional.normalization.shared_statistics`.

    Args:
        ranks: Ranks.
        counts: whether this rank's rows count.

    Attributes:
        rows: number of rows of the last moments, of all ranks.
    """

    def __init__(self, ranks: Ranks, counts: bool) -> None:
        self.ranks, self.counts, self.rows = ranks, counts, 0

    def moments(self, own: Array, n: int) -> Array:
        """Return the moments (3, c) of all ranks' rows: the mean, its rounding error, and the biased variance.

        Args:
            own: (3, c), the moments of this rank's n rows.
            n: number of rows.
        """
        host = own if type(own) is np.ndarray else ops_of(own).to_numpy(own)
        parts = self.ranks.stack(part_of(host, n if self.counts else 0))             # ranks wait for each other here
        found = np.empty(host.shape, host.dtype)
        self.rows = joined(parts, found)
        if not self.rows:
            return own
        return found if host is own else ops_of(own).asarray(found, own.dtype)

    def sum(self, sums: Array) -> Array:
        """Return the sums of all ranks' arrays."""
        if type(sums) is np.ndarray:
            return self.ranks.sum(sums)
        ops = ops_of(sums)
        return ops.asarray(self.ranks.sum(ops.to_numpy(sums)), sums.dtype)
