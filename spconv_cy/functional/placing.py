"""Differentiable functions that put rows into larger arrays."""

from __future__ import annotations

from typing import cast

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import ops_of
from spconv_cy.functional.sparse import column_sums
from spconv_cy.types import Array, Gradient, IntegerArray, Recorded


@differentiable(reads={})
def fill_rows(x: Tensor | Array, ground: Tensor | Array | None, rows: IntegerArray, m: int) -> Recorded:
    """Return (m, c) with row i of x (n, c) as row rows[i], and the ground (1, c) elsewhere (None: zero).

    No row may be named twice.
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    xp = ops_of(x).xp if ground is None else ops_of(x, ground).xp
    y = xp.zeros((m, x.shape[1]), x.dtype)
    if ground is not None:
        y += ground
    y[rows] = x

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dx = xp.ascontiguousarray(dy[rows])
        return dx, None if ground is None else lambda: column_sums(dy) - column_sums(dx), None, None

    return y, backward


@differentiable(reads={})
def stack_channels(x: Tensor | Array, ground: Tensor | Array | None, rows: IntegerArray, places: IntegerArray, m: int,
                   size: int) -> Recorded:
    """Return (m, c * size) with channel j of row i of x (n, c) at row rows[i] and column j * size + places[i].

    Elsewhere is the value of that channel in the ground (1, c) (None: zero). No (row, place) may be named twice.
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    xp, c = (ops_of(x).xp if ground is None else ops_of(x, ground).xp), x.shape[1]
    y = xp.zeros((m, c, size), x.dtype)
    if ground is not None:
        y += ground[:, :, None]
    y[rows, :, places] = x

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dx = xp.ascontiguousarray(dy.reshape(m, c, size)[rows, :, places])
        return dx, None if ground is None else lambda: (
            column_sums(dy).reshape(c, size).sum(1)[None] - column_sums(dx)), None, None, None, None

    return y.reshape(m, c * size), backward
