"""Batch normalisation over the rows of all ranks: sums and counts are exchanged, not averaged statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.backend.switch import ops_of

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
        ops, c = ops_of(own), own.shape[1]
        mine = np.zeros(1 + 2 * c)
        if self.counts and n:
            mean, error, variance = ops.to_numpy(own).astype(np.float64)
            mine[0], mine[1:1 + c], mine[1 + c:] = n, mean + error, variance
        parts = self.ranks.stack(mine)                                   # one message: ranks wait for each here
        counts, means, variances = parts[:, :1], parts[:, 1:1 + c], parts[:, 1 + c:]
        self.rows = int(counts.sum())
        if not self.rows:
            return own
        mean = (counts * means).sum(0) / self.rows
        variance = (counts * (variances + (means - mean) ** 2)).sum(0) / self.rows
        high = mean.astype(own.dtype)
        return ops.asarray(np.stack([high, mean - high, variance]).astype(own.dtype), own.dtype)

    def sum(self, sums: Array) -> Array:
        """Return the sums of all ranks' arrays."""
        ops = ops_of(sums)
        return ops.asarray(self.ranks.sum(ops.to_numpy(sums)), sums.dtype)
