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
        host, mine = ops.to_numpy(own), np.zeros(1 + 2 * c)
        if self.counts and n:
            mine[0], mine[1 + c:] = n, host[2]
            np.add(host[0], host[1], out=mine[1:1 + c], dtype=np.float64)
        parts = self.ranks.stack(mine)                                   # one message: ranks wait for each here
        counts = parts[:, 0].tolist()
        self.rows = int(sum(counts))
        if not self.rows:
            return own
        weights, means = parts[:, :1] / self.rows, parts[:, 1:1 + c]
        both = np.add.reduce(weights * parts[:, 1:], 0)
        apart = means - both[:c]
        apart *= apart
        apart *= weights
        both[c:] += np.add.reduce(apart, 0)
        found = np.empty((3, c), own.dtype)
        found[::2] = both.reshape(2, c)                                  # the mean and the variance, rounded
        np.subtract(both[:c], found[0], out=found[1], casting="same_kind")
        return ops.asarray(found, own.dtype)

    def sum(self, sums: Array) -> Array:
        """Return the sums of all ranks' arrays."""
        ops = ops_of(sums)
        return ops.asarray(self.ranks.sum(ops.to_numpy(sums)), sums.dtype)
