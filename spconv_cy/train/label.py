"""Labels of any hashable type: to class numbers and back, to JSON and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from spconv_cy.backend.switch import hosted
from spconv_cy.checks import as_list, kind_of
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array

PLAIN = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
         "float64")


def classes_of(labels: Iterable[object], n: int, who: str = "labels") -> tuple[Array, Array]:
    """Return (classes, numbers): the distinct labels (classes,), and the class number of each label (n,).

    Classes are sorted where labels can be compared, and otherwise in the order of their first label.

    Args:
        labels: n hashable values, at least two of them different.
        n: how many there must be.
        who: the name that errors begin with.

    Raises:
        ShapeError: another number of labels.
        TypeError: labels that are not hashable.
        ValueError: a label is NaN, or there are fewer than two classes.

    >>> classes, numbers = classes_of(["b", "a", "b"], 3)
    >>> classes.tolist(), numbers.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    labels = hosted(labels)
    found = _listed(who, labels, n)
    try:
        distinct = dict.fromkeys(found)
    except TypeError as error:
        raise TypeError(expected(who, "hashable labels, such as numbers, text and tuples of them", error)) from None
    if any(label != label for label in distinct):
        raise ValueError(expected(who, "a label for each sample", "NaN",
                                  "give those samples a label, or leave them out"))
    if len(distinct) < 2:
        raise ValueError(expected(who, "labels of at least two classes", f"{list(distinct)!r}",
                                  "from one class there is nothing to learn"))
    try:
        ordered = sorted(distinct)
    except TypeError:
        ordered = list(distinct)
    number = {label: i for i, label in enumerate(ordered)}
    return (_as_array(ordered, getattr(labels, "dtype", None)),
            np.array([number[label] for label in found], np.int64))


def _listed(who: str, labels: Any, n: int) -> list[Any]:
    """Return labels as a list of n values."""
    if not hasattr(labels, "__iter__") or isinstance(labels, np.ndarray) and labels.ndim != 1:
        got = f"shape {labels.shape}" if isinstance(labels, np.ndarray) else f"{labels!r}"
        raise ShapeError(expected(who, "labels in a list or array (n,), one for each sample", got))
    without_mask(labels, who)
    plain = isinstance(labels, np.ndarray) and labels.dtype.name in PLAIN
    found = labels.tolist() if plain else as_list(who, labels, "labels in a list or array (n,)")
    without_mask(found, who)
    if len(found) != n:
        raise ShapeError(expected(who, f"{n} labels, one for each sample", len(found)))
    return found


def labels_to_json(classes: Array) -> dict[str, object]:
    """Return an array of classes as JSON values.

    Raises:
        TypeError: a label that is not a number, text, None or a tuple of them.
    """
    name = classes.dtype.name if classes.dtype.name in PLAIN else "str" if classes.dtype.kind == "U" else "object"
    return {"dtype": name, "labels": [_to_json(label) for label in classes.tolist()]}


def labels_from_json(value: dict[str, object]) -> Array:
    """Return the array of classes that `labels_to_json` was called with.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: value is not what `labels_to_json` returns.
    """
    name, listed = value["dtype"], value["labels"]
    if name not in (*PLAIN, "str", "object"):
        raise ValueError(expected("labels", f"a dtype of {', '.join(PLAIN)}, str or object", f"{name!r}"))
    labels = [_from_json(label) for label in listed]  # type: ignore[attr-defined]
    return _filled(labels) if name == "object" else np.array(labels, str(name))


def _as_array(labels: list[Any], dtype: object) -> Array:
    if isinstance(dtype, np.dtype) and dtype.name in PLAIN:
        return np.array(labels, dtype)
    plain = (bool, int, float, str, np.generic)
    kinds = {np.asarray(label).dtype.kind if isinstance(label, plain) else "O" for label in labels}
    if len(kinds) == 1 and kinds <= set("biufU"):
        array = np.array(labels)
        if array.dtype.kind in kinds and array.tolist() == labels:
            return array
    return _filled(labels)                        # np.array would make 1 and "1" the same text, and a row of each tuple


def _filled(labels: list[Any]) -> Array:
    array = np.empty(len(labels), object)
    for i, label in enumerate(labels):
        array[i] = label
    return array


def _to_json(label: object) -> object:
    if isinstance(label, tuple):
        return [_to_json(item) for item in label]
    label = label.item() if isinstance(label, np.generic) else label
    if label is None or isinstance(label, (bool, int, float, str)):
        return label
    raise TypeError(expected("SparseConvClassifier.save", "labels of numbers, text, None and tuples of them",
                             kind_of(label)))


def _from_json(label: object) -> object:
    if isinstance(label, dict):
        raise TypeError(expected("labels", "numbers, text, None and lists of them", "a JSON object"))
    return tuple(_from_json(item) for item in label) if isinstance(label, list) else label
