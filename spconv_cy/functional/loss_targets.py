"""Labels and weights of losses as arrays beside the outputs: which class each sample has, and how much it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spconv_cy.backend.switch import ops_of, summable
from spconv_cy.checks import as_array, is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.labels import IgnoredLabels, counted, marked_labels, refuse_sparse
from spconv_cy.types import Array, ArrayLike, FloatArray


@dataclass
class Targets:
    """Outputs and their targets as arrays of one shape.

    Attributes:
        xp: numpy or cupy.
        x: (b, k) outputs, at least float32.
        y: (b, k) targets from 0 to 1; of classes 1 at the label and 0 elsewhere.
        weights: (b, k) of independent decisions, (b, 1) of classes: 0 for what does not count.
        exclusive: whether each row has one class (a softmax), or each number is a decision of its own (a sigmoid).
    """

    xp: Any
    x: Array
    y: Array
    weights: Array
    exclusive: bool

    def log_probabilities(self) -> Array:
        """Return (b, k) logarithms of the softmax of each row, or of the sigmoid of each number."""
        xp, x = self.xp, self.x
        if self.exclusive:
            return log_softmax(xp, x)
        return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))

    def through(self, p: Array, dp: Array) -> Array:
        """Return the gradient of x from that of the probabilities p."""
        if self.exclusive:
            found: Array = p * (dp - (p * dp).sum(1, keepdims=True))
            return found
        return dp * p * (1 - p)


def log_softmax(xp: Any, x: Array) -> Array:
    """Return the logarithms of the softmax of each row."""
    if not x.size:
        return x
    x = x - x.max(1, keepdims=True)
    return x - xp.log(xp.exp(x).sum(1, keepdims=True))


def targets_of(who: str, x: Any, labels: ArrayLike, ignore_label: IgnoredLabels, sample_weight: ArrayLike | None, *,
               soft: bool = False) -> Targets:
    """Return the Targets of outputs (b, classes) and labels (b,), or of outputs and labels 0 and 1 of one shape.

    Args:
        who: named in errors.
        x: array, the outputs before a softmax or sigmoid.
        labels: class numbers, or 0 and 1 in the shape of x; True and False too.
        ignore_label: labels that do not count, or None.
        sample_weight: (b,) or None.
        soft: whether decisions may also be fractions from 0 to 1.

    Raises:
        ShapeError: labels or weights that do not fit.
        TypeError: x is a SparseTensor.
    """
    refuse_sparse(who, x=x)
    ops, real = ops_of(x), summable(x)
    xp, given = ops.xp, as_array(f"{who}: labels", labels)
    weights = checked_sample_weight(who, sample_weight, len(x) if x.ndim else 1)
    if given.shape == x.shape and x.ndim:
        y, counts = _decisions(who, given, ignore_label, soft)
        counts = counts * weights.reshape(-1, *[1] * (x.ndim - 1))
        rows = (-1, x.size // len(x) if len(x) else 1)
        return Targets(xp, real.reshape(rows), ops.asarray(y.reshape(rows), real.dtype),
                       ops.asarray(counts.reshape(rows), real.dtype), False)
    if soft and x.ndim:                                                  # no class numbers
        raise ShapeError(expected(who, f"labels in the shape of x, {x.shape}", f"shape {given.shape}",
                                  "for class numbers use softmax_cross_entropy" if x.shape[-1] > 1 else
                                  "give labels[:, None], or x[:, 0]"))
    numbers, _ = marked_labels(x, given, ignore_label, who)
    y = numbers[:, None] == np.arange(x.shape[1])
    return Targets(xp, real, ops.asarray(y, real.dtype),
                   ops.asarray((weights * (numbers >= 0))[:, None], real.dtype), True)


def _decisions(who: str, given: Array, ignore_label: IgnoredLabels, soft: bool) -> tuple[FloatArray, FloatArray]:
    """Return (targets, weights) of decisions, 0 for both where they do not count."""
    counts = np.ones(given.shape)
    if ignore_label is not None:
        whole = given.astype(np.int64) if given.dtype.kind in "iub" else np.where(
            given == np.floor(given), given, 0).astype(np.int64)
        exact = whole == given
        kept = counted(who, whole.reshape(-1), ignore_label)
        counts = counts if kept is None else (kept.reshape(given.shape) | ~exact) * 1.0
    y = np.where(counts > 0, given, 0).astype(np.float64) if given.dtype.kind in "iufb" else np.full(given.shape, -1.0)
    fits = (y >= 0) & (y <= 1) if soft else (y == 0) | (y == 1)
    if not fits.all():
        raise ShapeError(expected(who, f"labels {'from 0 to 1' if soft else '0 or 1'} in the shape of x, or class "
                                  "numbers (b,)", f"{given.dtype} labels such as {given[~fits].flat[0]}",
                                  "if it means that there is no label, give ignore_label="))
    return y, counts


def checked_sample_weight(who: str, sample_weight: ArrayLike | None, n: int) -> FloatArray:
    """Return the weights (n,) of samples, all 1 for None.

    Raises:
        ShapeError: another shape, or numbers that are not finite and from 0 up.
    """
    if sample_weight is None:
        return np.ones(n)
    found = as_array(f"{who}: sample_weight", sample_weight)
    fits = found.shape == (n,) and found.dtype.kind in "iufb"
    wrong = np.flatnonzero(~((found >= 0) & np.isfinite(found))) if fits else np.zeros(0, np.intp)
    if not fits or len(wrong):
        got = f"{found[wrong[0]]} for sample {wrong[0]}" if len(wrong) else f"shape {found.shape} of {found.dtype}"
        raise ShapeError(expected(who, f"sample_weight ({n},), finite numbers from 0 up", got))
    return found.astype(np.float64)


def share_of(who: str, reduction: str, n: float) -> float:
    """Return the factor of a sum: 1 for "sum", 1 / n for "mean" (1 if n is 0).

    Raises:
        ShapeError: another reduction.
    """
    if not is_one_of(reduction, ("mean", "sum")):
        raise ShapeError(expected(who, "reduction to be 'mean' or 'sum'", repr(reduction)))
    return 1 / n if reduction == "mean" and n else 1.0
