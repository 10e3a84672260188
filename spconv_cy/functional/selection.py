"""Looking up, choosing and merging rows: the features after joins, pruning and merged duplicates of sites."""

from __future__ import annotations

from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.ops import shares
from spconv_cy.backend.switch import ops_of, watchers
from spconv_cy.checks import as_array, is_one_of, is_real
from spconv_cy.config import precision_name, threads
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.activation import logistic
from spconv_cy.functional.sparse import column_sums
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.tape import fold_to
from spconv_cy.types import Array, ArrayLike, Gradient, IntegerArray, Recorded

try:
    import spconv_cy.compiled.selection as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

Rows: TypeAlias = npt.NDArray[np.int32]
REDUCTIONS = ("error", "sum", "mean", "max", "first", "last")


def active_of(dense: Array, threshold: float) -> tuple[npt.NDArray[np.int32], Array]:
    """Return (sites (n, 1+d) int32, features (n, c)) of the active sites of a numpy array (b, c, *size).

    A site is active if any channel is above `threshold` in absolute value, or NaN, as for SparseTensor.from_dense.

    Raises:
        ShapeError: a threshold below 0 or an array without an axis of sites.
    """
    if not is_real(threshold) or not threshold >= 0:
        raise ShapeError(expected("from_dense", "threshold to be a number from 0 up", repr(threshold)))
    if dense.ndim < 3:
        raise ShapeError(expected("from_dense", "an array (b, c, *size) with at least one axis of sites",
                                  f"shape {dense.shape}"))
    channels_last = np.moveaxis(dense, 1, -1)
    active = ~(np.abs(channels_last) <= threshold).all(-1)                      # a NaN is active
    return np.argwhere(active).astype(np.int32), channels_last[active]


@differentiable(reads={})
def look_up(x: Tensor | Array, ground: Tensor | Array | None, rows: IntegerArray) -> Recorded:
    """Return rows of x, or the ground state where a row is -1.

    The gradients of a row that occurs several times are added.

    Args:
        x: (n, c).
        ground: (1, c), or None: zero.
        rows: (m,) int32, -1 to n - 1.

    Returns:
        (m, c).
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    ops = ops_of(x) if ground is None else ops_of(x, ground)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        missing = rows < 0
        if not missing.any():
            return lambda: ops.scatter_add(dy, rows, len(x)), None, None
        there = np.flatnonzero(~missing)
        return (lambda: ops.scatter_add(ops.take(dy, there), rows[there], len(x)),
                None if ground is None else lambda: column_sums(dy[missing]),
                None)

    return ops.take(x, rows, ground), backward


def best_of_segments(scores: Array, starts: IntegerArray, k: ArrayLike) -> npt.NDArray[np.bool_]:
    """Return (n,) booleans: True for the k rows of each segment with the largest scores.

    Among equal scores the first is chosen, and NaN ranks below every number. The cost is that of sorting the rows.

    Args:
        scores: (n,) or (n, 1) numbers.
        starts: (b+1,) int64; segment i has the rows starts[i] to starts[i+1].
        k: a whole number, or (b,) of them.

    Raises:
        ShapeError: scores or k of another shape or kind.
    """
    counts, n = starts[1:] - starts[:-1], int(starts[-1])
    ks = np.array(k) if type(k) is int and 0 <= k < 2**31 else as_array("keep_top: k", k)
    if scores.shape not in ((n,), (n, 1)) or scores.dtype.kind not in "fiu":
        raise ShapeError(expected("keep_top", f"scores to be ({n},) numbers, one for each site",
                                  f"{scores.shape} of {scores.dtype}"))
    if ks.dtype.kind not in "iu" or ks.shape not in ((), counts.shape) or (ks.size and ks.min() < 0):
        raise ShapeError(expected("keep_top", f"k to be a whole number from 0 up, or {len(counts)} of them, one for "
                                  "each sample", repr(k)))
    scores = scores.reshape(-1).astype(np.float64)
    if compiled is not None:
        each = np.empty(len(counts), np.int64)
        each[:] = np.minimum(ks, n)
        return compiled.best(scores, cast("npt.NDArray[np.int64]", starts), each)
    segments = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-scores, segments))                              # stable, and NaN sorts last
    places = np.arange(len(scores)) - np.repeat(starts[:-1], counts)
    keep = np.zeros(len(scores), bool)
    keep[order] = places < np.repeat(np.broadcast_to(ks, counts.shape), counts)
    return keep


def takes_one_call(*given: Tensor) -> bool:
    """Return True if `pruned` and `with_coordinates` take these tensors; otherwise several functions do the same."""
    if compiled is None or watchers:
        return False
    return all(type(a.data) is np.ndarray and a.data.dtype == np.float32 for a in given)


@differentiable(reads={0: (0, 1, 2), 1: (0,)})
def pruned(x: Tensor | Array, w: Tensor | Array, bias: Tensor | Array | None, sites: Rows, smooth: bool, gate: bool,
           k: int, found: list[Rows]) -> Recorded:
    """Return the rows whose score x @ w[0] + bias is high, times the score: what layers that remove sites compute.

    Args:
        x: (n, c) float32, by site.
        w: (1, c, 1).
        bias: (1, 1), or None.
        sites: (n, 1+d) int32, in canonical order.
        smooth: whether the score goes through a sigmoid.
        gate: whether the rows are multiplied by their scores; w and bias get no gradient otherwise.
        k: keep the k rows with the highest scores of each sample, as `best_of_segments`; below 0: keep scores above 0,
            or above 0.5 after a sigmoid.
        found: a list to which the numbers of the rows (m,) int32 and their sites are appended.

    Returns:
        (m, c).
    """
    x, w, bias = cast(Array, x), cast(Array, w), cast("Array | None", bias)
    ops, identity, precision = ops_of(x, w), Rulebook.identity(len(x)), precision_name()
    scores = ops.conv(x, w, identity, bias=bias, precision=precision)
    scores = logistic(np, scores) if smooth else scores
    rows, places, y = compiled.kept(ops.asarray(x), scores, sites, 0.5 if smooth else 0.0, min(k, len(x)), gate,
                                    threads())
    found += rows, places

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dy = dy if len(rows) == len(x) else ops.scatter_add(dy, rows, len(x))
        if not gate:
            return lambda: dy, *(None,) * 7
        ds = fold_to(dy * x, scores.shape)
        ds = ds * (scores * (1 - scores)) if smooth else ds
        return (lambda: dy * scores + ops.conv(ds, w.swapaxes(-1, -2), identity.T, precision=precision),
                lambda: ops.conv_dw(x, ds, identity, precision=precision).reshape(w.shape), lambda: column_sums(ds),
                *(None,) * 5)

    return y, backward


@differentiable(reads={})
def with_coordinates(x: Tensor | Array, sites: Rows, centre: Array, half: Array) -> Recorded:
    """Return the rows (n, c) of x and (site - centre) / half of each axis of sites (n, 1+d), by one compiled call."""
    x = cast(Array, x)
    ops, c, d = ops_of(x), x.shape[1], len(half)
    y = compiled.with_coordinates(ops.asarray(x), sites, centre, half, threads())
    return y, lambda dy: (lambda: ops.split(dy, c, d)[0], None, None, None)


def merge(features: Tensor, rows: IntegerArray, n: int, reduce: str) -> Tensor:
    """Return the features (n, c) of sites, merged from the features (p, c) of points; rows (p,) are the points' sites.

    The gradient of a site goes to each of its points, divided by their number for "mean". For "first" and "last" it
    goes to that point only, for "max" to the point with the maximum.

    Source: SparseConvNet's input layers, modes 1 (last), 2 (first), 3 (sum) and 4 (mean) as they are documented.
    """
    if reduce in ("sum", "mean", "max"):
        return _combined(features, rows, n, reduce)
    if reduce == "error" and (rows[1:] > rows[:-1]).all():
        return features
    return _chosen(features, rows, n, reduce)


@differentiable(reads={})
def _combined(x: Tensor | Array, rows: IntegerArray, n: int, reduce: str) -> Recorded:
    x = cast(Array, x)
    ops = ops_of(x)
    if reduce == "max":
        y, winner = ops.scatter_max(x, rows, n)
        return y, lambda dy: (lambda: ops.max_pool_dx(dy, winner, len(x))[0], None, None, None)

    def dx(dy: Array) -> Array:
        if reduce == "mean":
            dy = dy * ops.asarray(shares(rows, n), dy.dtype)
        return ops.take(dy, rows)

    return ops.scatter_add(x, rows, n, mean=reduce == "mean"), lambda dy: (lambda: dx(dy), None, None, None)


@differentiable(reads={})
def _chosen(x: Tensor | Array, rows: IntegerArray, n: int, reduce: str) -> Recorded:
    x = cast(Array, x)
    ops, points = ops_of(x), np.arange(len(rows), dtype=np.int32)
    keeper = keepers(rows, n, reduce)
    return ops.take(x, keeper), lambda dy: (
        lambda: ops.take(dy, np.where(keeper[rows] == points, rows, -1)), None, None, None)


def keepers(rows: IntegerArray, n: int, kept: str) -> npt.NDArray[np.int32]:
    """Return the "first" point of each site, (n,) int32, else the last; every site has one."""
    points = np.arange(len(rows), dtype=np.int32)
    order = slice(None, None, -1 if kept == "first" else 1)
    keeper = np.zeros(n + 1, np.int32)                                   # the last one is for points without a row
    keeper[rows[order]] = points[order]                                  # the last of equal rows is kept
    return keeper[:n]


def kept_rows(rows: IntegerArray, n: int, kept: str) -> IntegerArray:
    """Return the rows (p,) of points among n sites, with -1 for points that do not get their site's features.

    Args:
        rows: (p,) ints, -1 to n - 1.
        n: number of sites.
        kept: "all", or "first" or "last": only the point of each site that this reduction keeps.

    Raises:
        ShapeError: an invalid `kept`.
    """
    if not is_one_of(kept, ("all", "first", "last")):
        raise ShapeError(expected("to_points", "kept to be 'all', 'first' or 'last'", repr(kept)))
    if kept == "all":
        return rows
    keeper = np.append(keepers(rows, n, kept), -1)                       # the last one belongs to points without a row
    return np.where(keeper[rows] == np.arange(len(rows)), rows, -1)
