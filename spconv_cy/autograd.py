"""A tape of functions of arrays: Tensor, differentiable, backward, and the operators of tensors."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, overload

import numpy as np

from spconv_cy import array_functions
from spconv_cy.arguments import check_arguments, known_arguments
from spconv_cy.array_protocol import ArrayProtocol, Keep, as_operand, kept, refuse_options
from spconv_cy.backend.numbers import own
from spconv_cy.backend.switch import current, in_all, ops_named, ops_of, watchers
from spconv_cy.checks import checked_function, is_real
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import BackendError, ShapeError, expected
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.tape import Read, check_broadcast, checked_results, fold_onto, listener, owned, owner_of, read_by
from spconv_cy.tape import fold_to as fold_to
from spconv_cy.tape import leaf_gradients as leaf_gradients
from spconv_cy.tape import no_grad as no_grad
from spconv_cy.tape import recording as recording
from spconv_cy.tape import sum_of as sum_of
from spconv_cy.tape import with_grad as with_grad
from spconv_cy.types import Array, ArrayLike, Recorded

P = ParamSpec("P")
Operand: TypeAlias = array_functions.Operand
Reads: TypeAlias = Mapping[int, tuple[int, ...]]


@known_arguments
class Tensor(ArrayProtocol):
    """An array that can take part in a backward pass.

    Args:
        data: array, number or nested lists; copied to an array of the current backend (float32 on cpu, float64 on
            reference).
        requires_grad: whether `backward` fills `grad`, as for parameters.

    Attributes:
        data: array.
        grad: array of the gradient, or None.
        requires_grad: bool.

    >>> x = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.tolist()
    [[2.0, 4.0]]
    """

    __slots__ = ("data", "grad", "requires_grad", "_parents", "_backward", "_function", "_version", "_read",
                 "__weakref__")
    grad: Array | None
    # Of the backward pass: the arguments, the function's own backward function, and the function.
    _parents: Sequence[Any]
    _backward: Any
    _function: Callable[..., object] | None
    # The count of in-place changes, one list shared by all tensors over the same memory; and the arguments that are
    # read.
    _version: list[int]
    _read: Sequence[Read]

    def __init__(self, data: "Tensor | ArrayLike", requires_grad: bool = False) -> None:
        self.data = own(current().asarray(data), data)
        self.grad, self.requires_grad = None, requires_grad
        self._parents, self._backward, self._function, self._version, self._read = (), None, None, [0], ()

    @classmethod
    def of(cls, array: Array | None, parents: Sequence[Any] = (), backward: Callable[..., Any] | None = None, *,
           reads_all: bool = False) -> "Tensor":
        """Return a Tensor of an array of any backend, without a copy; with a backward function, a node of the tape.

        Args:
            array: data; None for a node of the tape without data.
            parents: the arguments from which the array was computed.
            backward: function from the gradient of this tensor to those of the parents.
            reads_all: whether `backward` reads the data of all parents, which must not be changed in place before the
                backward pass.
        """
        tensor = cls.__new__(cls)
        tensor.data, tensor.grad, tensor.requires_grad = array, None, backward is not None  # type: ignore[assignment]
        tensor._parents, tensor._backward, tensor._function, tensor._version = parents, backward, None, [0]
        tensor._read = read_by(parents, None, Tensor) if reads_all else ()
        return tensor

    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Add the gradient of this tensor to `grad` of every leaf from which it was computed.

        No two tensors share the memory of their gradients.

        Args:
            gradient: an array of this tensor's shape; by default 1, for a tensor of one element.

        Raises:
            ShapeError: no gradient for a tensor of several elements, or one of another shape.
            RuntimeError: nothing was recorded, or data that the backward pass needs were changed in place after the
                forward pass, for example by the step of an optimiser.
        """
        if not self.requires_grad:
            raise RuntimeError(expected("backward", "a recorded tensor", "one that needs no gradient",
                                        "call net.train(), or leave no_grad()"))
        if gradient is None and self.data.size != 1:
            raise ShapeError(expected("backward", "a tensor of one element", f"shape {self.shape}",
                                      "reduce it to one number, or give a gradient"))
        ops = ops_of(self.data)
        dy = ops.xp.ones_like(self.data) if gradient is None else ops.asarray(gradient, self.data.dtype)
        if dy.shape != self.shape:
            raise ShapeError(expected("backward", f"a gradient of shape {self.shape}", dy.shape))
        given = {id(owner): owner for owner in (owner_of(dy), owner_of(self.data))}
        ready = listener.get()
        for leaf, dx in leaf_gradients(self, dy, ready is not None):
            leaf.grad = owned(dx, given) if leaf.grad is None else sum_of(leaf.grad, dx)
            if ready is not None:
                ready(leaf)

    def mark_changed(self) -> None:
        """Record that the data were changed in place: a backward pass that would read them raises an error then.

        Optimisers and `load_state` do this. Call it yourself after writing into `data` between a forward and a backward
        pass.
        """
        self._version[0] += 1

    def to(self, name: str) -> "Tensor":
        """Return a copy of this tensor on another backend, as a leaf of the tape."""
        ops = ops_named(name)
        return Tensor.leaf(ops.asarray(ops_of(self.data).to_numpy(self.data)), self.requires_grad)

    @classmethod
    def leaf(cls, array: Array, requires_grad: bool) -> "Tensor":
        """Return a leaf of the tape with an array of any backend, which is not copied."""
        tensor = cls.of(array)
        tensor.requires_grad = requires_grad
        return tensor

    def numpy(self) -> Array:
        """Return the data as a numpy array."""
        return ops_of(self.data).to_numpy(self.data)

    def __dlpack__(self, **options: Any) -> object:
        """Return the data by DLPack, without a copy; a tensor that needs a gradient is refused."""
        if self.requires_grad:
            raise BufferError(expected("DLPack", "a Tensor that needs no gradient, which DLPack does not carry",
                                       repr(self), "use its .data"))
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __getstate__(self) -> tuple[Array, Array | None, bool]:
        return self.data, self.grad, self.requires_grad

    def __setstate__(self, state: tuple[Array, Array | None, bool]) -> None:
        self.data, self.grad, self.requires_grad = state
        self._parents, self._backward, self._function, self._version, self._read = (), None, None, [0], ()

    def __add__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else add(self, operand)

    def __sub__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else add(self, -operand)

    def __rsub__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else add(operand, -self)

    def __mul__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else multiply(self, operand)

    def __truediv__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else multiply(self, power(operand, -1))

    def __rtruediv__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else multiply(operand, power(self, -1))

    def __rpow__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else power(operand, self)

    def __matmul__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else matmul(self, operand)

    def __rmatmul__(self, other: object) -> "Tensor":
        operand = _operand(other, self)
        return NotImplemented if operand is None else matmul(operand, self)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> "Tensor":
        return multiply(self, _operand(-1.0, self))

    def __pow__(self, exponent: object) -> "Tensor":
        if is_real(exponent):               # not as an array: numpy computes x ** 2 as a square only for a plain number
            return power(self, exponent if type(exponent) is int else float(exponent))
        operand = _operand(exponent, self)
        return NotImplemented if operand is None else power(self, operand)

    def __getitem__(self, key: Any) -> "Tensor":
        return take(self, without_mask(key, "Tensor: an index"))

    def sum(self, axis: int | None = None, dtype: None = None, out: None = None, keepdims: Keep = None) -> "Tensor":
        """Return the sum over one axis, kept with length 1 unless keepdims=False, or over all elements."""
        refuse_options("sum", dtype, out)
        return kept(sum_over(self, axis), self, axis, keepdims)

    def mean(self, axis: int | None = None, dtype: None = None, out: None = None, keepdims: Keep = None) -> "Tensor":
        """Return the mean over one axis, kept with length 1 unless keepdims=False, or over all elements."""
        refuse_options("mean", dtype, out)
        y, n = kept(sum_over(self, axis), self, axis, keepdims), self.data.size if axis is None else self.shape[axis]
        return y * (1 / max(1, in_all(self.data, n) if axis is None or not axis % self.data.ndim else n))

    def max(self, axis: int | None = None, out: None = None, keepdims: Keep = None) -> "Tensor":
        """Return the largest element along one axis, kept with length 1 unless keepdims=False, or of all.

        Equal largest elements share the gradient equally. With NaN among them the result is NaN.
        """
        refuse_options("max", None, out)
        return kept(extreme(self, axis, True), self, axis, keepdims)

    def min(self, axis: int | None = None, out: None = None, keepdims: Keep = None) -> "Tensor":
        """Return the smallest element; otherwise as max."""
        refuse_options("min", None, out)
        return kept(extreme(self, axis, False), self, axis, keepdims)

    def exp(self) -> "Tensor":
        """Return e to the power of each element."""
        return exp(self)

    def log(self) -> "Tensor":
        """Return the natural logarithm of each element, as numpy's log: -inf at 0, NaN below."""
        return log(self)

    def sqrt(self) -> "Tensor":
        """Return the square root of each element; its gradient at 0 is infinite."""
        return sqrt(self)

    def abs(self) -> "Tensor":
        """Return the absolute value of each element; its gradient at 0 is 0."""
        return absolute(self)

    __abs__ = abs

    def reshape(self, *shape: int | Sequence[int], order: str = "C") -> "Tensor":
        """Return the elements in another shape, numbers or one tuple of them; -1 stands for what is left over."""
        if order != "C":
            raise ShapeError(expected("reshape", "order='C'", f"{order!r}"))
        return reshape(self, shape[0] if len(shape) == 1 else shape)  # type: ignore[arg-type]

    @property
    def T(self) -> "Tensor":
        """The tensor with its axes in reverse order."""
        return transpose(self)


@overload
def differentiable(function: Callable[P, Recorded], *, reads: Reads | None = None) -> Callable[P, Tensor]: ...


@overload
def differentiable(function: None = None, *, reads: Reads | None = None
                   ) -> Callable[[Callable[P, Recorded]], Callable[P, Tensor]]: ...


def differentiable(function: Callable[..., Recorded] | None = None, *, reads: Reads | None = None
                   ) -> Callable[..., Any]:
    """Return a function of tensors that the tape records, made from a function of arrays.

    The function returns `y, backward`; `backward(dy)` returns an entry for every positional argument: an array, a
    callable that makes it (called only if that argument needs a gradient), or None.

    Args:
        function: the function.
        reads: {i: (j, ...)}: the backward function reads the data of argument i only if one of the arguments j needs a
            gradient. None: it reads the data of all arguments. Data that it reads must not be changed in place before
            the backward pass.

    >>> @differentiable
    ... def double(x):
    ...     return 2 * x, lambda dy: (2 * dy,)
    >>> double(Tensor([1.0, 2.0])).data.tolist()
    [2.0, 4.0]
    """
    if function is None:
        return lambda function: differentiable(function, reads=reads)
    checked_function("differentiable", function, "a function of arrays that returns (y, backward)")
    recorded = _recorder(function, None if reads is None else tuple(reads.items()))
    recorded.__annotations__ = {**recorded.__annotations__, "return": Tensor}
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):                                      # of a builtin
        return recorded
    recorded.__signature__ = signature.replace(return_annotation=Tensor)  # type: ignore[attr-defined]
    return recorded


def _recorder(function: Callable[..., Recorded], reads: tuple[tuple[int, tuple[int, ...]], ...] | None
              ) -> Callable[..., Tensor]:
    who = getattr(function, "__name__", type(function).__name__)

    @wraps(function)
    def recorded(*arguments: Any, **options: Any) -> Tensor:
        if options:
            _check_options(function, who, options)
        arrays, needed = [], False
        for a in arguments:
            if isinstance(a, Tensor):
                needed = needed or a.requires_grad
                a = a.data
            arrays.append(a)
        try:
            results = function(*arrays, **options)
        except BackendError as error:                                    # `ops_of` does not know for whom it looks
            error.args = tuple(re.sub("^operation: ", f"{who}: ", str(text)) for text in error.args)
            raise
        plain = type(results) is tuple and len(results) == 2 and type(results[0]) is np.ndarray
        y, backward = results if plain and callable(results[1]) else checked_results(who, results)
        if watchers:
            y = watchers[0](who, arrays, y)
        node = Tensor.of(y)
        if needed and recording.get()[0]:
            node.requires_grad = True
            node._parents, node._backward, node._function = arguments, backward, function
            node._read = read_by(arguments, reads, Tensor)
        base = getattr(y, "base", None)
        if base is not None:                                             # the memory of an argument, perhaps
            for a in arguments:
                if isinstance(a, Tensor) and a.data is not None and (base is a.data or base is a.data.base):
                    node._version = a._version
        return node

    return recorded


def _check_options(function: Callable[..., object], who: str, options: dict[str, object]) -> None:
    check_arguments(function, options, who)
    for name, value in options.items():
        if isinstance(value, Tensor):
            raise TypeError(expected(who, "tensors as positional arguments", f"{name}=Tensor"))


@differentiable(reads={})
def add(a: Operand, b: Operand) -> Recorded:
    """Return the sum, with numpy's broadcasting."""
    check_broadcast("add", a, b)
    return sum_of(a, b), lambda dy: (lambda: fold_onto(dy, a), lambda: fold_onto(dy, b))


@differentiable(reads={0: (1,), 1: (0,)})
def multiply(a: Operand, b: Operand) -> Recorded:
    """Return the product element by element, with numpy's broadcasting."""
    check_broadcast("multiply", a, b)
    return a * b, lambda dy: (lambda: fold_onto(dy * b, a), lambda: fold_onto(dy * a, b))


power = differentiable(array_functions.power)
sum_over = differentiable(reads={})(array_functions.sum_over)
take = differentiable(reads={})(array_functions.take)
exp = differentiable(reads={})(array_functions.exp)
log = differentiable(reads={0: (0,)})(array_functions.log)
sqrt = differentiable(reads={})(array_functions.sqrt)
absolute = differentiable(reads={0: (0,)})(array_functions.absolute)
extreme = differentiable(reads={0: (0,)})(array_functions.extreme)
reshape = differentiable(reads={})(array_functions.reshape)
transpose = differentiable(reads={})(array_functions.transpose)


@differentiable(reads={0: (1,), 1: (0,)})
def matmul(x: Operand, w: Operand) -> Recorded:
    """Return the matrix product (n, c) @ (c, o).

    The backend's own kernel computes it, so that its bits do not depend on the threads of a BLAS.

    Raises:
        ShapeError: the shapes do not fit.
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[0]:
        raise ShapeError(expected("matmul", "matrices (n, c) and (c, o)", f"{x.shape} and {w.shape}"))
    ops, rulebook = ops_of(x, w), Rulebook.identity(len(x))

    def backward(dy: Array) -> tuple[Callable[[], Array], ...]:
        return (lambda: ops.conv(dy, w.T[None], rulebook), lambda: ops.conv_dw(x, dy, rulebook)[0])

    return ops.conv(x, w[None], rulebook), backward


def _operand(value: object, like: Tensor) -> Tensor | None:
    """Return an operand as a Tensor for an operation with another one; None if it is no operand."""
    if isinstance(value, Tensor):
        return value
    array = as_operand(value, like.data)
    return None if array is None else Tensor.of(array)
