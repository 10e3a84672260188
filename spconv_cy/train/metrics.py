"""How good outputs are: arrays and class numbers in, numbers out."""

import numpy as np

from spconv_cy.checks import as_array, is_integer
from spconv_cy.errors import ShapeError
from spconv_cy.functional.labels import as_labels, check_range, counted


def error(outputs, labels, *, ignore_label=None):
    """Return the share of samples whose largest output is not at the label.

    Args:
        outputs: (b, classes), scores or probabilities; the first of equals counts as the largest.
        labels: (b,) class numbers.
        ignore_label: labels that do not count, as for softmax_cross_entropy, here and in all that take it.

    >>> error([[0.2, 0.8], [0.6, 0.4]], [1, 1])
    0.5
    """
    return top_k_error(outputs, labels, 1, ignore_label=ignore_label)


def top_k_error(outputs, labels, k, *, ignore_label=None):
    """Return the share of samples whose label is not among the k largest outputs; NaN is never among them."""
    outputs, labels = _checked(outputs, labels, ignore_label)
    if not is_integer(k) or k < 1:
        raise ValueError(f"top_k_error: k {k!r} came; a whole number from 1 up fits")
    at = outputs[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(outputs.shape[1]) < labels[:, None]
    better = ((outputs > at) | ((outputs == at) & earlier)).sum(1)
    return float(((better >= k) | np.isnan(at[:, 0])).mean())


def area_under_curve(outputs, labels, *, ignore_label=None):
    """Return the area under the receiver operating characteristic: how often a sample of a class scores higher for it.

    That is the share of pairs, one sample of the class and one of another, in which the former's output for the class
    is the larger one; of equals half counts. The class is 1 where there are two; with more it is the mean over them.

    Args:
        outputs: (b, classes), scores or probabilities, without NaN.
        labels: (b,) class numbers, each class at least once.

    Raises:
        ShapeError: a class of which no sample came, or all; NaN.

    >>> area_under_curve([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]], [0, 0, 1])
    0.5
    """
    outputs, labels = _checked(outputs, labels, ignore_label)
    counts = np.bincount(labels, minlength=outputs.shape[1])
    if np.isnan(outputs).any() or not counts.all() or len(counts) < 2:
        raise ShapeError(f"area_under_curve: {counts.tolist()} samples of the classes and "
                         f"{int(np.isnan(outputs).sum())} NaN came; two classes or more, at least one sample of each, "
                         "and numbers fit")
    areas = []
    for at in range(1, 2) if len(counts) == 2 else range(len(counts)):
        _, place, equal = np.unique(outputs[:, at], return_inverse=True, return_counts=True)
        ranks = (np.cumsum(equal) - (equal - 1) / 2)[place]              # equals share the mean of their ranks
        n = int(counts[at])
        areas.append((ranks[labels == at].sum() - n * (n + 1) / 2) / (n * (len(labels) - n)))
    return float(np.mean(areas))


def confusion_matrix(predicted, labels, classes=None, *, ignore_label=None):
    """Count (classes, classes) how often a sample of the row's class was taken for the column's.

    Args:
        predicted, labels: (b,) class numbers.
        classes: number of classes; by default one more than the largest number.
        ignore_label: labels that do not count, whatever was predicted.

    >>> confusion_matrix([0, 1, 1], [0, 0, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    predicted, labels = as_labels("confusion_matrix", predicted), as_labels("confusion_matrix", labels)
    kinds = {predicted.dtype.kind, labels.dtype.kind}
    if predicted.shape != labels.shape or labels.ndim != 1 or (labels.size and kinds - set("iu")):
        raise ShapeError(f"confusion_matrix: predicted {predicted.shape} of {predicted.dtype} and labels "
                         f"{labels.shape} of {labels.dtype} came; (b,) class numbers fit")
    counts = counted("confusion_matrix", labels, ignore_label) if labels.size else None
    if counts is not None:
        predicted, labels = predicted[counts], labels[counts]
    if classes is not None and (not is_integer(classes) or not 0 <= classes <= 2**15):
        raise ShapeError(f"confusion_matrix: expected classes to be a whole number or None, got {classes!r}")
    if classes is not None:
        check_range("confusion_matrix", labels, classes, ignore_label)
    elif labels.size and labels.min() < 0:
        check_range("confusion_matrix", labels, int(max(labels.max(), predicted.max())) + 1, ignore_label)
    predicted, labels = predicted.astype(np.int64), labels.astype(np.int64)
    classes = None if classes is None else int(classes)
    lowest = int(min(predicted.min(initial=0), labels.min(initial=0)))
    highest = int(max(predicted.max(initial=-1), labels.max(initial=-1)))
    classes = highest + 1 if classes is None else classes
    if highest >= classes or lowest < 0:
        raise ShapeError(f"confusion_matrix: class numbers {lowest} to {highest} came; 0 to {classes - 1} fit")
    cells = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def intersection_over_union(confusion):
    """Return (classes,) shares: of the samples that are of a class or were taken for it, those that are both.

    NaN where a class neither is nor was given.

    Args:
        confusion: (classes, classes) counts, as from `confusion_matrix`; those of several sets may be added up.

    Raises:
        ShapeError: no square, or negative counts.

    >>> intersection_over_union([[3, 1], [0, 4]]).tolist()
    [0.75, 0.8]
    """
    counts = as_array("intersection_over_union", confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iuf" or (counts < 0).any():
        raise ShapeError(f"intersection_over_union: {counts.shape} of {counts.dtype} came; counts (classes, classes) "
                         "fit, as confusion_matrix gives them")
    both = np.diag(counts).astype(np.float64)
    either = counts.sum(0) + counts.sum(1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


def mean_iou(confusion):
    """Return the mean of `intersection_over_union` over the classes that are or were given; NaN where there is none.

    >>> mean_iou([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    0.775
    """
    shares = intersection_over_union(confusion)
    shares = shares[~np.isnan(shares)]
    return float(shares.mean()) if len(shares) else float("nan")


def negative_log_likelihood(probabilities, labels, *, ignore_label=None):
    """Return the mean of -log of each label's probability, taken as 1e-15 where it is smaller.

    >>> round(negative_log_likelihood([[0.0, 1.0]], [0]), 3)
    34.539
    """
    probabilities, labels = _checked(probabilities, labels, ignore_label)
    at = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(at, 1e-15, None)).mean())


def _checked(outputs, labels, ignore_label):
    outputs, labels = as_labels("outputs", outputs), as_labels("labels", labels)
    if outputs.ndim != 2 or labels.shape != outputs.shape[:1] or not len(labels) or labels.dtype.kind not in "iu":
        raise ShapeError(f"outputs {outputs.shape} and labels {labels.shape} of {labels.dtype} came; (b, classes) and "
                         "(b,) class numbers fit, with b at least 1")
    if outputs.dtype.kind not in "fiub":
        raise ShapeError(f"outputs of {outputs.dtype} came; numbers fit")
    counts = counted("metrics", labels, ignore_label)
    if counts is not None:
        outputs, labels = outputs[counts], labels[counts]
        if not len(labels):
            raise ShapeError(f"{len(counts)} labels came, all of them to be ignored ({ignore_label!r}); at least one "
                             "other fits")
    check_range("metrics", labels, outputs.shape[1], ignore_label)
    return outputs, labels
