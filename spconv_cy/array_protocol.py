"""The protocols of Python and numpy that a Tensor follows: conversion to numbers and arrays, truth, comparison."""

from collections.abc import Iterator
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import BackendError, ShapeError, expected
from spconv_cy.types import Array
from spconv_cy.ufuncs import OnTheClass

Keep: TypeAlias = bool | None                      # keepdims: as numpy, or None for the Tensor's own rule


class ArrayProtocol:
    """Base of Tensor with the methods that Python and numpy call; a subclass has `data` and `requires_grad`."""

    __slots__ = ()
    __array_ufunc__ = OnTheClass()
    data: Array
    requires_grad: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the data."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes of the data."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements of the data."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the data."""
        return self.data.dtype

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the data for np.asarray.

        Raises:
            ValueError: the tensor needs a gradient, which a numpy array does not carry.
            BackendError: the data is not in the CPU's memory.
        """
        if self.requires_grad:
            raise ValueError(expected("np.asarray", "a tensor that needs no gradient", repr(self),
                                      "take its numbers, without the gradient, by .data or .numpy()"))
        if not isinstance(self.data, (np.ndarray, np.generic)):
            raise BackendError(expected("np.asarray", "data in the CPU's memory", f"{self!r} on a GPU",
                                        "copy it by .numpy()"))
        array = np.asarray(self.data, dtype)
        if copy is False and not np.may_share_memory(array, self.data):
            raise ValueError(expected("np.asarray", f"copy=True or None for {np.dtype(dtype)} of {self!r}",
                                      "copy=False"))
        return array.copy() if copy and np.may_share_memory(array, self.data) else array

    def item(self) -> float:
        """Return the number of a tensor of one element, as a Python float.

        Raises:
            ValueError: the tensor has no or several elements.
        """
        if self.data.size != 1:
            raise ValueError(expected("item", "a tensor of one element", f"{self.data.size} elements, shape "
                                      f"{self.data.shape}", "index it, or reduce it by sum() or mean()"))
        return self.data.reshape(-1)[0].item()

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        first = self.shape if self.shape else f"{float(self.data):.6g}"  # of a single number, such as a loss, its value
        return f"Tensor({first}, {self.dtype}{', requires_grad' if self.requires_grad else ''})"

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(expected("bool", "a tensor of one element", f"{self.data.size} elements, shape "
                                      f"{self.data.shape}, whose truth is ambiguous",
                                      "compare, and reduce by .any() or .all()"))
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __iter__(self) -> Iterator[Any]:
        if not self.data.ndim:
            raise TypeError(expected("Tensor", "one axis or more to iterate over", "shape ()"))
        return (self[i] for i in range(len(self.data)))                  # type: ignore[index]

    def __lt__(self, other: object) -> Array:
        return _compared("__lt__", self, other)

    def __le__(self, other: object) -> Array:
        return _compared("__le__", self, other)

    def __gt__(self, other: object) -> Array:
        return _compared("__gt__", self, other)

    def __ge__(self, other: object) -> Array:
        return _compared("__ge__", self, other)

    def __eq__(self, other: object) -> Array:                            # type: ignore[override]
        return _compared("__eq__", self, other)

    def __ne__(self, other: object) -> Array:                            # type: ignore[override]
        return _compared("__ne__", self, other)

    __hash__ = object.__hash__                                           # a dict's key is the tensor itself


def refuse_options(who: str, dtype: object, out: object) -> None:
    """Raise TypeError if numpy's function of that name was called with an option that a Tensor does not have."""
    if dtype is not None or out is not None:
        raise TypeError(expected(who, "no dtype and no out for a Tensor", "dtype" if dtype is not None else "out",
                                 "compute with its .data"))


def kept(y: Any, x: Any, axis: int | None, keepdims: Keep) -> Any:
    """Return a sum or an extreme y of x with or without the axes of length 1 that it was taken over.

    Args:
        y: with a length of 1 along `axis`, or of shape () for all axes.
        x: the tensor it is of.
        axis: int or None.
        keepdims: whether these axes stay; None: one axis stays, all do not.
    """
    if keepdims is None or bool(keepdims) == (axis is not None):
        return y
    if axis is None:
        return y.reshape((1,) * x.ndim)
    return y.reshape(tuple(n for i, n in enumerate(x.shape) if i != axis % x.ndim))


def as_operand(value: object, like: Array) -> Array | None:
    """Return an operand as an array for an operation with the array `like`; None if it is no operand.

    Numbers, arrays of numbers and lists of them are operands; an array must be of the same backend.

    Raises:
        TypeError: an array of something else.
        ShapeError: a number that the backend's float cannot hold; a masked array.
        BackendError: arrays of two backends.
    """
    if isinstance(value, ArrayProtocol):
        ops_of(like, value.data)
        return value.data
    if isinstance(value, np.timedelta64):                                # a whole number for Python
        return None
    if isinstance(value, Real):
        value = _as_float(value)
    elif not isinstance(value, (np.ndarray, np.generic, list, tuple)) and (
            getattr(value, "__array_ufunc__", value) is None and not hasattr(value, "__dlpack_device__")
            or not hasattr(value, "__array__") and not hasattr(value, "__dlpack_device__")):
        return None
    dtype = getattr(value, "dtype", None)
    if isinstance(value, (str, bytes)):                                  # also those of numpy
        return None
    if getattr(dtype, "kind", "f") not in "fiub":
        raise TypeError(expected("Tensor", "an operand of floats, integers or booleans", dtype))
    return ops_of(like).asarray(value, like.dtype)


def _as_float(value: Real) -> object:
    if isinstance(value, np.generic):
        return value
    try:
        return float(value)                                              # also of a huge int
    except OverflowError:
        raise ShapeError(expected("Tensor", "a number that a float can hold", f"a larger {type(value).__name__}",
                                  "scale it")) from None


def _compared(name: str, tensor: ArrayProtocol, other: object) -> Any:
    operand = as_operand(other, tensor.data)
    return NotImplemented if operand is None else getattr(tensor.data, name)(operand)
