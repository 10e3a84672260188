"""A tape of array functions: Tensor, differentiable, backward. Define by run, one sitting to read."""

from contextvars import ContextVar
from functools import wraps

import numpy as np

from spconv_cy.array_protocol import ArrayProtocol, as_operand, refuse_options
from spconv_cy.backend.ops import own
from spconv_cy.backend.precision import summable
from spconv_cy.backend.switch import current, ops_named, ops_of
from spconv_cy.checks import checked_function, is_integer, is_real
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError
from spconv_cy.sites.rulebook import Rulebook
from spconv_cy.tape import as_stored, check_unchanged, entries_of, nodes_of, owned, owner_of

_recording = ContextVar("recording", default=(True, None))              # whether, and what was so before


def _operator(function):
    """Make an operator of a function of two tensors; what is no operand is left to Python, which tries its own one."""

    def operator(self, other):
        other = _operand(other, self)
        return NotImplemented if other is None else function(self, other)

    return operator


class Tensor(ArrayProtocol):
    """An array that can take part in a backward pass.

    Args:
        data: anything that becomes an array of the current backend (float32 on cpu, float64 on reference); copied.
        requires_grad: whether `backward` fills `grad`, as for parameters and inputs under study.

    >>> x = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.tolist()
    [[2.0, 4.0]]
    """

    __slots__ = ("data", "grad", "requires_grad", "_parents", "_backward", "_function", "_version", "_read",
                 "__weakref__")

    def __init__(self, data, requires_grad=False):
        self.data = own(current().asarray(data), data)
        self.grad, self.requires_grad = None, requires_grad
        self._parents, self._backward, self._function, self._version, self._read = (), None, None, [0], ()

    @classmethod
    def of(cls, array, parents=(), backward=None, *, reads_all=False):
        """Wrap an array of any backend as it is; with a backward function, it is an inner node of the tape.

        reads_all: whether the backward function reads the data of all parents, which then must not be changed before.
        """
        tensor = cls.__new__(cls)
        tensor.data, tensor.grad, tensor.requires_grad = array, None, backward is not None
        # Of the way back; how often the data were changed in place, one list for all tensors over the same memory; and
        # (position, that list, the number then) of the arguments whose data the backward function reads.
        tensor._parents, tensor._backward, tensor._function, tensor._version = parents, backward, None, [0]
        tensor._read = _read_by(parents, None) if reads_all else ()
        return tensor

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)

    def backward(self, gradient=None):
        """Fill `grad` of every leaf that this tensor was computed from; what is there is added to.

        Args:
            gradient: an array of this tensor's shape; by default 1, for a tensor of one element.

        No two tensors share the memory of their gradients.

        Raises:
            ShapeError: no gradient for a tensor of several elements, or one of another shape.
            RuntimeError: nothing was recorded; or data that the way back reads were changed in place since, as by an
                optimiser's step: their gradients would be those of other numbers.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: nothing was recorded; call net.train(), or leave no_grad()")
        if gradient is None and self.data.size != 1:
            raise ShapeError(f"backward: a tensor {self.shape} came without a gradient; reduce it to one number, or "
                             "give a gradient")
        ops = ops_of(self.data)
        gradient = ops.xp.ones_like(self.data) if gradient is None else ops.asarray(gradient, self.data.dtype)
        if gradient.shape != self.shape:
            raise ShapeError(f"backward: a gradient {gradient.shape} came; {self.shape} fits")
        given = {id(owner): owner for owner in (owner_of(gradient), owner_of(self.data))}
        for leaf, dx in leaf_gradients(self, gradient):
            leaf.grad = owned(dx, given) if leaf.grad is None else leaf.grad + dx

    def mark_changed(self):
        """Note that the data were changed in place: a backward pass that would read them is an error from now on.

        Optimisers and `load_state` do it. Call it after you have written into `data` yourself, between a forward and a
        backward pass.
        """
        self._version[0] += 1

    def to(self, name):
        """Return this tensor's array on another backend, as a new leaf."""
        ops = ops_named(name)
        return Tensor.leaf(ops.asarray(ops_of(self.data).to_numpy(self.data)), self.requires_grad)

    @classmethod
    def leaf(cls, array, requires_grad):
        """Wrap an array of any backend as it is, as a leaf of the tape."""
        tensor = cls.of(array)
        tensor.requires_grad = requires_grad
        return tensor

    def numpy(self):
        """Return the data as a numpy array."""
        return ops_of(self.data).to_numpy(self.data)

    def __dlpack__(self, **options):
        """Hand the data out by DLPack, without a copy; a tensor that needs gradients does not, since they would end."""
        if self.requires_grad:
            raise BufferError("a Tensor that needs a gradient came to DLPack, which carries none; hand out its .data")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __getstate__(self):
        return self.data, self.grad, self.requires_grad

    def __setstate__(self, state):
        self.data, self.grad, self.requires_grad = state
        self._parents, self._backward, self._function, self._version, self._read = (), None, None, [0], ()

    __add__ = __radd__ = _operator(lambda a, b: add(a, b))
    __sub__ = _operator(lambda a, b: add(a, -b))
    __rsub__ = _operator(lambda a, b: b - a)
    __mul__ = __rmul__ = _operator(lambda a, b: multiply(a, b))
    __truediv__ = _operator(lambda a, b: multiply(a, power(b, -1)))
    __rtruediv__ = _operator(lambda a, b: multiply(b, power(a, -1)))
    __rpow__ = _operator(lambda a, b: power(b, a))
    __matmul__ = _operator(lambda a, b: matmul(a, b))
    __rmatmul__ = _operator(lambda a, b: matmul(b, a))

    def __neg__(self):
        return multiply(self, _operand(-1.0, self))

    def __pow__(self, exponent):
        if is_real(exponent):                                   # not as an array: numpy squares 2 by itself
            return power(self, exponent if type(exponent) is int else float(exponent))
        exponent = _operand(exponent, self)
        return NotImplemented if exponent is None else power(self, exponent)

    def __getitem__(self, key):
        return take(self, without_mask(key, "Tensor: an index"))

    def sum(self, axis=None, dtype=None, out=None):
        """Sum over one axis, kept with length 1, or over all elements, giving shape (); np.sum(x) calls it."""
        refuse_options("sum", dtype, out)
        return sum_over(self, axis)

    def mean(self, axis=None, dtype=None, out=None):
        """Average over one axis, kept with length 1, or over all elements, giving shape (); np.mean(x) calls it."""
        refuse_options("mean", dtype, out)
        return sum_over(self, axis) * (1 / max(1, self.data.size if axis is None else self.shape[axis]))


class no_grad:
    """Record nothing inside a `with` statement, in this thread or task."""

    _records = False

    def __enter__(self):
        _recording.set((self._records, _recording.get()))
        return self

    def __exit__(self, *_):
        _recording.set(_recording.get()[1])


class with_grad(no_grad):
    """Record inside a `with` statement, even where that stands inside `no_grad`."""

    _records = True


def leaf_gradients(root, gradient):
    """Go back from a tensor; yield (leaf, its gradient) for every leaf that needs one, and write nothing.

    A gradient is whatever the backward functions on the way make and add; those of leaves are arrays. One of an array
    has its dtype: float16 where the array is.
    """
    gradients = {id(root): gradient}
    for node in nodes_of(root):
        dy = gradients.pop(id(node), None)
        if dy is None:
            continue
        if node._backward is None:
            yield node, dy
            continue
        check_unchanged(node)
        for position, (parent, dx) in enumerate(zip(node._parents, entries_of(node, dy), strict=True)):
            if isinstance(parent, Tensor) and parent.requires_grad and dx is not None:
                dx = as_stored(node, position, dx() if callable(dx) else dx)
                before = gradients.get(id(parent))
                gradients[id(parent)] = dx if before is None else before + dx


def differentiable(function=None, *, reads=None):
    """Make a function of arrays a function of tensors that the tape can go back through.

    The function returns `y, backward`; `backward(dy)` returns an entry for every positional argument: an array, a
    callable that makes it (called only if that argument needs a gradient), or None.

    Args:
        function: the function.
        reads: {i: (j, ...)}: the backward function reads the data of argument i where argument j needs a gradient, and
            no others; None: those of all arguments. They must not be changed in place before the backward pass.

    >>> @differentiable
    ... def double(x):
    ...     return 2 * x, lambda dy: (2 * dy,)
    >>> double(Tensor([1.0, 2.0])).data.tolist()
    [2.0, 4.0]
    """
    if function is None:
        return lambda function: differentiable(function, reads=reads)
    checked_function("differentiable", function, "a function of arrays that returns (y, backward)")
    who, pairs = getattr(function, "__name__", type(function).__name__), reads and tuple(reads.items())

    @wraps(function)
    def recorded(*arguments, **options):
        for name, value in options.items():
            if isinstance(value, Tensor):
                raise TypeError(f"{who}: {name} is a Tensor; give tensors as positional arguments")
        arrays, needed = [], False
        for a in arguments:
            if isinstance(a, Tensor):
                needed = needed or a.requires_grad
                a = a.data
            arrays.append(a)
        results = function(*arrays, **options)
        plain = type(results) is tuple and len(results) == 2 and type(results[0]) is np.ndarray
        y, backward = results if plain and callable(results[1]) else _checked_results(who, results)
        node = Tensor.of(y)
        if needed and _recording.get()[0]:
            node.requires_grad = True
            node._parents, node._backward, node._function = arguments, backward, function
            node._read = _read_by(arguments, pairs)
        base = getattr(y, "base", None)
        if base is not None:                                             # over the memory of an argument, perhaps
            for a in arguments:
                if isinstance(a, Tensor) and a.data is not None and (base is a.data or base is a.data.base):
                    node._version = a._version
        return node

    return recorded


def _checked_results(who, results):
    """Return (y, backward) where y is a number of numpy's, or an array of a GPU; refuse what is none."""
    if not isinstance(results, tuple) or len(results) != 2 or not callable(results[1]):
        raise TypeError(f"{who}: expected a differentiable function to return (y, backward), an array "
                        f"and a function, got a {type(results).__name__}")
    y, backward = results
    if isinstance(y, np.generic):
        return np.asarray(y), backward
    if not hasattr(y, "dtype") or isinstance(y, Tensor):
        raise TypeError(f"{who}: expected y to be an array, got a {type(y).__name__}")
    return y, backward


def _read_by(arguments, reads):
    """Return (position, version list, version now) of the arguments whose data the way back reads.

    reads: pairs (i, (j, ...)), as for `differentiable`; None: all; {}: none.
    """
    if reads is None:
        return [(i, a._version, a._version[0]) for i, a in enumerate(arguments) if isinstance(a, Tensor)]
    read, n = [], len(arguments)
    for i, others in reads:
        if i < n and isinstance(arguments[i], Tensor):
            for j in others:
                if j < n and isinstance(arguments[j], Tensor) and arguments[j].requires_grad:
                    read.append((i, arguments[i]._version, arguments[i]._version[0]))
                    break
    return read


@differentiable(reads={})
def add(a, b):
    """Add with numpy's broadcasting."""
    _check_shapes("add", a, b)
    return a + b, lambda dy: (lambda: fold_to(dy, a.shape), lambda: fold_to(dy, b.shape))


@differentiable(reads={0: (1,), 1: (0,)})
def multiply(a, b):
    """Multiply element by element with numpy's broadcasting."""
    _check_shapes("multiply", a, b)
    return a * b, lambda dy: (lambda: fold_to(dy * b, a.shape), lambda: fold_to(dy * a, b.shape))


@differentiable
def power(a, exponent):
    """Raise each element to an exponent, a number or a tensor, with numpy's broadcasting."""
    if not isinstance(exponent, (int, float)):
        _check_shapes("power", a, exponent)
    else:
        return a**exponent, lambda dy: (lambda: dy * exponent * a**(exponent - 1) if exponent else dy * 0, None)
    xp, y = ops_of(a, exponent).xp, a**exponent

    def da(dy):
        constant = exponent == 0                                         # 0 * 0**-1 would be NaN
        slope = exponent * a**xp.where(constant, 1, exponent - 1)
        return fold_to(xp.where(constant, 0, dy * slope).astype(a.dtype), a.shape)

    def dexponent(dy):
        logarithm = xp.where(a > 0, xp.log(xp.where(a > 0, a, 1)), xp.where((a == 0) & (exponent >= 0), 0, xp.nan))
        return fold_to((dy * y * logarithm).astype(exponent.dtype), exponent.shape)

    return y, lambda dy: (lambda: da(dy), lambda: dexponent(dy))


@differentiable(reads={0: (1,), 1: (0,)})
def matmul(x, w):
    """Multiply matrices (n, c) @ (c, o) by the backend's own kernel, so that bits do not depend on a BLAS's threads.

    Raises:
        ShapeError: the shapes do not fit.
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[0]:
        raise ShapeError(f"matmul: {x.shape} and {w.shape} came; (n, c) and (c, o) fit")
    ops, rulebook = ops_of(x, w), Rulebook.identity(len(x))

    def backward(dy):
        return (lambda: ops.conv(dy, w.T[None], rulebook), lambda: ops.conv_dw(x, dy, rulebook)[0])

    return ops.conv(x, w[None], rulebook), backward


@differentiable(reads={})
def sum_over(x, axis):
    """Sum over one axis, kept with length 1, or over all elements (axis None), giving shape (); float16 as float32."""
    xp, x = ops_of(x).xp, summable(x)
    if axis is not None and (not is_integer(axis) or not -x.ndim <= axis < x.ndim):
        raise ShapeError(f"sum: axis {axis!r} came for a tensor {x.shape}; one of its axes, or None for all, fits")
    y = x.sum() if axis is None else x.sum(axis, keepdims=True)
    return xp.asarray(y), lambda dy: (lambda: xp.array(xp.broadcast_to(dy, x.shape), order="C"), None)


@differentiable(reads={})
def take(x, key):
    """Index with numpy's rules, giving a copy; a row or site that comes twice gets both gradients."""
    ops = ops_of(x)
    xp = ops.xp
    try:
        y = xp.array(x[key], order="C")                                  # of one element: shape ()
    except (IndexError, TypeError, ValueError) as error:
        raise IndexError(f"Tensor: expected an index of shape {x.shape}, got {key!r:.60} ({error})") from None

    def backward(dy):
        places = xp.arange(x.size).reshape(x.shape)[key].reshape(-1)     # in order, where CuPy's add.at has none
        return ops.scatter_add(dy.reshape(-1, 1), places, x.size).reshape(x.shape), None

    return y, backward


def _check_shapes(who, a, b):
    ops_of(a, b)
    if a.shape != b.shape:
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ShapeError(f"{who}: shapes {a.shape} and {b.shape} came; equal ones, or ones that numpy broadcasts, "
                             "fit") from None


def fold_to(dy, shape):
    """Sum a gradient over the axes along which an operand of `shape` was broadcast."""
    if dy.shape == shape:
        return dy
    if dy.ndim == 2 and shape == (1, dy.shape[1]):
        return ops_of(dy).segment_sum(dy, np.array([0, len(dy)]))        # in fixed chunks, on all threads
    dy = summable(dy)
    dy = dy.sum(tuple(range(dy.ndim - len(shape)))) if dy.ndim > len(shape) else dy
    axes = tuple(i for i, (have, want) in enumerate(zip(dy.shape, shape, strict=True)) if have != want)
    return dy.sum(axes, keepdims=True) if axes else dy


def _operand(value, like):
    """Return a value as a Tensor beside another; None where it is no operand."""
    if isinstance(value, Tensor):
        return value
    array = as_operand(value, like.data)
    return None if array is None else Tensor.of(array)
