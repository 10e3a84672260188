"""Weighted sums of rows, term by term, for backends without a loop of their own for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from spconv_cy.types import Array, IntegerArray


def taken(ops: Any, x: Array, rows: IntegerArray, weights: Array) -> Array:
    """Return Ops.take of the backend `ops` with weights."""
    wide = _summed_in(x)
    y: Array = ops.xp.zeros((rows.shape[1], x.shape[1]), wide)
    for there, row, weight in _terms(rows, weights):
        y[there] += ops.asarray(weight, wide) * x[row]
    return y.astype(x.dtype, copy=False)


def added(ops: Any, x: Array, rows: IntegerArray, m: int, weights: Array) -> Array:
    """Return Ops.scatter_add of the backend `ops` with weights."""
    wide = _summed_in(x)
    y: Array = ops.xp.zeros((m, x.shape[1]), wide)
    for there, row, weight in _terms(rows, weights):
        y += ops.scatter_add(ops.asarray(weight, wide) * x[there], row, m)
    return y.astype(x.dtype, copy=False)


def _summed_in(x: Array) -> np.dtype[Any]:
    return np.dtype(np.float32) if x.dtype == np.float16 else x.dtype


def _terms(rows: IntegerArray, weights: Array) -> Iterator[tuple[IntegerArray, IntegerArray, Array]]:
    """Yield (which entries, their rows, their weights (n, 1)) for each k, without those of row -1 or weight 0."""
    for row, weight in zip(rows, weights, strict=True):
        there = np.flatnonzero((row >= 0) & (weight != 0))
        if len(there):
            yield there, row[there], weight[there, None]
