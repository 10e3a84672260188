"""Functions of arrays, each with its gradient, that the methods of a Tensor record."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from spconv_cy.backend.switch import ops_of, sum_of_rows, summable
from spconv_cy.checks import is_integer
from spconv_cy.errors import ShapeError, expected
from spconv_cy.tape import check_broadcast, fold_onto
from spconv_cy.types import Array, Recorded

# An operand: a Tensor or number for the caller, an array inside a differentiable function.
Operand: TypeAlias = Any


def power(a: Any, exponent: Any) -> Recorded:
    """Return each element to the power of an exponent, a number or a tensor, with numpy's broadcasting."""
    if not isinstance(exponent, (int, float)):
        check_broadcast("power", a, exponent)
    else:
        return a**exponent, lambda dy: (lambda: dy * exponent * a**(exponent - 1) if exponent else dy * 0, None)
    xp, y = ops_of(a, exponent).xp, a**exponent

    def da(dy: Array) -> Array:
        constant = exponent == 0                                         # 0 * 0**-1 would be NaN
        slope = exponent * a**xp.where(constant, 1, exponent - 1)
        return fold_onto(xp.where(constant, 0, dy * slope).astype(a.dtype), a)

    def dexponent(dy: Array) -> Array:
        logarithm = xp.where(a > 0, xp.log(xp.where(a > 0, a, 1)), xp.where((a == 0) & (exponent >= 0), 0, xp.nan))
        return fold_onto((dy * y * logarithm).astype(exponent.dtype), exponent)

    return y, lambda dy: (lambda: da(dy), lambda: dexponent(dy))


def sum_over(x: Any, axis: int | None) -> Recorded:
    """Return the sum over one axis, kept with length 1, or over all elements (axis None), of shape ().

    float16 is summed in float32.
    """
    xp, x = ops_of(x).xp, summable(x)
    _check_axis("sum", x, axis)
    y = sum_of_rows(x, axis) if axis is None or not axis % x.ndim else x.sum(axis, keepdims=True)
    return xp.asarray(y), lambda dy: (lambda: xp.array(xp.broadcast_to(dy, x.shape), order="C"), None)


def take(x: Any, key: Any) -> Recorded:
    """Return a copy of the elements that a key of numpy's rules selects; repeated elements add their gradients."""
    ops = ops_of(x)
    xp = ops.xp
    try:
        y = xp.array(x[key], order="C")                                  # of one element: shape ()
    except (IndexError, TypeError, ValueError) as error:
        raise IndexError(expected("Tensor", f"an index of shape {x.shape}", f"{key!r:.60} ({error})")) from None

    def backward(dy: Array) -> tuple[Array, None]:
        places = xp.arange(x.size).reshape(x.shape)[key].reshape(-1)     # in order, where CuPy's add.at has none
        return ops.scatter_add(dy.reshape(-1, 1), places, x.size).reshape(x.shape), None

    return y, backward


def exp(x: Any) -> Recorded:
    """Return e to the power of each element."""
    y = ops_of(x).xp.exp(x)
    return y, lambda dy: (lambda: dy * y,)


def log(x: Any) -> Recorded:
    """Return the natural logarithm of each element."""
    return ops_of(x).xp.log(x), lambda dy: (lambda: dy / x,)


def sqrt(x: Any) -> Recorded:
    """Return the square root of each element; its gradient at 0 is infinite."""
    y = ops_of(x).xp.sqrt(x)
    return y, lambda dy: (lambda: dy / (2 * y),)


def absolute(x: Any) -> Recorded:
    """Return the absolute value of each element; its gradient at 0 is 0."""
    xp = ops_of(x).xp
    return xp.abs(x), lambda dy: (lambda: dy * xp.sign(x),)


def extreme(x: Any, axis: int | None, largest: bool) -> Recorded:
    """Return the largest or the smallest element along one axis, kept with length 1, or of all, of shape ().

    Equal extreme elements share the gradient equally. NaN counts as extreme.
    """
    xp, who = ops_of(x).xp, "max" if largest else "min"
    _check_axis(who, x, axis)
    if not (x.size if axis is None else x.shape[axis]):
        raise ShapeError(expected(who, "at least one element", f"shape {x.shape}"))
    y = xp.asarray(getattr(x, who)(axis=axis, keepdims=axis is not None))

    def dx(dy: Array) -> Array:
        held = (x == y) | (x != x)                                       # if there is NaN, y is NaN
        shares: Array = held / held.sum(axis, keepdims=True)
        return (dy * shares).astype(x.dtype)

    return y, lambda dy: (lambda: dx(dy), None, None)


def reshape(x: Any, shape: int | Sequence[int]) -> Recorded:
    """Return x in another shape with the same number of elements."""
    ops_of(x)
    try:
        y = x.reshape(shape)
    except (TypeError, ValueError):
        raise ShapeError(expected("reshape", f"a shape of {x.size} elements, as x {x.shape} has",
                                  f"{shape!r:.80}")) from None
    return y, lambda dy: (lambda: dy.reshape(x.shape), None)


def transpose(x: Any) -> Recorded:
    """Return x with its axes in reverse order."""
    xp = ops_of(x).xp
    return x.T, lambda dy: (lambda: xp.array(dy.T, order="C"),)


def _check_axis(who: str, x: Any, axis: Any) -> None:
    if axis is not None and (not is_integer(axis) or not -x.ndim <= axis < x.ndim):
        raise ShapeError(expected(who, f"an axis of a tensor {x.shape}, or None for all", repr(axis)))
