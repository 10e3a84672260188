"""Attention among the rows of a window, with its gradient under it."""

import math

from spconv_cy.autograd import differentiable
from spconv_cy.backend.precision import summable
from spconv_cy.backend.switch import ops_of


@differentiable(reads={0: (0, 1)})
def attend(rows, positions, heads, windows, places):
    """Give each row the mean of its window's values, weighted by the softmax of its query's products with their keys.

    Args:
        rows: (n, 3c), the queries, the keys and the values, c channels each; the heads are parts of c.
        positions: (v, heads), what is added to a product by the place of the two sites to each other; or None.
        heads: number of heads, which must divide c.
        windows: list of (w, m) integer arrays, w windows of m rows each; no row stands in two of them.
        places: list of (w, m, m) integer arrays, for the pairs of the windows' rows, places in `positions`; or None.

    Returns:
        (n, c); a row of no window is zero.

    Cost: 2 * pairs * c multiply-adds forward, twice as many back. Windows of equal numbers of rows are one step, and
    there are at most sqrt(2 n) different numbers.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; windows and positions: Liu et al. 2021,
    arXiv:2103.14030.
    """
    ops = ops_of(rows) if positions is None else ops_of(rows, positions)
    xp, rows, c = ops.xp, summable(rows), rows.shape[1] // 3
    scale = rows.dtype.type(1 / math.sqrt(c // heads))
    table = None if positions is None else xp.ascontiguousarray(positions.T)
    y, shares = xp.zeros((len(rows), c), rows.dtype), []
    for i, window in enumerate(windows):
        query, key, value = _heads(rows[window], 3, heads)
        scores = _outer(xp, query * scale, key)
        if table is not None:
            scores += xp.take(table, xp.asarray(places[i]), axis=1).swapaxes(0, 1)
        scores -= scores.max(3, keepdims=True)                           # at most 0: nothing overflows
        share = xp.exp(scores, out=scores)
        share /= share.sum(3, keepdims=True)
        y[window] = _joined(_mixed(xp, "whij", share, value))
        shares.append(share)

    def backward(dy):
        drows = xp.zeros_like(rows)
        dpositions = None if positions is None else xp.zeros_like(positions)
        for i, (window, share) in enumerate(zip(windows, shares, strict=True)):
            query, key, value = _heads(rows[window], 3, heads)
            (dmixed,) = _heads(dy[window], 1, heads)
            dshare = _outer(xp, dmixed, value)
            dscores = share * (dshare - (dshare * share).sum(3, keepdims=True))
            drows[window] = xp.concatenate([_joined(part) for part in (
                _mixed(xp, "whij", dscores, key) * scale, _mixed(xp, "whji", dscores, query) * scale,
                _mixed(xp, "whji", share, dmixed))], axis=2)
            if positions is not None:
                pairs = xp.ascontiguousarray(dscores.transpose(0, 2, 3, 1)).reshape(-1, heads)
                dpositions += ops.scatter_add(pairs, places[i].reshape(-1), len(positions))
        return drows, dpositions, None, None, None

    return y, backward


def _heads(rows, parts, heads):
    """Split (w, m, parts * c) into arrays (w, heads, m, c / heads)."""
    w, m = rows.shape[:2]
    return rows.reshape(w, m, parts, heads, -1).transpose(2, 0, 3, 1, 4)


def _joined(mixed):
    w, _, m, _ = mixed.shape
    return mixed.transpose(0, 2, 1, 3).reshape(w, m, -1)


# einsum, not matmul: a BLAS's bits depend on its threads. The right side is turned so that the longest axis is the last
# in memory, 2 to 4 times faster at 49 rows of 8 channels.


def _outer(xp, a, b):
    return xp.einsum("whid,whdj->whij", a, _turned(xp, b))


def _mixed(xp, axes, share, values):
    """Sum over j values (w, heads, m, d), weighted by share, whose axes are "whij", or "whji"."""
    return xp.einsum(f"{axes},whdj->whid", share, _turned(xp, values))


def _turned(xp, values):
    return xp.ascontiguousarray(values.swapaxes(2, 3))
