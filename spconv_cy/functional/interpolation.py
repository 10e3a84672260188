"""Weighted sums between rows of sites and rows of points: multilinear interpolation, and its adjoint."""

from __future__ import annotations

from typing import cast

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import Ops, ops_of, summable
from spconv_cy.functional.sparse import column_sums
from spconv_cy.types import Array, FloatArray, Gradient, IntegerArray, Recorded


def corners(places: FloatArray, kind: str = "linear") -> tuple[IntegerArray, IntegerArray, FloatArray]:
    """Return the sites around each place and their weights: low (n, d) int64, ups (k, d), weights (k, n) float64.

    At place i, the site low[i] + ups[k] has the weight weights[k, i].

    Args:
        places: (n, d) real coordinates, in the same unit as sites: the site (2, 3) is at the place (2.0, 3.0).
        kind: "linear": the 2^d sites of the cube around each place; "nearest": one site, halves rounded up.

    >>> low, ups, weights = corners(np.array([[2.25]]))
    >>> (low + ups).ravel().tolist(), weights.ravel().tolist()
    ([2, 3], [0.75, 0.25])
    """
    n, d = places.shape
    if kind == "nearest":
        return np.floor(places + 0.5).astype(np.int64), np.zeros((1, d), np.int64), np.ones((1, n))
    low = np.floor(places)
    above = places - low
    ups = np.indices((2,) * d).reshape(d, -1).T                          # the last axis fastest, as for offsets
    weights = np.ones((len(ups), n))
    for axis in range(d):
        weights *= np.stack([1 - above[:, axis], above[:, axis]])[ups[:, axis]]
    return low.astype(np.int64), ups, weights


@differentiable(reads={})
def weighted_gather(x: Tensor | Array, ground: Tensor | Array | None, rows: IntegerArray, weights: FloatArray,
                    rest: FloatArray) -> Recorded:
    """Return weighted sums of rows: y[i] = rest[i] * ground + sum over k of weights[k, i] * x[rows[k, i]].

    Args:
        x: (n, c).
        ground: (1, c), or None: zero.
        rows: (k, m) ints; a term with -1 is left out.
        weights: (k, m).
        rest: (m,), the weight of the ground state.

    Returns:
        (m, c).
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    ops, x = ops_of(x) if ground is None else ops_of(x, ground), summable(x)
    y = ops.take(x, rows, None, _as_rows(ops, weights, x))
    open_rows = np.flatnonzero(rest)
    shares = ops.asarray(rest[open_rows, None], x.dtype)
    if ground is not None and len(open_rows):
        y[open_rows] += shares * ground

    def backward(dy: Array) -> tuple[Gradient, ...]:
        return (lambda: ops.scatter_add(dy, rows, len(x), False, _as_rows(ops, weights, x)),
                None if ground is None else lambda: column_sums(dy[open_rows] * shares), None, None, None)

    return y, backward


@differentiable(reads={})
def weighted_scatter(x: Tensor | Array, rows: IntegerArray, weights: FloatArray, m: int) -> Recorded:
    """Return (m, c), to which weighted rows are added: y[rows[k, i]] += weights[k, i] * x[i], for k and i in turn.

    Args:
        x: (n, c).
        rows: (k, n) ints, 0 to m - 1; a term with -1 is left out.
        weights: (k, n).
        m: rows of the result.
    """
    x = cast(Array, x)
    ops, x = ops_of(x), summable(x)
    weights = _as_rows(ops, weights, x)
    return ops.scatter_add(x, rows, m, False, weights), lambda dy: (
        lambda: ops.take(dy, rows, None, weights), None, None, None)


def _as_rows(ops: Ops, weights: FloatArray, x: Array) -> Array:
    """Return weights as numpy numbers of the precision of the rows that they multiply."""
    return ops.on_host(weights, x.dtype)
