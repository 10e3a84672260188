"""Two classifiers on the same items: the difference of their errors with an interval."""

import numpy as np

DRAWS = 10_000


def paired(ours, theirs, n, seed=0):
    """Return (mean, low, high): the error of ours, a mean over seeds, less that of theirs, with a 95 % interval.

    The interval is a bootstrap over the items and, within each draw, over the seeds.

    Args:
        ours: a list of wrong items for each seed.
        theirs: the wrong items of the other.
        n: number of items.
        seed: of the draws.

    >>> mean, low, high = paired([[0, 1], [1]], [0, 1, 2, 3], 100)
    >>> round(mean, 4), low <= mean <= high
    (-0.025, True)
    """
    wrong = np.zeros((len(ours), n))
    for row, items in zip(wrong, ours, strict=True):
        row[list(items)] = 1
    other = np.zeros(n)
    other[list(theirs)] = 1
    rng = np.random.default_rng(seed)
    # Items that no one or all misread add nothing: only the others are drawn, each as often as in a draw of all n.
    counts = np.flatnonzero(wrong.any(0) | (other > 0))
    shares = np.append(np.full(len(counts), 1 / n), 1 - len(counts) / n)
    rows, seeds = np.empty((DRAWS, len(counts))), np.empty((DRAWS, len(wrong)))
    for i in range(DRAWS):
        rows[i] = rng.multinomial(n, shares)[:-1]
        seeds[i] = rng.integers(len(wrong), size=len(wrong))
    often = (seeds[:, :, None] == np.arange(len(wrong))).mean(1)                # (draws, seeds)
    means = ((rows @ wrong[:, counts].T * often).sum(1) - rows @ other[counts]) / n
    return float(wrong.mean() - other.mean()), *map(float, np.quantile(means, (0.025, 0.975)))


def unpaired(ours, theirs, n):
    """Return (mean, low, high) of shares of wrong answers whose items are not known: a 95 % interval of two samples.

    Args:
        ours: the share of each seed.
        theirs: the other share.
        n: number of items.

    >>> mean, low, high = unpaired([0.1, 0.2], 0.3, 1000)
    >>> round(mean, 3), low < mean < high
    (-0.15, True)
    """
    mean = float(np.mean(ours))
    seeds = np.var(ours, ddof=1) / len(ours) if len(ours) > 1 else 0.0
    half = 1.96 * np.sqrt((mean * (1 - mean) + theirs * (1 - theirs)) / n + seeds)
    return mean - theirs, float(mean - theirs - half), float(mean - theirs + half)
