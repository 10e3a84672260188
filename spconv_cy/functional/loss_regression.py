"""Losses of numbers: squared error, absolute error, and Huber's between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import in_all, ops_of, sum_of_rows, summable, weight_of
from spconv_cy.checks import is_number
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.labels import refuse_sparse, remedy_of
from spconv_cy.functional.loss_targets import checked_sample_weight, share_of
from spconv_cy.types import Array, ArrayLike, Recorded


@differentiable(reads={})
def mse(x: Tensor | Array, target: Tensor | ArrayLike, *, sample_weight: ArrayLike | None = None,
        reduction: str = "mean") -> Recorded:
    """Return the squared error to a target of x's shape: the "mean" over all elements, or the "sum".

    Args:
        x: (b, ...).
        target: of x's shape; a Tensor gets its gradient too.
        sample_weight: (b,) numbers from 0 up; the mean is then the weighted sum divided by the sum of the weights.
            None: all 1.
        reduction: "mean" (0 if there are no elements), or "sum".

    Raises:
        ShapeError: a target of another shape, weights that do not fit, or an unknown reduction.
        TypeError: an argument is a SparseTensor.
    """
    return _loss("mse", x, target, sample_weight, reduction, lambda xp, d: (d * d, 2 * d))


@differentiable(reads={})
def l1_loss(x: Tensor | Array, target: Tensor | ArrayLike, *, sample_weight: ArrayLike | None = None,
            reduction: str = "mean") -> Recorded:
    """Return the absolute error to a target of x's shape; its gradient at 0 is 0. Arguments as for mse.

    >>> l1_loss(Tensor([[1.0, -3.0]]), [[0.0, 0.0]]).item()
    2.0
    """
    return _loss("l1_loss", x, target, sample_weight, reduction, lambda xp, d: (xp.abs(d), xp.sign(d)))


@differentiable(reads={})
def huber_loss(x: Tensor | Array, target: Tensor | ArrayLike, *, delta: float = 1.0,
               sample_weight: ArrayLike | None = None, reduction: str = "mean") -> Recorded:
    """Return Huber's loss: d^2 / 2 for errors d up to delta, delta * (|d| - delta / 2) beyond.

    Args:
        delta: a number above 0. torch's smooth L1 loss with beta is this divided by delta = beta.
        x, target, sample_weight, reduction: as for mse.

    Source: Huber 1964, doi:10.1214/aoms/1177703732.

    >>> huber_loss(Tensor([[0.5, -3.0]]), [[0.0, 0.0]], reduction="sum").item()
    2.625
    """
    if not is_number(delta) or delta <= 0:
        raise ValueError(expected("huber_loss", "delta to be a number above 0", repr(delta)))

    def parts(xp: Any, d: Array) -> tuple[Array, Array]:
        near = xp.clip(d, -delta, delta)
        return near * (d - near / 2), near

    return _loss("huber_loss", x, target, sample_weight, reduction, parts)


def _loss(who: str, x: Any, target: Any, sample_weight: ArrayLike | None, reduction: str,
          parts: Callable[[Any, Array], tuple[Array, Array]]) -> Recorded:
    """Return a loss whose `parts` are the values and the derivatives of the differences."""
    refuse_sparse(who, x=x, target=target)
    ops, outputs = ops_of(cast(Array, x)), summable(x)
    wanted = ops.asarray(target, outputs.dtype)
    if wanted.shape != outputs.shape:
        raise ShapeError(expected(who, "x and target of equal shapes", f"x {outputs.shape} and target {wanted.shape}",
                                  remedy_of(outputs.shape, wanted.shape)))
    n: float = in_all(x, outputs.size)
    values, slopes = parts(ops.xp, outputs - wanted)
    if sample_weight is not None:
        weights = checked_sample_weight(who, sample_weight, len(outputs) if outputs.ndim else 1)
        n = weight_of(x, weights) * math.prod(outputs.shape[1:])
        factor = ops.asarray(weights.reshape(-1, *[1] * (outputs.ndim - 1)), outputs.dtype)
        values, slopes = values * factor, slopes * factor
    share = outputs.dtype.type(share_of(who, reduction, n))
    return (ops.xp.asarray(sum_of_rows(values) * share),
            lambda dy: (lambda: slopes * (share * dy), lambda: slopes * (-share * dy)))
