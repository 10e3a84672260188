"""Index arithmetic for parts that are stored one after another in one array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spconv_cy.types import Array, ArrayLike


def starts_of(counts: ArrayLike) -> Array:
    """Return where each of n consecutive parts begins, and where the last ends, (n + 1,) int64.

    >>> starts_of([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


def ranges(starts: Array, ends: Array) -> Array:
    """Return the integers of all ranges, one range after another.

    >>> ranges(np.array([3, 9]), np.array([5, 10])).tolist()
    [3, 4, 9]
    """
    counts = ends - starts
    indices: Array = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return indices
