"""Losses: means over the batch, by default; of float16 outputs in float32."""

import numpy as np

from spconv_cy.autograd import differentiable
from spconv_cy.backend.precision import summable
from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError


@differentiable(reads={})
def softmax_cross_entropy(x, labels, *, weights=None, reduction="mean"):
    """Return the negative log-likelihood of the labels under the softmax of x.

    Args:
        x: (b, classes).
        labels: (b,) whole numbers from 0 to classes - 1.
        weights: (classes,) numbers from 0 up, how much a sample of each class counts; None: all the same. The mean is
            that of the weighted samples: the sum over the sum of their weights.
        reduction: "mean" over the batch (0 for an empty one), or "sum".

    Returns:
        One number, shape ().

    Raises:
        ShapeError: labels of another shape or kind, or outside the classes; weights that do not fit.
    """
    xp = ops_of(x).xp
    x, labels = summable(x), checked_labels(x, labels)
    counts = None if weights is None else _checked_weights(x, weights)[labels]
    share = x.dtype.type(_share(reduction, len(x) if counts is None else counts.sum()))
    counts = None if counts is None else ops_of(x).asarray(counts, x.dtype)
    rows, labels = xp.arange(len(x)), xp.asarray(labels)
    # Of short rows numpy finds the maximum several times as fast column by column, and the sum by einsum.
    shifted = x - xp.ascontiguousarray(x.T).max(0)[:, None] if x.size else x.copy()
    at_labels = shifted[rows, labels]
    exponentials = xp.exp(shifted, out=shifted)
    totals = xp.einsum("ij->i", exponentials)[:, None]
    losses = xp.log(totals[:, 0]) - at_labels
    losses = losses if counts is None else losses * counts

    def backward(dy):
        dx = exponentials / totals
        dx[rows, labels] -= 1
        dx *= dy * share
        return dx if counts is None else dx * counts[:, None], None

    return xp.asarray(losses.sum() * share), backward


@differentiable(reads={})
def mse(x, target, *, reduction="mean"):
    """Return the squared error to a target of x's shape: the mean over all elements, or the "sum"."""
    ops, x = ops_of(x), summable(x)
    target = ops.asarray(target, x.dtype)
    if target.shape != x.shape:
        raise ShapeError(f"mse: x {x.shape} and target {target.shape} came; equal shapes fit")
    share = x.dtype.type(_share(reduction, x.size))
    difference = x - target
    return (ops.xp.asarray((difference * difference).sum() * share),
            lambda dy: (lambda: difference * (2 * share * dy), lambda: difference * (-2 * share * dy)))


@differentiable(reads={})
def hinge(x, labels, *, reduction="mean"):
    """Return the squared hinge loss, one class against all: sums of max(0, 1 - t x)^2, t = 1 at the label, else -1."""
    xp = ops_of(x).xp
    x, labels = summable(x), checked_labels(x, labels)
    share = x.dtype.type(_share(reduction, len(x)))
    sign = xp.full_like(x, -1)
    sign[xp.arange(len(x)), xp.asarray(labels)] = 1
    gap = xp.maximum(1 - sign * x, 0)
    return xp.asarray((gap * gap).sum() * share), lambda dy: (lambda: sign * gap * (-2 * share * dy), None)


def checked_labels(x, labels):
    """Return labels as (b,) int64; raise ShapeError where they do not fit x (b, classes)."""
    labels = np.asarray(labels)
    if x.ndim != 2 or labels.shape != x.shape[:1] or (labels.size and labels.dtype.kind not in "iu"):
        raise ShapeError(f"loss: outputs {x.shape} and labels {labels.shape} of {labels.dtype} came; (b, classes) and "
                         "(b,) whole numbers fit")
    if labels.size and not 0 <= labels.min() <= labels.max() < x.shape[1]:
        raise ShapeError(f"loss: labels {labels.min()} to {labels.max()} came; 0 to {x.shape[1] - 1} fit")
    return labels.astype(np.int64, copy=False)


def _checked_weights(x, weights):
    found = np.asarray(weights)
    if found.shape != x.shape[1:] or found.dtype.kind not in "iuf" or not ((found >= 0) & np.isfinite(found)).all():
        raise ShapeError(f"softmax_cross_entropy: weights {found.tolist()!r} came; {x.shape[1]} numbers from 0 up "
                         "fit, one for each class")
    return found.astype(np.float64)


def _share(reduction, n):
    if reduction not in ("mean", "sum"):
        raise ShapeError(f"loss: reduction {reduction!r} came; 'mean' or 'sum' fit")
    return 1 / n if reduction == "mean" and n else 1.0
