"""A tape of array functions: Tensor, differentiable, backward. Define by run, one sitting to read."""

from contextvars import ContextVar
from functools import wraps

import numpy as np

from spconv_cy.backend.precision import summable
from spconv_cy.backend.switch import current, ops_named, ops_of, use
from spconv_cy.checks import as_array, checked_function, is_integer, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.sites.rulebook import Rulebook

_recording = ContextVar("recording", default=True)


class Tensor:
    """An array that can take part in a backward pass.

    Args:
        data: anything that becomes an array of the current backend (float32 on cpu, float64 on reference).
        requires_grad: whether `backward` fills `grad`, as for parameters and inputs under study.

    >>> x = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.tolist()
    [[2.0, 4.0]]
    """

    __slots__ = ("data", "grad", "requires_grad", "_parents", "_backward", "__weakref__")

    def __init__(self, data, requires_grad=False):
        self.data = current().asarray(data)
        self.grad, self.requires_grad = None, requires_grad
        self._parents, self._backward = (), None

    @classmethod
    def of(cls, array, parents=(), backward=None):
        """Wrap an array of any backend as it is; with a backward function, it is an inner node of the tape."""
        tensor = cls.__new__(cls)
        tensor.data, tensor.grad, tensor.requires_grad = array, None, backward is not None
        tensor._parents, tensor._backward = parents, backward
        return tensor

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)

    def backward(self, gradient=None):
        """Fill `grad` of every leaf that this tensor was computed from; what is there is added to.

        Args:
            gradient: an array of this tensor's shape; by default 1, for a tensor of one element.

        Raises:
            ShapeError: no gradient for a tensor of several elements, or one of another shape.
            RuntimeError: nothing was recorded.
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
        for leaf, dx in leaf_gradients(self, gradient):
            leaf.grad = dx if leaf.grad is None else leaf.grad + dx

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
        self._parents, self._backward = (), None

    def __len__(self):
        return len(self.data)

    def __repr__(self):
        return f"Tensor({self.shape}, {self.dtype}{', requires_grad' if self.requires_grad else ''})"

    def __add__(self, other):
        return add(self, _operand(other, self))

    def __sub__(self, other):
        return add(self, multiply(_operand(other, self), _operand(-1.0, self)))

    def __mul__(self, other):
        return multiply(self, _operand(other, self))

    def __truediv__(self, other):
        return multiply(self, power(_operand(other, self), -1))

    def __rsub__(self, other):
        return _operand(other, self) - self

    def __rtruediv__(self, other):
        return multiply(_operand(other, self), power(self, -1))

    def __neg__(self):
        return multiply(self, _operand(-1.0, self))

    def __pow__(self, exponent):
        return power(self, exponent)

    def __matmul__(self, other):
        return matmul(self, _operand(other, self))

    def __getitem__(self, key):
        return take(self, key)

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis=None):
        """Sum over one axis, kept with length 1, or over all elements, giving shape ()."""
        return sum_over(self, axis)

    def mean(self, axis=None):
        """Average over one axis, kept with length 1, or over all elements, giving shape ()."""
        return sum_over(self, axis) * (1 / max(1, self.data.size if axis is None else self.shape[axis]))


class no_grad:
    """Record nothing inside a `with` statement."""

    _records = False

    def __enter__(self):
        self._token = _recording.set(self._records)
        return self

    def __exit__(self, *_):
        _recording.reset(self._token)


class with_grad(no_grad):
    """Record inside a `with` statement, even where that stands inside `no_grad`."""

    _records = True


def leaf_gradients(root, gradient):
    """Go back from a tensor; yield (leaf, its gradient) for every leaf that needs one, and write nothing.

    A gradient is whatever the backward functions on the way make and add; those of leaves are arrays. One of an array
    has its dtype: float16 where the array is.
    """
    gradients = {id(root): gradient}
    for node in _sorted(root):
        dy = gradients.pop(id(node), None)
        if dy is None:
            continue
        if node._backward is None:
            yield node, dy
            continue
        for parent, dx in zip(node._parents, node._backward(dy), strict=True):
            if isinstance(parent, Tensor) and parent.requires_grad and dx is not None:
                dx = _as_stored(dx() if callable(dx) else dx, parent.data)
                before = gradients.get(id(parent))
                gradients[id(parent)] = dx if before is None else before + dx


def _as_stored(dx, data):
    return dx if data is None or dx.dtype == data.dtype else dx.astype(data.dtype)


def differentiable(function):
    """Make a function of arrays a function of tensors that the tape can go back through.

    The function returns `y, backward`; `backward(dy)` returns an entry for every positional argument: an array, a
    callable that makes it (called only if that argument needs a gradient), or None.

    >>> @differentiable
    ... def double(x):
    ...     return 2 * x, lambda dy: (2 * dy,)
    >>> double(Tensor([1.0, 2.0])).data.tolist()
    [2.0, 4.0]
    """
    checked_function("differentiable", function, "a function of arrays that returns (y, backward)")
    who = getattr(function, "__name__", type(function).__name__)

    @wraps(function)
    def recorded(*arguments, **options):
        for name, value in options.items():
            if isinstance(value, Tensor):
                raise TypeError(f"{who}: {name} is a Tensor; give tensors as positional arguments")
        made = function(*(a.data if isinstance(a, Tensor) else a for a in arguments), **options)
        if not isinstance(made, tuple) or len(made) != 2:
            raise TypeError(f"{who}: expected the function to return (y, backward), got a {type(made).__name__}")
        y, backward = made
        if _recording.get() and any(isinstance(a, Tensor) and a.requires_grad for a in arguments):
            return Tensor.of(y, arguments, backward)
        return Tensor.of(y)

    return recorded


@differentiable
def add(a, b):
    """Add with numpy's broadcasting."""
    _check_shapes("add", a, b)
    return a + b, lambda dy: (lambda: fold_to(dy, a.shape), lambda: fold_to(dy, b.shape))


@differentiable
def multiply(a, b):
    """Multiply element by element with numpy's broadcasting."""
    _check_shapes("multiply", a, b)
    return a * b, lambda dy: (lambda: fold_to(dy * b, a.shape), lambda: fold_to(dy * a, b.shape))


@differentiable
def power(a, exponent):
    """Raise each element to a constant exponent."""
    if not is_real(exponent):
        raise TypeError(f"power: expected the exponent to be a number, got {exponent!r}")
    return a**exponent, lambda dy: (lambda: dy * exponent * a**(exponent - 1), None)


@differentiable
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


@differentiable
def sum_over(x, axis):
    """Sum over one axis, kept with length 1, or over all elements (axis None), giving shape (); float16 as float32."""
    xp, x = ops_of(x).xp, summable(x)
    if axis is not None and (not is_integer(axis) or not -x.ndim <= axis < x.ndim):
        raise ShapeError(f"sum: axis {axis!r} came for a tensor {x.shape}; one of its axes, or None for all, fits")
    y = x.sum() if axis is None else x.sum(axis, keepdims=True)
    return xp.asarray(y), lambda dy: (lambda: xp.ascontiguousarray(xp.broadcast_to(dy, x.shape)), None)


@differentiable
def take(x, key):
    """Index with numpy's rules; a row or site that comes twice gets both gradients."""
    ops = ops_of(x)
    xp = ops.xp
    try:
        taken = x[key]
    except (IndexError, TypeError, ValueError) as error:
        raise IndexError(f"Tensor: what was asked for is not in a tensor {x.shape} ({error})") from None

    def backward(dy):
        places = xp.arange(x.size).reshape(x.shape)[key].reshape(-1)     # in order, where CuPy's add.at has none
        return ops.scatter_add(dy.reshape(-1, 1), places, x.size).reshape(x.shape), None

    return xp.ascontiguousarray(taken), backward


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


def check_gradient(function, *arrays, step=1e-6, tolerance=1e-6):
    """Compare the tape's gradients of a function with central differences, in float64 on the reference backend.

    Args:
        function: takes one Tensor for each array, returns a Tensor of any shape. It must be repeatable.
        arrays: float arrays, each checked in every element.
        step: of the differences.
        tolerance: allowed difference, relative to the largest gradient of that array (at least 1).

    Raises:
        AssertionError: the gradients of an argument differ; it is named, with both values.

    >>> check_gradient(lambda x: x * x, np.array([1.0, 2.0]))
    """
    checked_function("check_gradient", function, "a function of Tensors")
    if not is_real(step) or not step > 0 or not is_real(tolerance) or not tolerance >= 0:
        raise ValueError(f"check_gradient: step {step!r} and tolerance {tolerance!r} came; numbers above 0 fit")
    arrays = [as_array("check_gradient", array) for array in arrays]
    if any(array.dtype.kind not in "iufb" for array in arrays):
        raise ShapeError(f"check_gradient: arrays of {[str(array.dtype) for array in arrays]} came; numbers fit")
    with use("reference"):
        leaves = [Tensor(np.array(array, np.float64), requires_grad=True) for array in arrays]
        y = function(*leaves)
        if not isinstance(y, Tensor):
            raise TypeError(f"check_gradient: the function gave a {type(y).__name__}; a Tensor fits")
        weights = np.cos(np.arange(y.data.size, dtype=np.float64)).reshape(y.shape)
        if y.requires_grad:
            y.backward(weights)
        for position, leaf in enumerate(leaves):
            found = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
            expected = _differences(lambda: float((function(*leaves).data * weights).sum()), leaf.data, step)
            scale = max(1.0, np.abs(expected).max(initial=0))
            wrong = np.abs(found - expected) > tolerance * scale
            if wrong.any():
                where = tuple(int(i) for i in np.argwhere(wrong)[0])
                raise AssertionError(
                    f"check_gradient: argument {position} at {where}: the tape has {found[where]:.9g}, differences "
                    f"give {expected[where]:.9g}; {int(wrong.sum())} of {wrong.size} elements differ by more "
                    f"than {tolerance}")


def _differences(value, array, step):
    expected = np.zeros(array.shape)
    with no_grad():
        for where in np.ndindex(array.shape):
            kept = array[where]
            array[where] = kept + step
            high = value()
            array[where] = kept - step
            low = value()
            array[where] = kept
            expected[where] = (high - low) / (2 * step)
    return expected


def _operand(value, like):
    if isinstance(value, Tensor):
        return value
    ops = ops_of(like.data)
    return Tensor.of(ops.asarray(value, like.data.dtype))


def _sorted(root):
    """Return the nodes that need a gradient, each before its parents; iterative, so depth has no limit."""
    order, state, stack = [], {}, [root]
    while stack:
        node = stack[-1]
        if state.get(id(node)) is None:
            state[id(node)] = False
            stack += [p for p in node._parents
                      if isinstance(p, Tensor) and p.requires_grad and id(p) not in state]
        else:
            stack.pop()
            if not state[id(node)]:
                state[id(node)] = True
                order.append(node)
    return order[::-1]
