"""Compares the tape's gradients with central differences."""

from collections.abc import Callable

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor, no_grad
from spconv_cy.backend.switch import use
from spconv_cy.checks import as_array, checked_function, is_real, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array, ArrayLike


@known_arguments
def check_gradient(function: Callable[..., Tensor], *arrays: ArrayLike, step: float = 1e-6,
                   tolerance: float = 1e-6) -> None:
    """Compare the tape's gradients of a function with central differences, in float64 on the reference backend.

    Args:
        function: takes one Tensor for each array and returns a Tensor of any shape, always the same one.
        arrays: float arrays, each checked in every element.
        step: of the differences, greater than 0.
        tolerance: allowed difference, relative to the largest gradient of that array (at least 1).

    Raises:
        AssertionError: the gradients of an argument differ; the message gives both values.

    >>> check_gradient(lambda x: x * x, np.array([1.0, 2.0]))
    """
    checked_function("check_gradient", function, "a function of Tensors")
    if not is_real(step) or not step > 0 or not is_real(tolerance) or not tolerance >= 0:
        raise ValueError(expected("check_gradient", "step to be a number above 0 and tolerance one from 0 up",
                                  f"{step!r} and {tolerance!r}"))
    given = [as_array("check_gradient", array) for array in arrays]
    if any(array.dtype.kind not in "iufb" for array in given):
        raise ShapeError(expected("check_gradient", "arrays of numbers", [str(array.dtype) for array in given]))
    with use("reference"):
        leaves = [Tensor(np.array(array, np.float64), requires_grad=True) for array in given]
        y = function(*leaves)
        if not isinstance(y, Tensor):
            raise TypeError(expected("check_gradient", "a function that returns a Tensor", kind_of(y)))
        weights = np.cos(np.arange(y.data.size, dtype=np.float64)).reshape(y.shape)
        if y.requires_grad:
            y.backward(weights)
        for position, leaf in enumerate(leaves):
            found = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
            wanted = _differences(lambda: float((function(*leaves).data * weights).sum()), leaf.data, step)
            _compare(position, found, wanted, tolerance)


def _compare(position: int, found: Array, wanted: Array, tolerance: float) -> None:
    scale = max(1.0, np.abs(wanted).max(initial=0))
    wrong = np.abs(found - wanted) > tolerance * scale
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            expected("check_gradient", f"the gradient {wanted[where]:.9g} of argument {position} at {where}, by "
                     f"differences", f"{found[where]:.9g} from the tape",
                     f"{int(wrong.sum())} of {wrong.size} elements differ by more than {tolerance}"))


def _differences(value: Callable[[], float], array: Array, step: float) -> Array:
    slopes = np.zeros(array.shape)
    with no_grad():
        for where in np.ndindex(array.shape):
            kept = array[where]
            array[where] = kept + step
            high = value()
            array[where] = kept - step
            low = value()
            array[where] = kept
            slopes[where] = (high - low) / (2 * step)
    return slopes
