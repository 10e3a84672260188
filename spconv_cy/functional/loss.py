"""Losses: means over the batch by default; float16 outputs are computed in float32."""

from __future__ import annotations

from typing import cast

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import ops_of, summable
from spconv_cy.checks import as_array, is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.labels import IgnoredLabels, checked_labels, marked_labels, refuse_sparse, remedy_of
from spconv_cy.types import Array, ArrayLike, FloatArray, IntegerArray, Recorded


@differentiable(reads={0: (0,)})
def softmax_cross_entropy(x: Tensor | Array, labels: ArrayLike, *, weights: ArrayLike | None = None,
                          reduction: str = "mean", ignore_label: IgnoredLabels = None) -> Recorded:
    """Return the negative log-likelihood of the labels under the softmax of x.

    Args:
        x: (b, classes).
        labels: (b,) whole numbers from 0 to classes - 1, or ignore_label.
        weights: (classes,) numbers from 0 up, the weight of a sample of each class; None: all 1. With weights the mean
            is the weighted sum divided by the sum of the samples' weights.
        reduction: "mean" over the samples that count (0 if there are none), or "sum".
        ignore_label: a whole number that marks samples without a label, such as -1 or 255, or several of them. These
            samples do not count, and their gradient is zero. None: all samples count.

    Returns:
        One number, shape ().

    Raises:
        ShapeError: labels of another shape or kind, or outside the classes; weights of another shape or below 0; an
            unknown reduction.
        TypeError: x is a SparseTensor.
        ValueError: an ignore_label that is no whole number.
    """
    refuse_sparse("softmax_cross_entropy", x=x)
    x = cast(Array, x)
    ops, real = ops_of(x), summable(x)
    numbers, n = marked_labels(x, labels, ignore_label, "softmax_cross_entropy")
    counts = None
    if weights is not None:
        shares = np.append(_checked_weights(x, weights), 0)[numbers]     # -1 is the last
        counts, n = ops.asarray(shares, real.dtype), shares.sum()
    share = real.dtype.type(_share("softmax_cross_entropy", reduction, n))
    classes = ops.xp.asarray(numbers)
    total, found = ops.cross_entropy(real, classes, counts)
    return (ops.xp.asarray(total * share),
            lambda dy: (lambda: ops.cross_entropy_dx(summable(x), found, classes, dy * share, counts), None))


@differentiable(reads={})
def mse(x: Tensor | Array, target: Tensor | ArrayLike, *, reduction: str = "mean") -> Recorded:
    """Return the squared error to a target of x's shape: the "mean" over all elements, or the "sum".

    Raises:
        ShapeError: a target of another shape, or an unknown reduction.
        TypeError: an argument is a SparseTensor.
    """
    refuse_sparse("mse", x=x, target=target)
    x = cast(Array, x)
    ops, outputs = ops_of(x), summable(x)
    wanted = ops.asarray(target, outputs.dtype)
    if wanted.shape != outputs.shape:
        raise ShapeError(expected("mse", "x and target of equal shapes", f"x {outputs.shape} and target {wanted.shape}",
                                  remedy_of(outputs.shape, wanted.shape)))
    share = outputs.dtype.type(_share("mse", reduction, outputs.size))
    difference = outputs - wanted
    return (ops.xp.asarray((difference * difference).sum() * share),
            lambda dy: (lambda: difference * (2 * share * dy), lambda: difference * (-2 * share * dy)))


@differentiable(reads={})
def squared_hinge(x: Tensor | Array, labels: ArrayLike, *, reduction: str = "mean",
          ignore_label: IgnoredLabels = None) -> Recorded:
    """Return the squared hinge loss, one class against all: sums of max(0, 1 - t x)^2, t = 1 at the label, else -1.

    Args:
        x: (b, classes).
        labels: (b,) whole numbers from 0 to classes - 1, or ignore_label.
        reduction: "mean" over the samples that count (0 if there are none), or "sum".
        ignore_label: a whole number that marks samples without a label, or several of them; None: all samples count.

    Result and errors as for softmax_cross_entropy.
    """
    refuse_sparse("squared_hinge", x=x)
    x = cast(Array, x)
    xp = ops_of(x).xp
    numbers, kept = checked_labels(x, labels, ignore_label, "squared_hinge")
    outputs = summable(x if kept is None else x[kept])
    share = outputs.dtype.type(_share("squared_hinge", reduction, len(outputs)))
    sign = xp.full_like(outputs, -1)
    sign[xp.arange(len(outputs)), xp.asarray(numbers)] = 1
    gap = xp.maximum(1 - sign * outputs, 0)
    return (xp.asarray((gap * gap).sum() * share),
            lambda dy: (lambda: _at_rows(sign * gap * (-2 * share * dy), kept, x), None))


def _at_rows(dx: Array, rows: IntegerArray | None, x: Array) -> Array:
    """Return the gradient of x from that of its rows, zero for all other rows; rows None: dx is the gradient of x."""
    if rows is None:
        return dx
    whole = ops_of(dx).xp.zeros(x.shape, dx.dtype)
    whole[rows] = dx
    return whole


def _checked_weights(x: Array, weights: ArrayLike) -> FloatArray:
    found = as_array("softmax_cross_entropy: weights", weights)
    if found.shape != x.shape[1:] or found.dtype.kind not in "iuf" or not ((found >= 0) & np.isfinite(found)).all():
        raise ShapeError(expected("softmax_cross_entropy",
                                  f"weights to be {x.shape[1]} numbers from 0 up, one for each class",
                                  repr(found.tolist())))
    return found.astype(np.float64)


def _share(who: str, reduction: str, n: float) -> float:
    if not is_one_of(reduction, ("mean", "sum")):
        raise ShapeError(expected(who, "reduction to be 'mean' or 'sum'", repr(reduction)))
    return 1 / n if reduction == "mean" and n else 1.0
