"""Labels of classifiers: class numbers, weights of classes, labels to be left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spconv_cy.backend.switch import hosted
from spconv_cy.checks import as_array, as_list, is_number
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.estimators.tables import is_missing, without_column
from spconv_cy.train.label import classes_of
from spconv_cy.types import Array, ArrayLike, FloatArray

SEVERAL = (list, tuple, set, frozenset, np.ndarray)


def numbers_of(who: str, y: Any, n: int, ignore_label: object = None, classes: Array | None = None
               ) -> tuple[Array, Array]:
    """Return (classes, numbers): the labels that there are, and the class number (n,) of each, -1 for those ignored.

    Args:
        who: named in errors.
        y: n labels, hashable values.
        n: how many there must be.
        ignore_label: a label that does not count, or several in a list, tuple, set or array; None: all count.
        classes: the labels that there are, if they are known.

    Raises:
        ShapeError, TypeError, ValueError: as for `classes_of`; a label that is not among the classes.
    """
    if y is None:
        raise ShapeError(expected(who, "labels in a list or array (n,), one for each sample", "None",
                                  "y should be a 1d array"))
    _check_ordered(who, y)
    labels = without_column(who, y.to_numpy() if hasattr(y, "to_numpy") else
                            np.asarray(y) if hasattr(y, "__array__") and not hasattr(y, "__iter__") else y)
    if hasattr(labels, "__iter__") and not isinstance(labels, (str, bytes, np.ndarray)):
        labels = list(labels)
    left_out = _left_out(who, labels, ignore_label)
    if left_out is None or not left_out.any():
        if classes is None:
            return classes_of(labels, n, who)
        return classes, _known(who, labels, classes, n)
    if len(labels) != n:
        raise ShapeError(expected(who, f"{n} labels, one for each sample", len(labels)))
    at = np.flatnonzero(~left_out)
    kept = labels[at] if isinstance(labels, np.ndarray) else [labels[i] for i in at]
    numbers = np.full(n, -1, np.int64)
    if classes is None:
        classes, numbers[at] = classes_of(kept, len(at), who)
    else:
        numbers[at] = _known(who, kept, classes, len(at))
    return classes, numbers


def _check_ordered(who: str, y: Any) -> None:
    if isinstance(y, (set, frozenset, Mapping)):
        raise TypeError(expected(who, "labels in a list or array (n,), one for each sample",
                                 "a dict" if isinstance(y, Mapping) else "a set, which has no order"))


def _left_out(who: str, labels: Any, ignore_label: Any) -> Array | None:
    """Return (n,) booleans, True for the labels to be ignored; None if none is, or if these are no labels.

    Raises:
        ValueError: missing values, which cannot be compared, or infinity.
    """
    if not isinstance(labels, (list, np.ndarray)) or isinstance(labels, np.ndarray) and labels.ndim != 1:
        return None
    for i, label in enumerate(labels if not isinstance(labels, np.ndarray) or labels.dtype.kind in "fO" else ()):
        if is_missing(label) and type(label).__name__ in ("NAType", "NaTType"):
            raise ValueError(expected(who, "a label for each sample", f"a missing value, {label!r}, at item {i}",
                                      "give those samples a label, or leave them out"))
        if isinstance(label, float) and label in (np.inf, -np.inf):
            raise ValueError(expected(who, "a label for each sample", f"infinity at item {i}"))
    return _ignored(labels, ignore_label)


def _ignored(labels: Any, ignore_label: Any) -> Array | None:
    """Return (n,) booleans, True for the labels to be left out; None if none is named."""
    if ignore_label is None:
        return None
    several = list(ignore_label) if isinstance(ignore_label, SEVERAL) else [ignore_label]
    return np.array([any(_same(label, other) for other in several) for label in labels], bool)


def _same(a: object, b: object) -> bool:
    found = a == b
    return bool(found) if isinstance(found, (bool, np.bool_)) else False


def _known(who: str, labels: Any, classes: Array, n: int) -> Array:
    found = hosted(labels)
    found = found.tolist() if isinstance(found, np.ndarray) else list(found)
    if len(found) != n:
        raise ShapeError(expected(who, f"{n} labels, one for each sample", len(found)))
    number = {label: i for i, label in enumerate(classes.tolist())}
    for label in found:
        if label not in number:
            raise ValueError(expected(who, f"labels among the {len(classes)} classes of the first call",
                                      f"{label!r:.60}", "give classes= with all of them at the first call"))
    return np.array([number[label] for label in found], np.int64)


def class_weights(who: str, class_weight: Any, classes: Array, numbers: Array) -> FloatArray | None:
    """Return (classes,) weights: None, "balanced" (n / (classes * count), as scikit-learn), or those of a dict.

    Raises:
        ValueError: something else.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(numbers[numbers >= 0], minlength=len(classes))
        return np.divide(counts.sum(), len(classes) * counts, out=np.zeros(len(classes)), where=counts > 0)
    if not isinstance(class_weight, Mapping) or not all(is_number(value, 0) for value in class_weight.values()):
        raise ValueError(expected(who, "class_weight to be None, 'balanced' or a dict of numbers from 0 up by label",
                                  f"{class_weight!r:.80}"))
    known = classes.tolist()
    other = [label for label in class_weight if label not in known]
    if other and not all(label in class_weight for label in known):      # as scikit-learn: one is misspelt
        raise ValueError(expected(who, f"class_weight of labels among {known!r:.60}", f"{other[0]!r:.40}"))
    return np.array([float(class_weight.get(label, 1.0)) for label in known])


def accuracy(who: str, predicted: Array, y: Any, sample_weight: ArrayLike | None, ignore_label: object = None) -> float:
    """Return the fraction of labels in y that are predicted, without those to be ignored."""
    without_mask(y, f"{who}: y")
    _check_ordered(who, y)
    labels = as_list(who, without_column(who, y), "labels, one for each sample")
    if len(labels) != len(predicted):
        raise ShapeError(expected(who, f"{len(predicted)} labels, one for each sample", len(labels)))
    if not labels:
        raise ShapeError(expected(who, "at least one sample", "none"))
    missing = next((i for i, label in enumerate(labels) if is_missing(label)), None)
    if missing is not None:
        raise ValueError(expected(who, "a label for each sample", f"a missing value, {labels[missing]!r}, at item "
                                  f"{missing}", "leave those samples out"))
    if any(isinstance(label, (np.ndarray, list)) or hasattr(label, "requires_grad") for label in labels):
        raise ShapeError(expected(who, "one label for each sample", "labels of several numbers"))
    weights = np.ones(len(labels)) if sample_weight is None else score_weights(who, sample_weight, len(labels))
    left_out = _ignored(labels, ignore_label)
    weights = weights if left_out is None else weights * ~left_out
    if left_out is not None and left_out.all():
        raise ShapeError(expected(who, f"at least one label that is not ignore_label={ignore_label!r}", "none"))
    right = [bool(a == b) for a, b in zip(predicted, labels, strict=True)]
    return float(np.average(right, weights=weights))


def score_weights(who: str, sample_weight: ArrayLike, n: int) -> FloatArray:
    """Return the weights (n,) of a score."""
    weights = as_array(f"{who}: sample_weight", sample_weight)
    if weights.shape != (n,) or weights.dtype.kind not in "iufb":
        raise ShapeError(expected(who, f"sample_weight ({n},), numbers", f"{weights.shape} of {weights.dtype}"))
    return weights.astype(np.float64)


def different_classes(who: str, classes: Any) -> tuple[Array, Array]:
    """Return (classes, numbers) of labels as `classes_of` does; raise ValueError if two are equal."""
    found, numbers = classes_of(classes, len(classes), who)
    if len(found) != len(numbers):
        raise ValueError(expected(who, "classes that are all different", f"{len(numbers)} classes, {len(found)} of "
                                  "them different"))
    return found, numbers


def all_classes(who: str, classes: Iterable[object], known: Array | None = None) -> Array:
    """Return different labels as an array of classes; raise ValueError if two are equal, or if they are not `known`."""
    listed = as_list(who, classes, "classes, a list of labels")
    found, _ = different_classes(who, listed)
    if known is not None and found.tolist() != known.tolist():
        raise ValueError(expected(who, f"the classes of the first call, {known.tolist()!r:.60}",
                                  f"{found.tolist()!r:.60}", "leave classes= out after the first call"))
    return found
