"""Arrays whose rows are some of those of a scene that several processes share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from spconv_cy.backend import exact
from spconv_cy.errors import BackendError, expected
from spconv_cy.types import Array

# Functions of numpy that keep each row by itself, and those that only look at an array.
BY_ROW = frozenset({"where", "zeros_like", "ones_like", "full_like", "empty_like", "clip", "nan_to_num", "copy"})
ALONG = frozenset({"concatenate", "take", "repeat", "split", "array_split", "sum", "prod", "max", "min", "amax", "amin",
                   "mean", "argmax", "argmin", "any", "all", "sort", "argsort", "expand_dims"})
LOOKING = frozenset({"shape", "ndim", "size", "array_repr", "array_str", "array2string", "array_equal", "allclose",
                     "may_share_memory", "shares_memory", "save", "savez", "can_cast", "result_type", "copyto",
                     "iscomplexobj", "isrealobj", "min_scalar_type", "common_type"})
REMEDY = "np.asarray(array) has this process's rows as a plain array"


class Part(np.ndarray[Any, Any]):
    """Rows of a scene that this process has. Operations on it run on its own Ops, which knows the other processes.

    numpy's functions may treat each row by itself; those that join rows are refused.

    Attributes:
        ops: Ops of the array; None for an array that has lost its rows.
        rows: number of rows of all processes.
    """

    ops: Any
    rows: int

    @staticmethod
    def of(array: Array, ops: Any, rows: int) -> Part:
        """Return a plain array (n, ...) as a Part, without a copy."""
        part = array.view(Part)
        part.ops, part.rows = ops, rows
        return part

    def like(self, array: Array) -> Array:
        """Return a plain array with a row for each of this one's as a Part."""
        return Part.of(np.asarray(array), self.ops, self.rows)

    @property
    def plain(self) -> Array:
        """The same memory as a plain array."""
        return self.view(np.ndarray)

    def __array_finalize__(self, given: Any) -> None:
        kept = isinstance(given, Part) and self.shape[:1] == given.shape[:1] and self.ndim > 0
        self.ops, self.rows = (given.ops, given.rows) if kept else (None, 0)

    def __getitem__(self, key: Any) -> Any:
        first = key[0] if isinstance(key, tuple) and key else key
        found = self.plain[key]
        whole = isinstance(first, slice) and first == slice(None) or first is Ellipsis
        return self.like(found) if whole and found.ndim and len(found) == len(self) else found

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        joins = method == "reduce" and (options.get("axis", 0) is None or 0 in _axes(options.get("axis", 0), self.ndim))
        if joins and not self._is_looked_at(ufunc) or method not in ("__call__", "reduce"):
            _refuse(f"np.{ufunc.__name__}{'' if method == '__call__' else '.' + method}")
        if ufunc is np.matmul and (not isinstance(inputs[0], Part) or isinstance(inputs[1], Part)):
            _refuse("np.matmul")
        out = options.pop("out", None)
        if out is not None:
            options["out"] = tuple(plain(a) for a in out)
        found = getattr(ufunc, method)(*map(plain, inputs), **options)
        if out is not None:
            return out[0]
        return self._rows_of(inputs, found)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        name = function.__name__
        if name in LOOKING:
            return function(*_deep(arguments), **{key: _deep(value) for key, value in options.items()})
        axis = options.get("axis", None if name != "concatenate" else 0)
        if name not in BY_ROW and (name not in ALONG or axis is None or 0 in _axes(axis, self.ndim)):
            _refuse(f"np.{name}")
        return self._rows_of((self,), function(*_deep(arguments), **{k: _deep(v) for k, v in options.items()}))

    def _rows_of(self, inputs: Any, found: Any) -> Any:
        if isinstance(found, (list, tuple)):
            return type(found)(self._rows_of(inputs, each) for each in found)
        owner = next((a for a in inputs if isinstance(a, Part) and a.ops is not None), self)
        rows = isinstance(found, np.ndarray) and found.ndim and len(found) == len(owner) and owner.ops is not None
        return owner.like(found) if rows else found

    def _is_looked_at(self, ufunc: Any) -> bool:
        return ufunc in (np.logical_or, np.logical_and)                  # any, all: of this process's rows

    def __reduce__(self) -> Any:
        return self.plain.__reduce__()


def part_of(*arrays: Any) -> Part | None:
    """Return the first of some arrays that is a Part, or None."""
    return next((a for a in arrays if isinstance(a, Part)), None)


def plain(array: Any) -> Any:
    """Return a Part as a plain array, anything else unchanged."""
    return array.plain if isinstance(array, Part) else array


def n_rows(array: Array) -> int:
    """Return the number of rows of an array, or of all processes' arrays if it is a Part."""
    return array.rows if isinstance(array, Part) else len(array)


def in_all(array: Array, number: Any) -> Any:
    """Return a number of this process's rows, or its sum over all processes if an array is a Part."""
    if not isinstance(array, Part) or array.ops is None:
        return number
    return array.ops.in_all(number)


def weight_of(x: Array, weights: Array) -> float:
    """Return the sum of numbers (n, ...) for the rows of x, of all processes if x is a Part."""
    if not isinstance(weights, np.ndarray):
        return float(weights.sum())                                      # on a GPU
    rows = np.asarray(weights, np.float64).reshape(len(weights), math.prod(weights.shape[1:]))
    return float(exact.column_sums(rows, None, x.ops.group if isinstance(x, Part) else exact.ALONE).sum())


def sum_of_rows(array: Array, axis: int | None = None) -> Array:
    """Return the sum over rows (axis 0, kept with length 1) or all elements (None), of all processes for a Part."""
    exactly = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.ndim > 0
    if not isinstance(array, Part) and not exactly:
        return array.sum() if axis is None else array.sum(axis, keepdims=True)  # type: ignore[no-any-return]
    rows = np.asarray(array).reshape(len(array), math.prod(array.shape[1:]))
    flat = (array.ops.segment_sum(array.like(rows), np.array([0, len(array)])) if isinstance(array, Part)
            else exact.column_sums(rows))
    return np.asarray(flat.sum()) if axis is None else flat.reshape(1, *array.shape[1:])


# Functions whose result is not rows, and is that of all processes.
REDUCTIONS = {"softmax_cross_entropy", "mse", "l1_loss", "huber_loss", "binary_cross_entropy", "focal_loss", "sum_over",
              "_normalize_ground"}
# Functions that make rows of rows in arrays of their own.
ROWS = {"put_columns", "take_columns"}
# What `differentiable` calls with the function's name, its arguments and its result, once there are Parts.
watchers: list[Callable[[str, Any, Any], Any]] = []


def watch(who: str, arrays: Any, y: Any) -> Any:
    """Return the result of a differentiable function; of functions that are not known to be right for Parts, refuse it.

    Raises:
        BackendError: the function got a Part and returned something else.
    """
    part = part_of(*arrays)
    if part is None or isinstance(y, Part) and y.ops is not None or who in REDUCTIONS:
        return y
    if who in ROWS:
        return part.like(y)
    raise BackendError(expected(who, "a function that treats each row by itself, for a scene that is cut among ranks",
                                "one that joins rows, or is not known to the library",
                                "gather the scene first: sp.distributed.gather(x)"))


def _axes(axis: Any, ndim: int) -> set[int]:
    return {int(a) % max(1, ndim) for a in (axis if isinstance(axis, tuple) else (axis,))}


def _deep(a: Any) -> Any:
    return type(a)(map(_deep, a)) if isinstance(a, (list, tuple)) else plain(a)


def _refuse(name: str) -> None:
    raise BackendError(expected(name, "a plain array", "rows of a scene that is cut among ranks, which it would join "
                                "on this rank alone", REMEDY))
