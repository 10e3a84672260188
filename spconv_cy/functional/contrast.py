"""Losses without classes: which item of the batch a row came from."""

import numpy as np

from spconv_cy.autograd import Tensor, differentiable, matmul
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import as_array, is_number
from spconv_cy.errors import ShapeError
from spconv_cy.functional.labels import refuse_sparse
from spconv_cy.functional.loss import softmax_cross_entropy
from spconv_cy.functional.powers import powers


def index_loss(x, columns):
    """Return the negative log-likelihood that row i of a batch is item i, among the items of the batch.

    Every item is a class of its own, and its column of the index layer is what the row is multiplied with; the softmax
    is over the batch's own items alone, so that its cost does not depend on how many there are.

    Args:
        x: Tensor (b, c), a row for each item.
        columns: Tensor (b, c), the items' own columns of the index layer, a row each.

    Returns:
        One number, shape (): the mean over the batch.

    Raises:
        ShapeError: shapes that differ or have no two axes.

    Source: Graham's index learning on CIFAR-10, 2015.

    >>> float(index_loss(Tensor([[1.0, 0.0], [0.0, 1.0]]), Tensor([[50.0, 0.0], [0.0, 50.0]])).data)
    0.0
    """
    x, columns = _rows("index_loss", x=x), _rows("index_loss", columns=columns)
    if len(x.shape) != 2 or x.shape != columns.shape:
        raise ShapeError(f"index_loss: rows {x.shape} and columns {columns.shape} came; equal shapes (b, c) fit")
    return softmax_cross_entropy(matmul(x, transpose(columns)), np.arange(len(x)))


def contrastive_loss(x, temperature=0.2):
    """Return the negative log-likelihood of each row's other view, among all other rows of the batch.

    Rows are told apart by the cosine between them over the temperature.

    Args:
        x: Tensor (2 b, c): one view of every item, then another of each in the same order, as
            `AugmentedCopies` makes them.
        temperature: above 0.

    Returns:
        One number, shape (): the mean over the rows.

    Raises:
        ShapeError: rows of another number of axes, or an odd number of them.
        ValueError: a temperature that is not above 0.

    Source: Chen, Kornblith, Norouzi, Hinton 2020, arXiv:2002.05709 (NT-Xent).

    >>> round(float(contrastive_loss(Tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), 1.0).data), 4)
    0.5514
    """
    x = _rows("contrastive_loss", x=x)
    if len(x.shape) != 2 or len(x) % 2:
        raise ShapeError(f"contrastive_loss: {x.shape} came; two views of each item, (2 b, c), fit")
    if not is_number(temperature) or temperature <= 0:
        raise ValueError(f"contrastive_loss: temperature {temperature!r} came; a number above 0 fits")
    n, xp = len(x), ops_of(x.data).xp
    rows = unit_rows(x)
    itself = xp.zeros((n, n), x.dtype)
    xp.fill_diagonal(itself, -xp.inf)
    cosines = matmul(rows, transpose(rows)) * (1 / temperature)
    return softmax_cross_entropy(cosines + Tensor.of(itself), (np.arange(n) + n // 2) % max(n, 1))


def _rows(who, **argument):
    refuse_sparse(who, **argument)
    (name, x), = argument.items()
    return x if isinstance(x, Tensor) else Tensor(as_array(f"{who}: {name}", x))


@differentiable(reads={})
def unit_rows(x):
    """Return the rows of x (n, c) at length 1; a row of zeros stays one, with gradient zero."""
    xp = ops_of(x).xp
    # Rows whose squares a float does not hold have a length all the same; a power of two rounds nothing.
    power = powers(xp, abs(x).max(1, keepdims=True)) if x.shape[1] else xp.ones((len(x), 1), x.dtype)
    near = x * power
    length = xp.sqrt((near * near).sum(1, keepdims=True))
    scale = xp.where(length > 0, 1 / xp.where(length > 0, length, 1), 0).astype(x.dtype)
    y = near * scale
    return y, lambda dy: (lambda: (dy - y * (dy * y).sum(1, keepdims=True)) * (scale * power),)


@differentiable(reads={})
def transpose(x):
    """Return the transpose of a matrix (n, c)."""
    xp = ops_of(x).xp
    return xp.ascontiguousarray(x.T), lambda dy: (lambda: xp.ascontiguousarray(dy.T),)
