"""What Python and numpy ask of an array: one number of it, its truth, its order, and an array of its numbers."""

from numbers import Real

import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import BackendError, ShapeError


class ArrayProtocol:
    """What a Tensor answers to Python's and numpy's questions; `data` and `requires_grad` are the subclass's."""

    __slots__ = ()
    __array_ufunc__ = None                                               # numpy on the left leaves operators to us

    def __array__(self, dtype=None, copy=None):
        """Give the data to np.asarray.

        Raises:
            ValueError: the tensor needs a gradient, which a numpy array does not carry.
            BackendError: the data is not in the CPU's memory.
        """
        if self.requires_grad:
            raise ValueError(f"np.asarray: expected a tensor that needs no gradient, got {self!r}; take its numbers, "
                             "without the gradient, by .data or .numpy()")
        if not isinstance(self.data, (np.ndarray, np.generic)):
            raise BackendError(f"np.asarray: expected data in the CPU's memory, got {self!r} on a GPU; .numpy() "
                               "copies it")
        array = np.asarray(self.data, dtype)
        if copy is False and not np.may_share_memory(array, self.data):
            raise ValueError(f"np.asarray: {np.dtype(dtype)} of {self!r} needs a copy, and copy=False came")
        return array.copy() if copy and np.may_share_memory(array, self.data) else array

    def item(self):
        """Return the number of a tensor of one element, as a Python float.

        Raises:
            ValueError: none or several elements.
        """
        if self.data.size != 1:
            raise ValueError(f"item: expected a tensor of one element, got {self.data.size} elements, shape "
                             f"{self.data.shape}; index it, or reduce it by sum() or mean()")
        return self.data.reshape(-1)[0].item()

    def __len__(self):
        return len(self.data)

    def __repr__(self):
        return f"Tensor({self.shape}, {self.dtype}{', requires_grad' if self.requires_grad else ''})"

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        if self.data.size != 1:
            raise ValueError(f"bool: expected a tensor of one element, got {self.data.size} elements, shape "
                             f"{self.data.shape}, whose truth is ambiguous; compare, then ask .any() or .all()")
        return bool(self.item())

    def __format__(self, spec):
        return format(self.item(), spec) if spec else repr(self)

    def __iter__(self):
        if not self.data.ndim:
            raise TypeError("iteration over a tensor of shape ()")
        return (self[i] for i in range(len(self.data)))

    def __lt__(self, other):
        return _compared("__lt__", self, other)

    def __le__(self, other):
        return _compared("__le__", self, other)

    def __gt__(self, other):
        return _compared("__gt__", self, other)

    def __ge__(self, other):
        return _compared("__ge__", self, other)

    def __eq__(self, other):
        return _compared("__eq__", self, other)

    def __ne__(self, other):
        return _compared("__ne__", self, other)

    __hash__ = object.__hash__                                           # a tensor is itself, as a key


def refuse_options(who, dtype, out):
    """Raise TypeError where numpy's function of that name was called with an option that a Tensor has not."""
    if dtype is not None or out is not None:
        raise TypeError(f"{who}: expected no dtype and no out for a Tensor, got "
                        f"{'dtype' if dtype is not None else 'out'}; compute with its .data")


def as_operand(value, like):
    """Return the array that an operator takes for `value` beside the array `like`; None where it is no operand.

    Numbers, arrays of numbers and lists of them are operands, an array of another backend with its own kind.

    Raises:
        TypeError: an array of something else.
        ShapeError: a number that the backend's float does not hold; a masked array.
        BackendError: arrays of two backends.
    """
    if isinstance(value, ArrayProtocol):
        ops_of(like, value.data)
        return value.data
    if isinstance(value, np.timedelta64):                                # counts as a whole number with Python
        return None
    if isinstance(value, Real):
        value = _as_float(value)
    elif not isinstance(value, (np.ndarray, np.generic, list, tuple)) and (
            getattr(value, "__array_ufunc__", value) is None and not hasattr(value, "__dlpack_device__")
            or not hasattr(value, "__array__") and not hasattr(value, "__dlpack_device__")):
        return None
    dtype = getattr(value, "dtype", None)
    if isinstance(value, (str, bytes)):                                  # numpy's too
        return None
    if getattr(dtype, "kind", "f") not in "fiub":
        raise TypeError(f"Tensor: expected an operand of numbers, got {dtype}; floats, integers and booleans can be "
                        "computed with")
    return ops_of(like).asarray(value, like.dtype)


def _as_float(value):
    if isinstance(value, np.generic):
        return value
    try:
        return float(value)                                              # of an int that no integer dtype holds too
    except OverflowError:
        raise ShapeError(f"Tensor: expected a number that a float holds, got a larger {type(value).__name__}; scale "
                         "it") from None


def _compared(name, tensor, other):
    other = as_operand(other, tensor.data)
    return NotImplemented if other is None else getattr(tensor.data, name)(other)
