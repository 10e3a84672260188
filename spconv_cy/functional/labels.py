"""Checks of class numbers against outputs: shapes, dtypes, the range of classes, and labels to be ignored."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spconv_cy.checks import as_array, is_integer
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array, ArrayLike, IntegerArray

SEVERAL = (list, tuple, set, frozenset, np.ndarray)
# One label that does not count, or several, or None.
IgnoredLabels: TypeAlias = int | Collection[int] | IntegerArray | None


def counted(who: str, labels: IntegerArray, ignore_label: IgnoredLabels) -> npt.NDArray[np.bool_] | None:
    """Return (n,) booleans, True where a label counts; None if all of them count.

    Args:
        who: named in errors.
        labels: (n,) integers of any dtype.
        ignore_label: labels that do not count: a whole number, or several in a list, tuple, set or array; None: none.

    Raises:
        ValueError: ignore_label is something else.
    """
    left_out = None
    for number in ignored_labels(who, ignore_label):
        limits = np.iinfo(labels.dtype)
        if limits.min <= number <= limits.max:                           # -1 as uint8 would match 255
            found = labels == labels.dtype.type(number)
            left_out = found if left_out is None else left_out | found
    return None if left_out is None or not left_out.any() else ~left_out


def checked_labels(x: Array, labels: ArrayLike, ignore_label: IgnoredLabels = None,
                   who: str = "loss") -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp] | None]:
    """Return (labels, rows): the labels that count, int64, and the rows of their outputs; rows None: all rows.

    Args:
        x: outputs (b, classes).
        labels: (b,) class numbers.
        ignore_label: as for counted.
        who: named in errors.

    Raises:
        ShapeError: labels of another shape or kind, or outside the classes and not ignored.
        ValueError: an ignore_label that is no whole number.
    """
    labels, counts = _counted(x, labels, ignore_label, who)
    rows = None if counts is None else np.flatnonzero(counts)
    labels = labels if rows is None else labels[rows]
    check_range(who, labels, x.shape[1], ignore_label)
    return labels.astype(np.int64, copy=False), rows


def marked_labels(x: Array, labels: ArrayLike, ignore_label: IgnoredLabels,
                  who: str) -> tuple[npt.NDArray[np.int64], int]:
    """Return (labels, n): all labels, int64, with -1 for those that do not count, and how many count.

    Arguments and errors as for checked_labels.
    """
    labels, counts = _counted(x, labels, ignore_label, who)
    check_range(who, labels if counts is None else labels[counts], x.shape[1], ignore_label)
    if counts is None:
        return labels.astype(np.int64, copy=False), len(labels)
    return np.where(counts, labels.astype(np.int64, copy=False), -1), int(counts.sum())


def _counted(x: Array, labels: ArrayLike, ignore_label: IgnoredLabels,
             who: str) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    labels = as_labels(who, labels)
    if x.ndim != 2 or labels.shape != x.shape[:1] or (labels.size and labels.dtype.kind not in "iu"):
        raise ShapeError(expected(who, "outputs (b, classes) and labels (b,) of whole numbers",
                                  f"outputs {x.shape} and labels {labels.shape} of {labels.dtype}", _remedy(x, labels)))
    labels = labels if labels.size else labels.astype(np.int64)
    return labels, counted(who, labels, ignore_label)


def as_labels(who: str, labels: ArrayLike) -> Array:
    """Return labels as an array; raise ShapeError if they are nested lists of unequal length."""
    return as_array(f"{who}: labels", labels)


def check_range(who: str, labels: IntegerArray, classes: int, ignore_label: IgnoredLabels = None) -> None:
    """Raise ShapeError if labels are not from 0 to classes - 1; the message names an ignore_label that may help."""
    if not labels.size or 0 <= labels.min() <= labels.max() < classes:
        return
    outside = np.unique(labels[(labels < 0) | (labels >= classes)]).tolist()
    remedy = ""
    if len(outside) <= 3:
        known = sorted({*ignored_labels(who, ignore_label), *outside})
        shown = known[0] if len(known) == 1 else tuple(known)
        remedy = (f"if {' and '.join(map(str, outside))} mean{'s' * (len(outside) == 1)} that there is no label, give "
                  f"ignore_label={shown}")
    raise ShapeError(expected(who, f"labels from 0 to {classes - 1}", f"{labels.min()} to {labels.max()}", remedy))


def _remedy(x: Array, labels: Array) -> str:
    if x.ndim == 2 and labels.shape == x.shape:
        return "if the labels are one-hot rows, give labels.argmax(1)"
    if x.ndim == 2 and labels.shape == (len(x), 1):
        return "give labels[:, 0]"
    if labels.dtype.kind in "fb" and labels.shape == x.shape[:1]:
        return "if they are class numbers, give labels.astype(int)"
    if labels.dtype.kind in "US" and labels.shape == x.shape[:1]:
        return "for names, give np.unique(labels, return_inverse=True)[1]"
    return remedy_of(x.shape, labels.shape)


def remedy_of(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Return a remedy for outputs of shape `found` and labels or targets of shape `wanted`; "" if none is known."""
    if not (found and wanted) or found[0] == wanted[0]:
        return ""
    if found[0] > wanted[0]:
        return "for one label per sample, end the network with GlobalPooling()"
    return (f"if the last samples have no sites, give samples={wanted[0]} to from_sites or from_points; if the "
            "labels are of points, put the network into ToPoints(...)")


def refuse_sparse(who: str, **arguments: object) -> None:
    """Raise TypeError if an argument is a SparseTensor: only the caller knows which of its rows are meant."""
    for name, value in arguments.items():
        if hasattr(value, "grid") and hasattr(value, "features"):
            raise TypeError(expected(who, f"{name} to be a Tensor of rows", value,
                                     "use its .features for a row per site, put the network into ToPoints(...) for a "
                                     "row per point, or end it with GlobalPooling() for a row per sample"))


def ignored_labels(who: str, ignore_label: IgnoredLabels) -> list[int]:
    """Return the labels that do not count, as for `counted`."""
    if ignore_label is None:
        return []
    numbers: list[Any] = [ignore_label]
    if isinstance(ignore_label, SEVERAL) and (not isinstance(ignore_label, np.ndarray) or ignore_label.ndim == 1):
        numbers = list(ignore_label)
    if not all(is_integer(n) for n in numbers):
        raise ValueError(expected(who, "ignore_label to be a whole number, several of them or None",
                                  repr(ignore_label)))
    return [int(n) for n in numbers]
