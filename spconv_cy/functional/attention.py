"""Attention among the rows of a window, with its gradient."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, cast

import numpy as np

from spconv_cy import config
from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import Ops, ops_of, summable
from spconv_cy.types import Array, Gradient, IntegerArray, Recorded

try:
    import spconv_cy.compiled.attention as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]


@differentiable(reads={0: (0, 1)})
def attend(rows: Tensor | Array, positions: Tensor | Array | None, heads: int, windows: Any,
           places: list[IntegerArray] | None) -> Recorded:
    """Return, for each row, the mean of its window's values, weighted by a softmax over query-key products.

    Args:
        rows: (n, 3c), the queries, the keys and the values, c channels each; the heads are equal parts of c.
        positions: (v, heads), a bias for each product, chosen by the relative position of the two sites; or None.
        heads: number of heads, which must divide c.
        windows: list of (w, m) integer arrays, w windows of m rows each; no row is in two windows. Or what Grid.grouped
            returns, for rows of which `takes_grouped` is True; its places are those of the sites' differences.
        places: list of (w, m, m) integer arrays: for each pair of rows of a window, its row in `positions`; or None.

    Returns:
        (n, c); a row that is in no window is zero.

    Cost: 2 * pairs * c multiply-adds forward, twice as many backward. Windows with the same number of rows are computed
    together, and there are at most sqrt(2 n) different numbers.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; windows and positions: Liu et al. 2021,
    arXiv:2103.14030.
    """
    rows, positions = cast(Array, rows), cast("Array | None", positions)
    ops = ops_of(rows) if positions is None else ops_of(rows, positions)
    if compiled is not None and isinstance(windows, compiled.Windows):
        return _attended_at_once(ops, rows, positions, heads, windows)
    if compiled is not None and ops.name == "cpu":
        return _attended(ops, rows, positions, heads, windows, places)
    xp, wide, c = ops.xp, summable(rows), rows.shape[1] // 3
    scale = wide.dtype.type(1 / math.sqrt(c // heads))
    table = None if positions is None else xp.ascontiguousarray(positions.T)
    y, shares = xp.zeros((len(wide), c), wide.dtype), []
    for i, window in enumerate(windows):
        query, key, value = _heads(wide[window], 3, heads)
        scores = _outer(xp, query * scale, key)
        if table is not None and places is not None:
            scores += xp.take(table, xp.asarray(places[i]), axis=1).swapaxes(0, 1)
        share = _softmax(xp, scores)
        y[window] = _joined(_mixed(xp, "whij", share, value))
        shares.append(share)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        drows = xp.zeros_like(wide)
        dpositions = None if positions is None else xp.zeros_like(positions)
        for i, (window, share) in enumerate(zip(windows, shares, strict=True)):
            drows[window], dscores = _gradients(xp, wide[window], dy[window], share, scale)
            if positions is not None and places is not None:
                pairs = xp.ascontiguousarray(dscores.transpose(0, 2, 3, 1)).reshape(-1, heads)
                dpositions += ops.scatter_add(pairs, places[i].reshape(-1), len(positions))
        return drows, dpositions, None, None, None

    return y, backward


def takes_grouped(rows: Array) -> bool:
    """Return True if `attend` takes the windows that Grid.grouped returns for these rows."""
    return compiled is not None and ops_of(rows).name == "cpu"


def _attended_at_once(ops: Ops, rows: Array, positions: Array | None, heads: int, windows: Any) -> Recorded:
    """Return the same by one compiled call for all windows."""
    rows, table, n_threads = ops.asarray(rows), None if positions is None else ops.asarray(positions), config.threads()
    y, shares = compiled.attend_all(rows, table, heads, windows, n_threads)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        drows, dpositions = compiled.attend_all_dx(rows, table, heads, windows, shares, ops.asarray(dy), n_threads)
        return drows, dpositions, None, None, None

    return y, backward


def _attended(ops: Ops, rows: Array, positions: Array | None, heads: int, windows: list[IntegerArray],
              places: list[IntegerArray] | None) -> Recorded:
    """Return the same by the compiled core."""
    rows, table = ops.asarray(rows), None if positions is None else ops.asarray(positions)
    y, n_threads, count = np.zeros((len(rows), rows.shape[1] // 3), np.float32), config.threads(), len(windows)
    rows_of = [np.ascontiguousarray(window, np.int64) for window in windows]
    at = [None] * count if places is None else [np.ascontiguousarray(place, np.int64) for place in places]
    shares = [compiled.attend(rows, table, heads, window, place, y, n_threads)
              for window, place in zip(rows_of, at, strict=True)]

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dy, drows = ops.asarray(dy), np.zeros_like(rows)
        dpositions = None if table is None else np.zeros_like(table)
        for window, place, share in zip(rows_of, at, shares, strict=True):
            dscores = compiled.attend_dx(rows, heads, window, share, dy, drows, n_threads)
            if dpositions is not None and place is not None:
                pairs = np.ascontiguousarray(dscores.transpose(0, 2, 3, 1)).reshape(-1, heads)
                dpositions += ops.scatter_add(pairs, place.reshape(-1), len(dpositions))
        return drows, dpositions, None, None, None

    return y, backward


def _gradients(xp: ModuleType, rows: Array, dy: Array, share: Array, scale: float) -> tuple[Array, Array]:
    """Return the gradients of a window's rows (w, m, 3c) and of its scores (w, heads, m, m)."""
    heads = share.shape[1]
    query, key, value = _heads(rows, 3, heads)
    (dmixed,) = _heads(dy, 1, heads)
    dshare = _outer(xp, dmixed, value)
    dscores = share * (dshare - (dshare * share).sum(3, keepdims=True))
    parts = (_mixed(xp, "whij", dscores, key) * scale, _mixed(xp, "whji", dscores, query) * scale,
             _mixed(xp, "whji", share, dmixed))
    return xp.concatenate([_joined(part) for part in parts], axis=2), dscores


def _softmax(xp: ModuleType, scores: Array) -> Array:
    """Return the softmax along the last axis, in the memory of the scores."""
    scores -= scores.max(3, keepdims=True)                               # at most 0, so that nothing overflows
    share = xp.exp(scores, out=scores)
    share /= share.sum(3, keepdims=True)
    return share


def _heads(rows: Array, parts: int, heads: int) -> Array:
    """Split (w, m, parts * c) into `parts` arrays (w, heads, m, c / heads)."""
    w, m = rows.shape[:2]
    return rows.reshape(w, m, parts, heads, -1).transpose(2, 0, 3, 1, 4)


def _joined(mixed: Array) -> Array:
    w, _, m, _ = mixed.shape
    return mixed.transpose(0, 2, 1, 3).reshape(w, m, -1)


# einsum instead of matmul, since the bits of a BLAS depend on its threads. The right operand is transposed so that the
# longest axis is last in memory: 2 to 4 times faster for 49 rows of 8 channels.


def _outer(xp: ModuleType, a: Array, b: Array) -> Array:
    return xp.einsum("whid,whdj->whij", a, _transposed(xp, b))


def _mixed(xp: ModuleType, axes: str, share: Array, values: Array) -> Array:
    """Return the sum over j of values (w, heads, m, d), weighted by share, whose axes are "whij" or "whji"."""
    return xp.einsum(f"{axes},whdj->whid", share, _transposed(xp, values))


def _transposed(xp: ModuleType, values: Array) -> Array:
    return xp.ascontiguousarray(values.swapaxes(2, 3))
