"""Losses of overlap, for segmentation: the Dice loss and the Lovasz-softmax loss."""

from __future__ import annotations

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_numbers, is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.loss_targets import Targets, targets_of
from spconv_cy.types import Array, ArrayLike, Recorded


@differentiable(reads={})
def dice_loss(x: Tensor | Array, labels: ArrayLike, *, smooth: float = 1.0, classes: str = "all",
              sample_weight: ArrayLike | None = None,
              ignore_label: int | list[int] | tuple[int, ...] | None = None) -> Recorded:
    """Return 1 - (2 sum(p y) + smooth) / (sum(p) + sum(y) + smooth), the mean over the classes.

    y is 1 for the samples of a class. p is its probability: by a softmax of each row for class numbers (b,), by a
    sigmoid of each number for labels 0 and 1 in the shape of x. The sums are over the samples of the batch that count.

    Args:
        x: (b, classes), before the softmax or sigmoid.
        labels: (b,) class numbers; or 0 and 1 in the shape of x.
        smooth: a number from 0 up; with 0, a class without samples has the loss 1 ("all") or none ("present").
        classes: "all", or "present": the mean is over the classes that have samples.
        sample_weight: (b,) numbers from 0 up, the weights in the sums; None: all 1.
        ignore_label: a whole number that marks samples without a label, or several of them.

    Returns:
        One number, shape (); 0 without samples that count.

    Raises:
        ShapeError: labels, weights or classes that do not fit.
        TypeError: x is a SparseTensor.

    Source: Milletari et al. 2016, arXiv:1606.04797, with sums of p in place of those of its square.

    >>> round(dice_loss(Tensor([[20.0, 0.0], [20.0, 0.0]]), [0, 1], smooth=0).item(), 4)      # (1 - 2 / 3 + 1) / 2
    0.6667
    """
    checked_numbers("dice_loss", 0, smooth=smooth)
    t = targets_of("dice_loss", x, labels, ignore_label, sample_weight)
    xp, p, y = t.xp, t.xp.exp(t.log_probabilities()), t.weights * t.y
    counts = _counting("dice_loss", t, classes)
    both, either = 2 * (p * y).sum(0) + smooth, (t.weights * p).sum(0) + y.sum(0) + smooth
    safe = xp.where(either > 0, either, 1)
    value = (counts * (1 - both / safe)).sum()

    def dx(dy: Array) -> Array:
        dp = -(2 * y * safe - t.weights * both) / (safe * safe) * (counts * dy)
        return t.through(p, dp).reshape(x.shape)

    return xp.asarray(value, t.x.dtype), lambda dy: (lambda: dx(dy), None)


@differentiable(reads={})
def lovasz_softmax(x: Tensor | Array, labels: ArrayLike, *, classes: str = "present",
                   sample_weight: ArrayLike | None = None,
                   ignore_label: int | list[int] | tuple[int, ...] | None = None) -> Recorded:
    """Return the Lovasz extension of 1 - intersection over union of each class, the mean over the classes.

    For each class, the errors |y - p| of the samples are sorted, and weighted by how much each of them lowers the
    intersection over union. Probabilities are as for dice_loss.

    Args:
        x, labels, ignore_label: as for dice_loss.
        classes: "present": the mean is over the classes that have samples, as published; or "all".
        sample_weight: (b,) numbers from 0 up; a weight of 2 counts as the sample twice. None: all 1.

    Result and errors as for dice_loss.

    Source: Berman et al. 2018, arXiv:1705.08790, algorithm 1.

    >>> round(lovasz_softmax(Tensor([[20.0, 0.0], [20.0, 0.0]]), [0, 1]).item(), 4)           # IoU 1 / 2 and 0
    0.75
    """
    t = targets_of("lovasz_softmax", x, labels, ignore_label, sample_weight)
    xp, p = t.xp, t.xp.exp(t.log_probabilities())
    counts = _counting("lovasz_softmax", t, classes)
    errors = xp.where(t.weights > 0, xp.abs(t.y - p), 0)
    slopes = xp.zeros_like(p)
    for column in range(p.shape[1]):
        order = xp.argsort(-errors[:, column], kind="stable")
        weights = t.weights[:, 0 if t.exclusive else column][order]
        slopes[order, column] = _lovasz_slopes(xp, t.y[order, column], weights)
    value = ((errors * slopes).sum(0) * counts).sum()

    def dx(dy: Array) -> Array:
        dp = xp.where(t.y > 0, -slopes, slopes) * (counts * dy)
        return t.through(p, dp).reshape(x.shape)

    return xp.asarray(value, t.x.dtype), lambda dy: (lambda: dx(dy), None)


def _lovasz_slopes(xp: object, y: Array, weights: Array) -> Array:
    """Return the differences of 1 - IoU as samples, sorted by falling error, are counted as wrong one by one."""
    held = (weights * y).astype(np.float64)
    total = held.sum()
    both, either = total - held.cumsum(), total + (weights - held).cumsum()
    loss = 1 - both / xp.where(either > 0, either, 1)                    # type: ignore[attr-defined]
    loss = xp.where(either > 0, loss, 0)                                 # type: ignore[attr-defined]
    loss[1:] -= loss[:-1].copy()
    return loss.astype(y.dtype)


def _counting(who: str, t: Targets, classes: str) -> Array:
    """Return (k,) the share of each class in the mean."""
    if not is_one_of(classes, ("all", "present")):
        raise ShapeError(expected(who, "classes to be 'all' or 'present'", repr(classes)))
    weights = t.weights.sum(0) if classes == "all" else (t.weights * t.y).sum(0)
    counts = (weights > 0) * np.ones(t.x.shape[1]) if t.xp is np else weights + t.xp.zeros(t.x.shape[1]) > 0
    return ops_of(t.x).asarray(counts / max(1.0, float(counts.sum())), t.x.dtype)
