"""Differentiable functions of rows: leaky ReLU, dropout, joins, dense arrays."""

import numpy as np

from spconv_cy.autograd import Tensor, differentiable, fold_to
from spconv_cy.backend.precision import summable
from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.sparse import column_sums


@differentiable(reads={})
def leaky_relu(x, slope):
    """Return x where it is positive, slope * x elsewhere; 0 <= slope <= 1, slope 0 is the ReLU.

    Source: VeryLeakyReLU, slope 1/3: Graham 2014, arXiv:1409.6070, section 4.
    """
    ops, flat = ops_of(x), x if x.ndim == 2 else x.reshape(1, -1)
    y = ops.leaky_relu(flat, slope)

    def backward(dy):
        return ops.leaky_relu_dx(y, dy.reshape(y.shape), slope).reshape(x.shape), None

    return y.reshape(x.shape), backward


@differentiable(reads={})
def less_row(x, row):
    """Return x - row, for x (n, c) and a row (1, c), as the features less their ground state."""
    ops, zero = ops_of(x, row), ops_of(row).xp.zeros_like(row)
    rows = ops.xp.concatenate([row, zero, zero + 1, zero])
    return ops.affine(x, rows), lambda dy: (dy, lambda: -column_sums(dy))


@differentiable(reads={1: (0,)})
def dropout(x, mask):
    """Multiply by a mask, (1, c) for whole columns or (n, c), or by one number, that needs no gradient."""
    return x * mask, lambda dy: (lambda: dy * mask, None)


@differentiable(reads={})
def take_columns(x, columns):
    """Take columns (k,), none twice, of x (n, c), giving (n, k)."""
    xp = ops_of(x).xp
    columns = xp.asarray(columns)
    return xp.take(x, columns, axis=1), lambda dy: (lambda: _with_zeros(xp, dy, columns, x.shape[1]), None)


@differentiable(reads={})
def put_columns(x, columns, c):
    """Make (n, c) of x (n, k): its columns at the places `columns`, none twice, zeros elsewhere."""
    xp = ops_of(x).xp
    columns = xp.asarray(columns)
    return _with_zeros(xp, x, columns, c), lambda dy: (lambda: xp.take(dy, columns, axis=1), None, None)


@differentiable(reads={})
def submatrix(w, rows, columns):
    """Take rows and columns, none twice, of each matrix of w (k, c, o); None: all of them."""
    xp = ops_of(w).xp
    rows, columns = (None if places is None else xp.asarray(places) for places in (rows, columns))
    places = (slice(None), slice(None) if rows is None else rows[:, None] if columns is not None else rows,
              slice(None) if columns is None else columns)

    def backward(dy):
        dw = xp.zeros_like(w)
        dw[places] = dy
        return dw, None, None

    return xp.ascontiguousarray(w[places]), backward


@differentiable(reads={})
def concatenate(*parts):
    """Join columns: (n, c1), (n, c2), ... -> (n, c1 + c2 + ...)."""
    ops = ops_of(*parts)
    if len({len(part) for part in parts}) > 1:
        raise ShapeError(f"concatenate: {[part.shape for part in parts]} came; equal numbers of rows fit")
    ends = np.cumsum([0] + [part.shape[1] for part in parts])

    def backward(dy):
        return tuple(ops.xp.ascontiguousarray(dy[:, low:high]) for low, high in zip(ends[:-1], ends[1:], strict=True))

    return ops.xp.concatenate(parts, axis=1), backward


@differentiable(reads={})
def softmax(x):
    """Return probabilities along each row."""
    y = _softmax(ops_of(x).xp, summable(x))
    return y, lambda dy: (lambda: y * (dy - (dy * y).sum(1, keepdims=True)),)


@differentiable(reads={})
def paint(x, ground, index, shape):
    """Put rows into a dense array (b, c, *size): row i at (index[0][i], :, index[1][i], ...), elsewhere the ground.

    Args:
        x: (n, c).
        ground: (1, c), or None: zero.
        index: 1+d integer arrays (n,): sample, then coordinates.
        shape: (b, *size).
    """
    ops = ops_of(x) if ground is None else ops_of(x, ground)
    xp, c = ops.xp, x.shape[1]
    dense = xp.zeros((*shape, c), x.dtype)
    if ground is not None:
        dense += ground
    dense[index] = x
    turned = (0, len(shape), *range(1, len(shape)))
    back = (0, *range(2, len(shape) + 1), 1)

    def backward(dy):
        dy = dy.transpose(back)
        at = xp.ascontiguousarray(dy[index])
        rest = None if ground is None else lambda: fold_to(dy, (1,) * len(shape) + (c,)).reshape(1, c) - column_sums(at)
        return at, rest, None, None

    return xp.ascontiguousarray(dense.transpose(turned)), backward


@differentiable(reads={})
def pick(dense, index):
    """Take the rows (n, c) at index = (sample, coordinates...) from a dense array (b, c, *size)."""
    xp = ops_of(dense).xp
    turned = (0, *range(2, dense.ndim), 1)
    back = (0, dense.ndim - 1, *range(1, dense.ndim - 1))

    def backward(dy):
        dx = xp.zeros(tuple(dense.shape[axis] for axis in turned), dense.dtype)
        dx[index] = dy
        return xp.ascontiguousarray(dx.transpose(back)), None

    return xp.ascontiguousarray(dense.transpose(turned)[index]), backward


def flatten(x):
    """Give each sample of a dense Tensor (b, ...) one row, (b, -1)."""
    return reshape(x, (len(x), int(np.prod(x.shape[1:]))))


@differentiable(reads={})
def reshape(x, shape):
    """Give the numbers of x another shape."""
    return x.reshape(shape), lambda dy: (lambda: dy.reshape(x.shape), None)


def as_tensor(x):
    """Return x, or a Tensor of the array x on the backend where it lives."""
    return x if isinstance(x, Tensor) else Tensor(x)


def _with_zeros(xp, x, columns, c):
    y = xp.zeros((len(x), c), x.dtype)
    y[:, columns] = x
    return y


def _softmax(xp, x):
    y = xp.exp(x - x.max(1, keepdims=True)) if x.size else x.copy()
    return y / y.sum(1, keepdims=True)
