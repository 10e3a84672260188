"""Walks the attributes of a layer and of the layers inside it, by path, through lists, tuples and dicts."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import Ops, ops_of
from spconv_cy.checks import kind_of
from spconv_cy.errors import expected

SIMPLE = frozenset((bool, int, float, str, type(None), Tensor))         # the most usual attributes: they hold nothing
HOLDERS = (dict, list, tuple, set, frozenset, deque, np.ndarray)         # may hold layers and tensors
OWN = frozenset(("_call", "_kept", "_planned", "_course"))               # attributes of the base class itself


class Node:
    """Base of Layer: the class of the objects that attribute paths lead through."""

    def to(self, name: str) -> Node:
        """Move the arrays of this node to a backend, in place."""
        raise NotImplementedError


def items(layer: Node) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of the attributes of one layer, those inside containers one by one.

    Raises:
        TypeError: layers or tensors in a set, a deque or an array of objects; keys with a dot.
    """
    for name, value in vars(layer).items():
        if name in OWN:
            continue
        if type(value) not in SIMPLE and isinstance(value, HOLDERS):
            yield from _flattened(layer, name, value)
        else:
            yield name, value


def walk(layer: Node) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of the attributes of a layer and of all layers below it, such as ("layers.0.weight", ...)."""
    for name, value in items(layer):
        if isinstance(value, Node):
            yield from ((f"{name}.{path}", inner) for path, inner in walk(value))
        else:
            yield name, value


def arrays(layer: Node) -> Iterator[tuple[str, Any]]:
    """Yield (path, array) of the parameters and the state of a layer and of all layers below it."""
    yield from _arrays_of(walk(layer))


def own(layer: Node) -> Iterator[tuple[str, Any]]:
    """Yield (path, numpy array) of the parameters and the state of one layer, without those of layers below it."""
    yield from ((path, ops_of(array).to_numpy(array)) for path, array in _arrays_of(items(layer)))


def fill(layer: Node, found: dict[str, Any], done: Callable[[Any], None]) -> None:
    """Copy numpy arrays into those of a new layer where they are like its own, which then take their place in `found`.

    Args:
        layer: Node that nobody else uses yet.
        found: arrays by path; the others are left.
        done: called with each array when it is copied.
    """
    for path, mine in arrays(layer):
        array = found.get(path)
        if isinstance(array, np.ndarray) and isinstance(mine, np.ndarray) and mine.flags.writeable and (
                (array.shape, array.dtype) == (mine.shape, mine.dtype)):
            mine[...] = array
            found[path] = mine
            done(array)


def running(layer: Node) -> list[Any]:
    """Return the arrays of a layer and all layers inside it that gradients do not change: running statistics."""
    return [value for _, value in walk(layer) if is_array(value)]


def is_array(value: object) -> bool:
    """Return True if a value is an array of any backend, of one axis or more."""
    return (hasattr(value, "dtype") and hasattr(value, "shape") and bool(getattr(value, "ndim", 0))
            and not isinstance(value, Tensor))


def moved(value: Any, ops: Ops, name: str) -> Any:
    """Move the arrays in the value of an attribute to a backend, in place where possible, and return the value."""
    if isinstance(value, Node):
        return value.to(name)
    if isinstance(value, Tensor):
        value.data, value.grad = ops.asarray(value.numpy()), None
        return value
    if isinstance(value, (list, dict)):
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            value[key] = moved(item, ops, name)
        return value
    if isinstance(value, tuple):
        parts = [moved(item, ops, name) for item in value]
        return value if all(map(operator.is_, parts, value)) else getattr(type(value), "_make", type(value))(parts)
    if is_array(value) and value.dtype.kind in "fiub":
        dtype = None if value.dtype.kind == "f" else value.dtype
        return ops.asarray(ops_of(value).to_numpy(value), dtype)
    return value


def _arrays_of(values: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for path, value in values:
        if isinstance(value, Tensor):
            yield path, value.data
        elif type(value) not in SIMPLE and is_array(value):
            yield path, value


def _flattened(layer: Node, path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            for below, found in _flattened(layer, f"{path}.{key}", item):
                if "." in str(key) and _is_state(found):
                    raise TypeError(expected(type(layer).__name__, f"keys without a dot in the attribute {path!r}",
                                             f"{key!r}", "dots separate the names in the paths of parameters"))
                yield below, found
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            if isinstance(item, HOLDERS):
                yield from _flattened(layer, f"{path}.{i}", item)
            else:
                yield f"{path}.{i}", item
    elif isinstance(value, (set, frozenset, deque)) and any(map(_is_state, value)):
        raise _unordered(layer, path, kind_of(value))
    elif is_array(value) and value.dtype == object and any(map(_is_state, value.flat)):
        raise _unordered(layer, path, "an array of objects")
    else:
        yield path, value


def _unordered(layer: Node, path: str, got: str) -> TypeError:
    return TypeError(expected(type(layer).__name__, f"the attribute {path!r} to hold its layers or tensors in a list, "
                              "tuple or dict", got, "make it a list"))


def _is_state(value: object) -> bool:
    return isinstance(value, (Node, Tensor, np.random.Generator)) or is_array(value)
