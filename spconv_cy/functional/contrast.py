"""Losses without classes: which item of the batch a row belongs to."""

from __future__ import annotations

from typing import cast

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor, differentiable, matmul
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import as_array, is_number
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.labels import refuse_sparse
from spconv_cy.functional.loss import softmax_cross_entropy
from spconv_cy.functional.powers import powers
from spconv_cy.types import Array, ArrayLike, Recorded


@known_arguments
def index_loss(x: Tensor | ArrayLike, columns: Tensor | ArrayLike) -> Tensor:
    """Return the cross-entropy of identifying each row as its item, by a softmax over the items of the batch.

    Every item is a class of its own, and `columns` are the weights of these classes in an index layer. The softmax is
    over the items of the batch only, so that the cost does not depend on the number of all items.

    Args:
        x: Tensor (b, c), a row for each item.
        columns: Tensor (b, c), the column of each item in the index layer, as rows.

    Returns:
        One number, shape (): the mean over the batch.

    Raises:
        ShapeError: shapes that differ or do not have two axes.
        TypeError: an argument is a SparseTensor.

    Source: Graham's index learning on CIFAR-10, 2015.

    >>> float(index_loss(Tensor([[1.0, 0.0], [0.0, 1.0]]), Tensor([[50.0, 0.0], [0.0, 50.0]])).data)
    0.0
    """
    x, columns = _rows("index_loss", "x", x), _rows("index_loss", "columns", columns)
    if len(x.shape) != 2 or x.shape != columns.shape:
        raise ShapeError(expected("index_loss", "x and columns of equal shapes (b, c)", f"{x.shape} and "
                                  f"{columns.shape}"))
    return softmax_cross_entropy(matmul(x, transpose(columns)), np.arange(len(x)))


@known_arguments
def contrastive_loss(x: Tensor | ArrayLike, temperature: float = 0.2) -> Tensor:
    """Return the NT-Xent loss: the mean negative log-likelihood of finding each row's second view among all other rows.

    The score of two rows is the cosine between them, divided by the temperature.

    Args:
        x: Tensor (2 b, c): one view of every item, then a second view of every item in the same order, as
            `AugmentedCopies` makes them.
        temperature: above 0.

    Returns:
        One number, shape (): the mean over the rows.

    Raises:
        ShapeError: x does not have two axes, or has an odd number of rows.
        TypeError: x is a SparseTensor.
        ValueError: a temperature that is not above 0.

    Source: Chen, Kornblith, Norouzi, Hinton 2020, arXiv:2002.05709 (NT-Xent).

    >>> round(float(contrastive_loss(Tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), 1.0).data), 4)
    0.5514
    """
    x = _rows("contrastive_loss", "x", x)
    if len(x.shape) != 2 or len(x) % 2:
        raise ShapeError(expected("contrastive_loss", "x to be rows (2 b, c), two views of each item", x.shape))
    if not is_number(temperature) or temperature <= 0:
        raise ValueError(expected("contrastive_loss", "temperature to be a number above 0", repr(temperature)))
    n, xp = len(x), ops_of(x.data).xp
    rows = unit_rows(x)
    itself = xp.zeros((n, n), x.dtype)
    xp.fill_diagonal(itself, -xp.inf)
    cosines = matmul(rows, transpose(rows)) * (1 / temperature)
    return softmax_cross_entropy(cosines + Tensor.of(itself), (np.arange(n) + n // 2) % max(n, 1))


def _rows(who: str, name: str, x: Tensor | ArrayLike) -> Tensor:
    refuse_sparse(who, **{name: x})
    return x if isinstance(x, Tensor) else Tensor(as_array(f"{who}: {name}", x))


@differentiable(reads={})
def unit_rows(x: Tensor | Array) -> Recorded:
    """Return the rows of x (n, c) scaled to length 1; a row of zeros stays zero, with gradient zero."""
    x = cast(Array, x)
    xp = ops_of(x).xp
    # The squares of large or small rows do not fit a float. Multiplying by a power of two first does not round.
    power = powers(xp, abs(x).max(1, keepdims=True)) if x.shape[1] else xp.ones((len(x), 1), x.dtype)
    near = x * power
    length = xp.sqrt((near * near).sum(1, keepdims=True))
    scale = xp.where(length > 0, 1 / xp.where(length > 0, length, 1), 0).astype(x.dtype)
    y = near * scale
    return y, lambda dy: (lambda: (dy - y * (dy * y).sum(1, keepdims=True)) * (scale * power),)


@differentiable(reads={})
def transpose(x: Tensor | Array) -> Recorded:
    """Return the transpose of a matrix (n, c)."""
    x = cast(Array, x)
    xp = ops_of(x).xp
    return xp.ascontiguousarray(x.T), lambda dy: (lambda: xp.ascontiguousarray(dy.T),)
