"""Metrics: functions of outputs and class numbers."""

from __future__ import annotations

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, is_integer
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.labels import IgnoredLabels, as_labels, check_range, counted, ignored_labels
from spconv_cy.types import Array, ArrayLike, FloatArray, IntegerArray


@known_arguments
def error_rate(outputs: ArrayLike, labels: ArrayLike, *, ignore_label: IgnoredLabels = None) -> float:
    """Return the fraction of samples whose largest output is not that of the label.

    Args:
        outputs: (b, classes), scores or probabilities; of equal outputs the first counts as the largest.
        labels: (b,) class numbers.
        ignore_label: a label or several that do not count, as for softmax_cross_entropy.

    Raises:
        ShapeError: arrays that do not fit, labels that are not classes, or no label that counts.

    >>> error_rate([[0.2, 0.8], [0.6, 0.4]], [1, 1])
    0.5
    """
    return _error("error_rate", outputs, labels, 1, ignore_label)


@known_arguments
def top_k_error(outputs: ArrayLike, labels: ArrayLike, k: int, *, ignore_label: IgnoredLabels = None) -> float:
    """Return the fraction of samples whose label is not among the k largest outputs; NaN is never among them.

    Args:
        outputs, labels, ignore_label: as for error_rate.
        k: a whole number from 1 up.

    Raises:
        ShapeError: as for error_rate.
        ValueError: an invalid k.
    """
    return _error("top_k_error", outputs, labels, k, ignore_label)


def _error(who: str, outputs: ArrayLike, labels: ArrayLike, k: int, ignore_label: IgnoredLabels) -> float:
    outputs, labels = _checked(who, outputs, labels, ignore_label)
    if not is_integer(k) or k < 1:
        raise ValueError(expected(who, "k to be a whole number from 1 up", f"{k!r}"))
    at = outputs[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(outputs.shape[1]) < labels[:, None]
    better = ((outputs > at) | ((outputs == at) & earlier)).sum(1)
    return float(((better >= k) | np.isnan(at[:, 0])).mean())


@known_arguments
def roc_auc(outputs: ArrayLike, labels: ArrayLike, *, ignore_label: IgnoredLabels = None) -> float:
    """Return the area under the receiver operating characteristic (ROC) curve.

    The area of one class is the fraction of pairs (a sample of the class, a sample of another class) in which the first
    has the larger output for that class; equal outputs count as half. With two classes the result is the area of class
    1, with more the mean over all classes.

    Args:
        outputs: (b, classes), scores or probabilities, without NaN.
        labels: (b,) class numbers, with at least one sample of each class.
        ignore_label: as for error_rate.

    Raises:
        ShapeError: as for error_rate; also fewer than two classes, a class without samples, or NaN.

    >>> roc_auc([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]], [0, 0, 1])
    0.5
    """
    outputs, labels = _checked("roc_auc", outputs, labels, ignore_label)
    counts = np.bincount(labels, minlength=outputs.shape[1])
    if np.isnan(outputs).any() or not counts.all() or len(counts) < 2:
        raise ShapeError(expected("roc_auc", "at least two classes, at least one sample of each, and no NaN",
                                  f"{counts.tolist()} samples of the classes and {int(np.isnan(outputs).sum())} NaN"))
    areas = []
    for at in range(1, 2) if len(counts) == 2 else range(len(counts)):
        _, place, equal = np.unique(outputs[:, at], return_inverse=True, return_counts=True)
        ranks = (np.cumsum(equal) - (equal - 1) / 2)[place]              # equal outputs share the mean of their ranks
        n = int(counts[at])
        areas.append((ranks[labels == at].sum() - n * (n + 1) / 2) / (n * (len(labels) - n)))
    return float(np.mean(areas))


@known_arguments
def confusion_matrix(predicted: ArrayLike, labels: ArrayLike, classes: int | None = None, *,
                     ignore_label: IgnoredLabels = None) -> IntegerArray:
    """Return counts (classes, classes): how often a sample of the row's class was predicted as the column's class.

    Args:
        predicted, labels: (b,) class numbers.
        classes: number of classes; by default one more than the largest class number.
        ignore_label: labels that do not count, whatever was predicted; as for error_rate.

    Raises:
        ShapeError: arrays that do not fit, or class numbers out of range.

    >>> confusion_matrix([0, 1, 1], [0, 0, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    columns, rows = _checked_classes(predicted, labels, classes, ignore_label)
    lowest = int(min(columns.min(initial=0), rows.min(initial=0)))
    highest = int(max(columns.max(initial=-1), rows.max(initial=-1)))
    classes = highest + 1 if classes is None else int(classes)
    if highest >= classes or lowest < 0:
        raise ShapeError(expected("confusion_matrix", f"class numbers from 0 to {classes - 1}",
                                  f"{lowest} to {highest}"))
    cells = np.bincount(rows * classes + columns, minlength=classes * classes)
    return cells.reshape(classes, classes)


def _checked_classes(predicted, labels, classes, ignore_label):
    """Return (predicted, labels) that count, as int64."""
    who = "confusion_matrix"
    predicted, labels = as_labels(who, predicted), as_labels(who, labels)
    kinds = {predicted.dtype.kind, labels.dtype.kind}
    if predicted.shape != labels.shape or labels.ndim != 1 or (labels.size and kinds - set("iu")):
        raise ShapeError(expected(who, "predicted and labels (b,), class numbers",
                                  f"{predicted.shape} of {predicted.dtype} and {labels.shape} of {labels.dtype}"))
    counts = counted(who, labels, ignore_label) if labels.size else None
    if counts is not None:
        predicted, labels = predicted[counts], labels[counts]
    if classes is not None and (not is_integer(classes) or not 0 <= classes <= 2**15):
        raise ShapeError(expected(who, f"classes to be a whole number from 0 to {2**15}, or None", f"{classes!r}"))
    if classes is not None:
        check_range(who, labels, classes, ignore_label)
    elif labels.size and labels.min() < 0:
        check_range(who, labels, int(max(labels.max(), predicted.max())) + 1, ignore_label)
    return predicted.astype(np.int64), labels.astype(np.int64)


@known_arguments
def intersection_over_union(confusion: ArrayLike, *, ignore_label: IgnoredLabels = None) -> FloatArray:
    """Return the intersection over union of each class: true positives / (true + false positives + false negatives).

    The result (classes,) is NaN for a class that has no samples and was never predicted, and for a class that does not
    count: samples of another class that were taken for it are errors of that other class.

    Args:
        confusion: (classes, classes) counts, as `confusion_matrix` returns them; those of several sets may be added.
        ignore_label: as for confusion_matrix.

    Raises:
        ShapeError: another shape, or negative counts.

    >>> intersection_over_union([[3, 1], [0, 4]]).tolist()
    [0.75, 0.8]
    """
    counts = as_array("intersection_over_union", confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iuf" or (counts < 0).any():
        raise ShapeError(expected("intersection_over_union", "counts (classes, classes), as confusion_matrix returns "
                                  "them", f"{counts.shape} of {counts.dtype}"))
    both = np.diag(counts).astype(np.float64)
    either = counts.sum(0) + counts.sum(1) - both
    ignored = ignored_labels("intersection_over_union", ignore_label)
    shown = (either > 0) & ~np.isin(np.arange(len(both)), ignored)
    return np.divide(both, either, out=np.full(len(both), np.nan), where=shown)


@known_arguments
def mean_iou(confusion: ArrayLike, *, ignore_label: IgnoredLabels = None) -> float:
    """Return the mean of `intersection_over_union` without its NaN; NaN if there are no other values.

    Args:
        confusion, ignore_label: as for intersection_over_union.

    >>> mean_iou([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    0.775
    """
    shares = intersection_over_union(confusion, ignore_label=ignore_label)
    shares = shares[~np.isnan(shares)]
    return float(shares.mean()) if len(shares) else float("nan")


@known_arguments
def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike, *,
                            ignore_label: IgnoredLabels = None) -> float:
    """Return the mean of -log of the labels' probabilities, each of them at least 1e-15.

    Args:
        probabilities: (b, classes).
        labels, ignore_label: as for error_rate.

    Raises:
        ShapeError: as for error_rate.

    >>> round(negative_log_likelihood([[0.0, 1.0]], [0]), 3)
    34.539
    """
    probabilities, labels = _checked("negative_log_likelihood", probabilities, labels, ignore_label)
    at = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(at, 1e-15, None)).mean())


def _checked(who: str, outputs: ArrayLike, labels: ArrayLike,
             ignore_label: IgnoredLabels) -> tuple[Array, Array]:
    """Return (outputs, labels) of the samples that count."""
    scores, numbers = as_array(f"{who}: outputs", outputs), as_labels(who, labels)
    if (scores.ndim != 2 or numbers.shape != scores.shape[:1] or not len(numbers) or numbers.dtype.kind not in "iu"
            or scores.dtype.kind not in "fiub"):
        raise ShapeError(expected(who, "outputs (b, classes), numbers, and labels (b,), class numbers, with b at least "
                                  "1", f"{scores.shape} of {scores.dtype} and {numbers.shape} of {numbers.dtype}"))
    counts = counted(who, numbers, ignore_label)
    if counts is not None:
        scores, numbers = scores[counts], numbers[counts]
        if not len(numbers):
            raise ShapeError(expected(who, f"at least one label that is not ignore_label={ignore_label!r}",
                                      f"{len(counts)} ignored labels only"))
    check_range(who, numbers, scores.shape[1], ignore_label)
    return scores, numbers
