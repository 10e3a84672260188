"""Losses: means over the batch by default; float16 outputs are computed in float32."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import in_all, ops_of, sum_of_rows, summable, weight_of
from spconv_cy.checks import as_array, checked_numbers
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.labels import IgnoredLabels, checked_labels, marked_labels, refuse_sparse
from spconv_cy.functional.loss_regression import mse as mse
from spconv_cy.functional.loss_targets import checked_sample_weight, log_softmax, share_of
from spconv_cy.types import Array, ArrayLike, FloatArray, IntegerArray, Recorded


@differentiable(reads={0: (0,)})
def softmax_cross_entropy(x: Tensor | Array, labels: ArrayLike, *, weights: ArrayLike | None = None,
                          reduction: str = "mean", ignore_label: IgnoredLabels = None,
                          label_smoothing: float = 0.0, sample_weight: ArrayLike | None = None) -> Recorded:
    """Return the negative log-likelihood of the labels under the softmax of x.

    Args:
        x: (b, classes).
        labels: (b,) whole numbers from 0 to classes - 1, or ignore_label.
        weights: (classes,) numbers from 0 up, the weight of a sample of each class; None: all 1. With weights the mean
            is the weighted sum divided by the sum of the samples' weights.
        reduction: "mean" over the samples that count (0 if there are none), or "sum".
        ignore_label: a whole number that marks samples without a label, such as -1 or 255, or several of them. These
            samples do not count, and their gradient is zero. None: all samples count.
        label_smoothing: from 0 up to below 1: this share of a label is spread evenly over all classes.
        sample_weight: (b,) numbers from 0 up, the weights of the samples, times those of their classes; None: all 1.

    Returns:
        One number, shape ().

    Raises:
        ShapeError: labels of another shape or kind, or outside the classes; weights of another shape or below 0; an
            unknown reduction.
        TypeError: x is a SparseTensor.
        ValueError: an ignore_label that is no whole number, or a label_smoothing out of range.

    Source of label_smoothing: Szegedy et al. 2016, arXiv:1512.00567; with weights as in torch.
    """
    refuse_sparse("softmax_cross_entropy", x=x)
    x = cast(Array, x)
    ops, real = ops_of(x), summable(x)
    numbers, n = marked_labels(x, labels, ignore_label, "softmax_cross_entropy")
    checked_numbers("softmax_cross_entropy", 0, 1, label_smoothing=label_smoothing)
    counts, each = None, None if weights is None else _checked_weights(x, weights)
    if each is not None or sample_weight is not None:
        shares = checked_sample_weight("softmax_cross_entropy", sample_weight, len(numbers)) * (numbers >= 0)
        shares = shares if each is None else shares * np.append(each, 0)[numbers]       # -1 is the last
        counts = ops.asarray(shares, real.dtype)
    total_n = in_all(x, n) if counts is None else weight_of(x, shares)
    share = real.dtype.type(share_of("softmax_cross_entropy", reduction, total_n))
    if label_smoothing:
        spread = label_smoothing / x.shape[1] * (np.ones(x.shape[1]) if each is None else each)
        own = checked_sample_weight("softmax_cross_entropy", sample_weight, len(numbers)) * (numbers >= 0)
        wanted = own[:, None] * spread
        wanted[np.arange(len(numbers)), numbers] += (1 - label_smoothing) * (
            (numbers >= 0) if counts is None else ops.to_numpy(counts))
        return _spread_cross_entropy(ops.xp, real, ops.asarray(wanted, real.dtype), share)
    classes = ops.xp.asarray(numbers)
    total, found = ops.cross_entropy(real, classes, counts)
    return (ops.xp.asarray(total * share),
            lambda dy: (lambda: ops.cross_entropy_dx(summable(x), found, classes, dy * share, counts), None))


@differentiable(reads={})
def squared_hinge(x: Tensor | Array, labels: ArrayLike, *, reduction: str = "mean",
          ignore_label: IgnoredLabels = None, sample_weight: ArrayLike | None = None) -> Recorded:
    """Return the squared hinge loss, one class against all: sums of max(0, 1 - t x)^2, t = 1 at the label, else -1.

    Args:
        x: (b, classes).
        labels: (b,) whole numbers from 0 to classes - 1, or ignore_label.
        reduction: "mean" over the samples that count (0 if there are none), or "sum".
        ignore_label: a whole number that marks samples without a label, or several of them; None: all samples count.
        sample_weight: (b,) numbers from 0 up; None: all 1. The mean is divided by the sum of those that count.

    Result and errors as for softmax_cross_entropy.
    """
    refuse_sparse("squared_hinge", x=x)
    x = cast(Array, x)
    xp = ops_of(x).xp
    numbers, kept = checked_labels(x, labels, ignore_label, "squared_hinge")
    outputs = summable(x if kept is None else x[kept])
    each = checked_sample_weight("squared_hinge", sample_weight, len(x))
    each = each if kept is None else each[kept]
    total = len(outputs) if sample_weight is None else weight_of(x, each)
    share = outputs.dtype.type(share_of("squared_hinge", reduction, total))
    share = share if sample_weight is None else xp.asarray(each[:, None], outputs.dtype) * share
    sign = xp.full_like(outputs, -1)
    sign[xp.arange(len(outputs)), xp.asarray(numbers)] = 1
    gap = xp.maximum(1 - sign * outputs, 0)
    return (xp.asarray((gap * gap * share).sum()),
            lambda dy: (lambda: _at_rows(sign * gap * (-2 * share * dy), kept, x), None))


def _spread_cross_entropy(xp: Any, x: Array, wanted: Array, share: float) -> Recorded:
    """Return the cross-entropy of labels that are spread over the classes, (b, classes)."""
    log_p = log_softmax(xp, x)

    def dx(dy: Array) -> Array:
        found: Array = (xp.exp(log_p) * wanted.sum(1, keepdims=True) - wanted) * (dy * share)
        return found

    return xp.asarray(-sum_of_rows(log_p * wanted) * share), lambda dy: (lambda: dx(dy), None)


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

