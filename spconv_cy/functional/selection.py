"""Rows that are looked up, chosen and merged: what joins, pruning and duplicates of sites do to features."""

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.sparse import column_sums, gather, scatter_add, segment_maximum

REDUCTIONS = ("error", "sum", "mean", "max", "first", "last")


@differentiable(reads={})
def look_up(x, ground, rows):
    """Take rows (m,) of x (n, c), the ground state where a row is -1; the gradient of a row taken twice is the sum.

    Args:
        x: (n, c).
        ground: (1, c), or None: zero.
        rows: (m,) int32, -1 to n - 1.

    Returns:
        (m, c).
    """
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    xp, missing = ops.xp, rows < 0
    if not missing.any():
        return x[rows], lambda dy: (lambda: ops.scatter_add(dy, rows, len(x)), None, None)
    there = np.flatnonzero(~missing)
    y = xp.zeros((len(rows), x.shape[1]), x.dtype)
    if ground is not None:
        y += ground
    y[there] = x[rows[there]]

    def backward(dy):
        return (lambda: ops.scatter_add(dy[there], rows[there], len(x)),
                None if ground is None else lambda: column_sums(dy[missing]),
                None)

    return y, backward


def best_of_segments(scores, starts, k):
    """Return (n,) bool: the k rows of each segment with the largest scores; of equals the first, a NaN last.

    Args:
        scores: (n,) or (n, 1) numbers.
        starts: (b+1,) int64, segment i is the rows starts[i] to starts[i+1].
        k: a whole number, or (b,) of them.

    Raises:
        ShapeError: scores or k that do not fit.

    Cost: of sorting the rows.
    """
    counts, n, ks = np.diff(starts), int(starts[-1]), np.asarray(k)
    if scores.shape not in ((n,), (n, 1)) or scores.dtype.kind not in "fiu":
        raise ShapeError(f"keep_top: scores {scores.shape} of {scores.dtype} came; ({n},) numbers fit, one for each "
                         "site")
    if ks.dtype.kind not in "iu" or ks.shape not in ((), counts.shape) or (ks.size and ks.min() < 0):
        raise ShapeError(f"keep_top: k {k!r} came; a whole number from 0 up, or {len(counts)}, one for each sample, "
                         "fits")
    scores = scores.reshape(-1).astype(np.float64)
    segments = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-scores, segments))                              # stable, and NaN sorts last
    places = np.arange(len(scores)) - np.repeat(starts[:-1], counts)
    keep = np.zeros(len(scores), bool)
    keep[order] = places < np.repeat(np.broadcast_to(ks, counts.shape), counts)
    return keep


def merge(features, rows, n, reduce):
    """Merge the features (p, c) of points into those of their sites (n, c); rows (p,) are the points' sites.

    The gradient of a site goes to each of its points ("mean": divided by their number; "first" and "last": to that one
    alone; "max": to the one that won).

    Source: SparseConvNet's input layers, modes 1 (last), 2 (first), 3 (sum) and 4 (mean) as they are documented.
    """
    if reduce == "error" and (rows[1:] > rows[:-1]).all():
        return features
    order = np.argsort(rows, kind="stable") if reduce in ("max", "first", "last", "error") else None
    if reduce == "error":
        return gather(features, order)
    counts = np.bincount(rows, minlength=n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    if reduce == "first":
        return gather(features, order[starts[:-1]])
    if reduce == "last":
        return gather(features, order[starts[1:] - 1])
    if reduce == "max":
        return segment_maximum(gather(features, order), None, starts, None)
    total = scatter_add(features, rows, n)
    if reduce == "sum":
        return total
    return total * Tensor.of(ops_of(total.data).asarray(1 / counts[:, None]))


def kept_rows(rows, n, kept):
    """Return, of the rows (p,) of points among n sites, those that an output layer hands features to; -1: none.

    Args:
        rows: (p,) ints, 0 to n - 1.
        n: number of sites.
        kept: "all"; "first" or "last": of the points of a site, the one that this reduction keeps.

    Raises:
        ShapeError: another `kept`.
    """
    if kept not in ("all", "first", "last"):
        raise ShapeError(f"to_points: kept {kept!r} came; 'all', 'first' or 'last' fits")
    if kept == "all":
        return rows
    points = np.arange(len(rows))
    order = points if kept == "last" else points[::-1]
    keeper = np.zeros(n, np.int64)
    keeper[rows[order]] = order                                          # of equal rows the last one stays
    return np.where(keeper[rows] == points, rows, -1)
