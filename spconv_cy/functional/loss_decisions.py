"""Losses of yes-or-no decisions and of rare classes: binary cross-entropy and the focal loss."""

from __future__ import annotations

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import ops_of, sum_of_rows, weight_of
from spconv_cy.checks import as_array, checked_numbers
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.loss_targets import Targets, share_of, targets_of
from spconv_cy.types import Array, ArrayLike, Recorded


@differentiable(reads={})
def binary_cross_entropy(x: Tensor | Array, labels: ArrayLike, *, positive_weight: ArrayLike = 1.0,
                         sample_weight: ArrayLike | None = None, reduction: str = "mean",
                         ignore_label: int | list[int] | tuple[int, ...] | None = None) -> Recorded:
    """Return the binary cross-entropy of labels under the sigmoid of x; each number of x is a decision of its own.

    Args:
        x: (b, ...), before the sigmoid.
        labels: numbers from 0 to 1 in the shape of x, such as 0 and 1; or ignore_label.
        positive_weight: the weight of the label 1, a number or one for each column; for rare positives.
        sample_weight: (b,) numbers from 0 up; None: all 1.
        reduction: "mean" over the decisions that count, divided by the sum of their sample weights (0 if there are
            none); or "sum".
        ignore_label: a whole number that marks decisions without a label, or several of them.

    Returns:
        One number, shape ().

    Raises:
        ShapeError: labels, weights or a reduction that do not fit.
        TypeError: x is a SparseTensor.

    >>> round(binary_cross_entropy(Tensor([[0.0], [2.0]]), [[1], [1]]).item(), 4)
    0.41
    """
    who = "binary_cross_entropy"
    t = targets_of(who, x, labels, ignore_label, sample_weight, soft=True)
    more = ops_of(t.x).asarray(_row(who, "positive_weight", positive_weight, t.x.shape[1]), t.x.dtype)
    share = t.x.dtype.type(share_of(who, reduction, weight_of(t.x, t.weights)))
    log_p = t.log_probabilities()
    value = sum_of_rows(t.weights * ((1 - t.y) * (t.x - log_p) - more * t.y * log_p)) * share

    def dx(dy: Array) -> Array:
        p = t.xp.exp(log_p)
        return (t.weights * (p * (1 - t.y) - more * t.y * (1 - p)) * (share * dy)).reshape(x.shape)

    return t.xp.asarray(value), lambda dy: (lambda: dx(dy), None)


@differentiable(reads={})
def focal_loss(x: Tensor | Array, labels: ArrayLike, *, gamma: float = 2.0, alpha: ArrayLike | None = None,
               sample_weight: ArrayLike | None = None, reduction: str = "mean",
               ignore_label: int | list[int] | tuple[int, ...] | None = None) -> Recorded:
    """Return the focal loss, a cross-entropy -log p times (1 - p)^gamma, so that sure samples count little.

    p is the probability of the label: by a softmax of each row for class numbers (b,), by a sigmoid of each number for
    labels 0 and 1 in the shape of x.

    Args:
        x: (b, classes), before the softmax; or (b, ...), before the sigmoid.
        labels: (b,) class numbers; or 0 and 1 in the shape of x.
        gamma: a number from 0 up; 0 is the cross-entropy.
        alpha: (classes,) weights of the classes; for labels 0 and 1 a number: the weight of the label 1, and 1 - alpha
            is that of 0; None: all 1.
        sample_weight, reduction, ignore_label: as for binary_cross_entropy.

    Result and errors as for binary_cross_entropy.

    Source: Lin et al. 2017, arXiv:1708.02002.

    >>> round(focal_loss(Tensor([[0.0, 0.0]]), [1]).item(), 4)                # log(2) / 4
    0.1733
    """
    checked_numbers("focal_loss", 0, gamma=gamma)
    t = targets_of("focal_loss", x, labels, ignore_label, sample_weight)
    each = t.weights * _alpha(t, alpha)
    share = t.x.dtype.type(share_of("focal_loss", reduction, weight_of(t.x, t.weights)))
    if t.exclusive:
        log_p = (t.log_probabilities() * t.y).sum(1, keepdims=True)
    else:
        sign = 2 * t.y - 1
        log_p = Targets(t.xp, sign * t.x, t.y, t.weights, False).log_probabilities()
    rest = -t.xp.expm1(log_p)                                            # 1 - p, without cancellation
    value = sum_of_rows(each * rest**gamma * -log_p) * share

    def dx(dy: Array) -> Array:
        # The derivative by the logit of the label, divided by 1 - p.
        held = t.xp.where(rest > 0, rest, 1)
        slope = gamma * t.xp.exp(log_p) * log_p * held**(gamma - 1) - rest**gamma
        slope = each * slope * (share * dy)
        if t.exclusive:
            found: Array = slope * (t.y - t.xp.exp(t.log_probabilities()))
            return found
        return (slope * rest * sign).reshape(x.shape)

    return t.xp.asarray(value), lambda dy: (lambda: dx(dy), None)


def _alpha(t: Targets, alpha: ArrayLike | None) -> Array:
    """Return the weights of the labels, (b, 1) of classes or (b, k) of decisions."""
    ops = ops_of(t.x)
    if alpha is None:
        return ops.asarray(np.ones((1, 1)), t.x.dtype)
    if t.exclusive:
        row = ops.asarray(_row("focal_loss", "alpha", alpha, t.x.shape[1]), t.x.dtype)
        found: Array = (t.y * row).sum(1, keepdims=True)
        return found
    checked_numbers("focal_loss", 0, alpha=alpha)
    share = t.x.dtype.type(alpha)
    return t.y * share + (1 - t.y) * (1 - share)


def _row(who: str, name: str, value: ArrayLike, columns: int) -> Array:
    found = as_array(f"{who}: {name}", value)
    if found.shape not in ((), (columns,)) or found.dtype.kind not in "iuf" or not (
            (found >= 0) & np.isfinite(found)).all():
        raise ShapeError(expected(who, f"{name} to be a number from 0 up, or {columns} of them", f"{value!r:.60}"))
    return np.broadcast_to(found, (1, columns)).astype(np.float64)
