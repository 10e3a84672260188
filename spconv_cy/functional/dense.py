"""Differentiable functions of rows and dense arrays: leaky ReLU, dropout, selecting and joining columns, softmax."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import cast

import numpy as np

from spconv_cy import array_functions
from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor, differentiable, fold_to
from spconv_cy.backend.switch import Part, current, ops_of, summable
from spconv_cy.checks import described
from spconv_cy.errors import BackendError, ShapeError, expected
from spconv_cy.functional.sparse import column_sums
from spconv_cy.types import Array, ArrayLike, Gradient, IntegerArray, Recorded


@differentiable(reads={})
def leaky_relu(x: Tensor | Array, slope: float) -> Recorded:
    """Return x where it is positive, slope * x elsewhere; 0 <= slope <= 1, and slope 0 is the ReLU.

    Source: VeryLeakyReLU, slope 1/3: Graham 2014, arXiv:1409.6070, section 4.
    """
    x = cast(Array, x)
    ops, flat = ops_of(x), x if x.ndim == 2 else x.reshape(1, -1)
    y = ops.leaky_relu(flat, slope)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        return ops.leaky_relu_dx(y, dy.reshape(y.shape), slope).reshape(x.shape), None

    return y.reshape(x.shape), backward


@differentiable(reads={})
def at_least(x: Tensor | Array, lowest: float) -> Recorded:
    """Return x where it is larger than `lowest`, and `lowest` elsewhere, where the gradient is zero."""
    x = cast(Array, x)
    held = x > lowest
    return ops_of(x).xp.where(held, x, x.dtype.type(lowest)), lambda dy: (lambda: dy * held, None)


@differentiable(reads={})
def subtract_row(x: Tensor | Array, row: Tensor | Array) -> Recorded:
    """Return x - row, for x (n, c) and a row (1, c), such as features minus their ground state."""
    x, row = cast(Array, x), cast(Array, row)
    ops, zero = ops_of(x, row), ops_of(row).xp.zeros_like(row)
    rows = ops.xp.concatenate([row, zero, zero + 1, zero])
    return ops.affine(x, rows), lambda dy: (dy, lambda: -column_sums(dy))


@differentiable(reads={1: (0,)})
def dropout(x: Tensor | Array, mask: Array | float) -> Recorded:
    """Return x * mask.

    Args:
        x: (n, c).
        mask: (1, c) for whole columns, (n, c), or one number; it gets no gradient.
    """
    x = cast(Array, x)
    if isinstance(x, Part) and getattr(mask, "shape", ())[:1] not in ((), (1,)):
        raise BackendError(expected("dropout", "whole channels, for a scene that is cut among ranks",
                                    "elements, of which each rank would draw others", "use kind='channels'"))
    return x * mask, lambda dy: (lambda: dy * mask, None)


@differentiable(reads={})
def take_columns(x: Tensor | Array, columns: IntegerArray) -> Recorded:
    """Return the columns (k,) of x (n, c), giving (n, k); no column may be named twice."""
    x = cast(Array, x)
    xp = ops_of(x).xp
    columns = xp.asarray(columns)
    return xp.take(x, columns, axis=1), lambda dy: (lambda: _with_zeros(xp, dy, columns, x.shape[1]), None)


@differentiable(reads={})
def put_columns(x: Tensor | Array, columns: IntegerArray, c: int) -> Recorded:
    """Return (n, c) with column i of x (n, k) as column columns[i], zeros elsewhere; no column may be named twice."""
    x = cast(Array, x)
    xp = ops_of(x).xp
    columns = xp.asarray(columns)
    return _with_zeros(xp, x, columns, c), lambda dy: (lambda: xp.take(dy, columns, axis=1), None, None)


@differentiable(reads={})
def submatrix(w: Tensor | Array, rows: IntegerArray | None, columns: IntegerArray | None) -> Recorded:
    """Return the chosen rows and columns of each matrix of w (k, c, o); None chooses all.

    No row or column may occur twice.
    """
    w = cast(Array, w)
    xp = ops_of(w).xp
    rows, columns = (None if places is None else xp.asarray(places) for places in (rows, columns))
    places = (slice(None), slice(None) if rows is None else rows[:, None] if columns is not None else rows,
              slice(None) if columns is None else columns)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dw = xp.zeros_like(w)
        dw[places] = dy
        return dw, None, None

    return xp.ascontiguousarray(w[places]), backward


@differentiable(reads={})
def concatenate(*parts: Tensor | Array) -> Recorded:
    """Return the columns of all parts joined: (n, c1), (n, c2), ... -> (n, c1 + c2 + ...).

    Raises:
        ShapeError: parts with different numbers of rows, or without two axes.
    """
    arrays = cast("tuple[Array, ...]", parts)
    if not arrays:
        raise ShapeError(expected("concatenate", "at least one array", "none"))
    ops = ops_of(*arrays)
    if any(part.ndim != 2 for part in arrays) or len({len(part) for part in arrays}) > 1:
        raise ShapeError(expected("concatenate", "arrays (n, c) with equal numbers of rows",
                                  ", ".join(str(part.shape) for part in arrays)))
    widths = [part.shape[1] for part in arrays]
    return ops.concatenate(*arrays), lambda dy: ops.split(dy, *widths)


@differentiable(reads={})
def softmax(x: Tensor | Array) -> Recorded:
    """Return the softmax of each row of x (n, c): probabilities that sum to 1."""
    x = cast(Array, x)
    y = _softmax(ops_of(x).xp, summable(x))
    return y, lambda dy: (lambda: y * (dy - (dy * y).sum(1, keepdims=True)),)


@differentiable(reads={})
def scatter_to_dense(x: Tensor | Array, ground: Tensor | Array | None, index: tuple[IntegerArray, ...],
                     shape: tuple[int, ...]) -> Recorded:
    """Return a dense array (b, c, *size) with row i of x at (index[0][i], :, index[1][i], ...), elsewhere the ground.

    Args:
        x: (n, c).
        ground: (1, c), or None: zero.
        index: 1+d integer arrays (n,): sample, then coordinates.
        shape: (b, *size).
    """
    x, ground = cast(Array, x), cast("Array | None", ground)
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    xp, c = ops.xp, x.shape[1]
    dense = xp.zeros((*shape, c), x.dtype)
    if ground is not None:
        dense += ground
    dense[index] = x
    channels_first = (0, len(shape), *range(1, len(shape)))
    channels_last = (0, *range(2, len(shape) + 1), 1)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dy = dy.transpose(channels_last)
        at = xp.ascontiguousarray(dy[index])
        rest = None if ground is None else lambda: fold_to(dy, (1,) * len(shape) + (c,)).reshape(1, c) - column_sums(at)
        return at, rest, None, None

    return xp.ascontiguousarray(dense.transpose(channels_first)), backward


@differentiable(reads={})
def gather_from_dense(dense: Tensor | Array, index: tuple[IntegerArray, ...]) -> Recorded:
    """Return the rows (n, c) at index = (sample, coordinates...) of a dense array (b, c, *size)."""
    dense = cast(Array, dense)
    xp = ops_of(dense).xp
    channels_last = (0, *range(2, dense.ndim), 1)
    channels_first = (0, dense.ndim - 1, *range(1, dense.ndim - 1))

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dx = xp.zeros(tuple(dense.shape[axis] for axis in channels_last), dense.dtype)
        dx[index] = dy
        return xp.ascontiguousarray(dx.transpose(channels_first)), None

    return xp.ascontiguousarray(dense.transpose(channels_last)[index]), backward


@known_arguments
def flatten(x: Tensor | Array) -> Tensor:
    """Return a dense array (b, ...) with one row for each sample, (b, -1)."""
    if not getattr(x, "shape", ()):
        raise ShapeError(expected("flatten", "an array (b, ...)", described(x)))
    return reshape(x, (len(x), int(np.prod(x.shape[1:]))))


@differentiable(reads={})
def reshape(x: Tensor | Array, shape: int | Sequence[int]) -> Recorded:
    """Return x in another shape with the same number of elements."""
    return array_functions.reshape(x, shape)


@differentiable
def copy(x: Tensor | Array) -> Recorded:
    """Return a copy of x in memory of its own."""
    return cast(Array, x).copy(), lambda dy: (dy,)


def as_tensor(x: Tensor | ArrayLike) -> Tensor:
    """Return x if it is a Tensor, else a Tensor over an array x; it is copied only if the backend needs a copy."""
    return x if isinstance(x, Tensor) else Tensor.of(current().asarray(x))


def _with_zeros(xp: ModuleType, x: Array, columns: IntegerArray, c: int) -> Array:
    y = xp.zeros((len(x), c), x.dtype)
    y[:, columns] = x
    return y


def _softmax(xp: ModuleType, x: Array) -> Array:
    y = xp.exp(x - x.max(1, keepdims=True)) if x.size else x.copy()
    return y / y.sum(1, keepdims=True)
