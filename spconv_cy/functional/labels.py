"""Class numbers beside the outputs that they belong to: which of them count, and whether they fit."""

import numpy as np

from spconv_cy.checks import as_array, is_integer
from spconv_cy.errors import ShapeError

SEVERAL = (list, tuple, set, frozenset, np.ndarray)


def counted(who, labels, ignore_label):
    """Tell (n,) bool which labels count; None: all of them do.

    Args:
        who: is named in errors.
        labels: (n,) integers of any dtype.
        ignore_label: a whole number, or several in a list, tuple, set or array: labels that do not count; None: none.

    Raises:
        ValueError: another ignore_label.
    """
    left_out = None
    for number in _numbers(who, ignore_label):
        limits = np.iinfo(labels.dtype)
        if limits.min <= number <= limits.max:                           # -1 is no uint8, and is not to become 255
            found = labels == labels.dtype.type(number)
            left_out = found if left_out is None else left_out | found
    return None if left_out is None or not left_out.any() else ~left_out


def checked_labels(x, labels, ignore_label=None, who="loss"):
    """Return (labels, rows): class numbers int64 of the outputs that count, and their rows; rows None: all count.

    Args:
        x: outputs (b, classes).
        labels: (b,) class numbers.
        ignore_label: as for counted.
        who: is named in errors.

    Raises:
        ShapeError: labels of another shape or kind, or outside the classes and not to be ignored.
        ValueError: an ignore_label that does not fit.
    """
    labels = as_labels(who, labels)
    if x.ndim != 2 or labels.shape != x.shape[:1] or (labels.size and labels.dtype.kind not in "iu"):
        raise ShapeError(f"{who}: outputs {x.shape} and labels {labels.shape} of {labels.dtype} came; (b, classes) and "
                         f"(b,) whole numbers fit{_remedy(x, labels)}")
    labels = labels if labels.size else labels.astype(np.int64)
    counts = counted(who, labels, ignore_label)
    rows = None if counts is None else np.flatnonzero(counts)
    labels = labels if rows is None else labels[rows]
    check_range(who, labels, x.shape[1], ignore_label)
    return labels.astype(np.int64, copy=False), rows


def as_labels(who, labels):
    """Return labels as an array; raise ShapeError where nested lists of unequal length make none."""
    return as_array(f"{who}: labels", labels)


def check_range(who, labels, classes, ignore_label=None):
    """Raise ShapeError where labels lie outside 0 to classes - 1; where that may be no label at all, say how."""
    if not labels.size or 0 <= labels.min() <= labels.max() < classes:
        return
    outside = np.unique(labels[(labels < 0) | (labels >= classes)]).tolist()
    remedy = ""
    if len(outside) <= 3:
        known = sorted({*_numbers(who, ignore_label), *outside})
        shown = known[0] if len(known) == 1 else tuple(known)
        remedy = (f"; where {' and '.join(map(str, outside))} stand{'s' * (len(outside) == 1)} for no label, give "
                  f"ignore_label={shown}")
    raise ShapeError(f"{who}: labels {labels.min()} to {labels.max()} came; 0 to {classes - 1} fit{remedy}")


def _remedy(x, labels):
    if x.ndim == 2 and labels.shape == x.shape:
        return "; of rows that are 1 at the class, labels.argmax(1) are the class numbers"
    return remedy_of(x.shape, labels.shape)


def remedy_of(found, wanted):
    """Return what helps where outputs of shape `found` came for labels or targets of shape `wanted`; "" where none."""
    if not (found and wanted) or found[0] == wanted[0]:
        return ""
    if found[0] > wanted[0]:
        return "; for a label a sample, end the network with GlobalPooling()"
    return (f"; if the last samples have no sites, give samples={wanted[0]} to from_sites or from_points; if the "
            "labels are of points, put the network's layers into ToPoints(...)")


def refuse_sparse(who, **arguments):
    """Raise TypeError where a SparseTensor came for rows: it has several kinds, and the caller knows which is meant."""
    for name, value in arguments.items():
        if hasattr(value, "grid") and hasattr(value, "features"):
            raise TypeError(f"{who}: expected {name} to be a Tensor of rows, got {value}; its .features are a row a "
                            "site, ToPoints(...) around the network gives a row a point, and GlobalPooling() at its "
                            "end a row a sample")


def _numbers(who, ignore_label):
    if ignore_label is None:
        return []
    several = isinstance(ignore_label, SEVERAL) and np.ndim(ignore_label if isinstance(ignore_label, np.ndarray)
                                                            else [0]) == 1
    numbers = list(ignore_label) if several else [ignore_label]
    if not all(is_integer(n) for n in numbers):
        raise ValueError(f"{who}: expected ignore_label to be a whole number, several of them or None, got "
                         f"{ignore_label!r}")
    return [int(n) for n in numbers]
