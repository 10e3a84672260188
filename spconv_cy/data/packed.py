"""Parts one after another in one array: where each begins, and the numbers of some of them."""

import numpy as np


def starts_of(counts):
    """Return where each of parts one after another begins, and where the last ends, (n + 1,) int64."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


def ranges(starts, ends):
    """Return the numbers of all ranges, one after another.

    >>> ranges(np.array([3, 9]), np.array([5, 10])).tolist()
    [3, 4, 9]
    """
    counts = ends - starts
    return np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
