"""Labels of any hashable kind: to class numbers and back, to JSON and back."""

import numpy as np

from spconv_cy.backend.host import hosted
from spconv_cy.checks import as_list
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError

PLAIN = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
         "float64")


def classes_of(labels, n):
    """Return (classes, numbers): the distinct labels as an array (classes,), and each label's class number (n,).

    Classes are sorted where they can be compared, else in the order in which they come.

    Args:
        labels: n hashable things, at least two of them different.
        n: how many there must be.

    Raises:
        ShapeError: another number of labels.
        TypeError: labels that are not hashable.
        ValueError: a label that is NaN; fewer than two classes.

    >>> classes, numbers = classes_of(["b", "a", "b"], 3)
    >>> classes.tolist(), numbers.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    labels = hosted(labels)
    if not hasattr(labels, "__iter__") or isinstance(labels, np.ndarray) and labels.ndim != 1:
        came = f"shape {labels.shape}" if isinstance(labels, np.ndarray) else repr(labels)
        raise ShapeError(f"labels: {came} came; a list or array (n,), one for each character, fits")
    without_mask(labels, "labels")
    plain = isinstance(labels, np.ndarray) and labels.dtype.name in PLAIN
    found = labels.tolist() if plain else as_list("labels", labels, "a list or array (n,)")
    without_mask(found, "labels")
    if len(found) != n:
        raise ShapeError(f"labels: {len(found)} came for {n} characters; one for each fits")
    try:
        distinct = dict.fromkeys(found)
    except TypeError as error:
        raise TypeError(f"labels: {error}; hashable labels fit, such as numbers, text and tuples of them") from None
    if any(label != label for label in distinct):
        raise ValueError("labels: NaN came, which equals nothing; give those characters a label, or drop them")
    if len(distinct) < 2:
        raise ValueError(f"labels: {len(distinct)} class came, {list(distinct)!r}; two or more fit")
    try:
        ordered = sorted(distinct)
    except TypeError:
        ordered = list(distinct)
    number = {label: i for i, label in enumerate(ordered)}
    return (_as_array(ordered, getattr(labels, "dtype", None)),
            np.array([number[label] for label in found], np.int64))


def labels_to_json(classes):
    """Return JSON values for an array of classes.

    Raises:
        TypeError: a label that is no number, text, None or tuple of them.
    """
    name = classes.dtype.name if classes.dtype.name in PLAIN else "str" if classes.dtype.kind == "U" else "object"
    return {"dtype": name, "labels": [_to_json(label) for label in classes.tolist()]}


def labels_from_json(value):
    """Return the array of classes that `labels_to_json` was given.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: not what it wrote.
    """
    if value["dtype"] not in (*PLAIN, "str", "object"):
        raise ValueError(f"labels of dtype {value['dtype']!r}")
    labels = [_from_json(label) for label in value["labels"]]
    return _filled(labels) if value["dtype"] == "object" else np.array(labels, value["dtype"])


def _as_array(labels, dtype):
    if isinstance(dtype, np.dtype) and dtype.name in PLAIN:
        return np.array(labels, dtype)
    plain = (bool, int, float, str, np.generic)
    kinds = {np.asarray(label).dtype.kind if isinstance(label, plain) else "O" for label in labels}
    if len(kinds) == 1 and kinds <= set("biufU"):
        array = np.array(labels)
        if array.dtype.kind in kinds and array.tolist() == labels:
            return array
    return _filled(labels)                                               # 1 and "1", or tuples, stay what they are


def _filled(labels):
    array = np.empty(len(labels), object)
    for i, label in enumerate(labels):
        array[i] = label
    return array


def _to_json(label):
    if isinstance(label, tuple):
        return [_to_json(item) for item in label]
    label = label.item() if isinstance(label, np.generic) else label
    if label is None or isinstance(label, (bool, int, float, str)):
        return label
    raise TypeError(f"a label of type {type(label).__name__} cannot be saved; numbers, text, None and tuples of "
                    "them can")


def _from_json(label):
    if isinstance(label, dict):
        raise TypeError("a label that is an object")
    return tuple(_from_json(item) for item in label) if isinstance(label, list) else label
