"""Compares the tape's gradients with central differences."""

from collections.abc import Callable

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor, no_grad
from spconv_cy.backend.switch import use
from spconv_cy.checks import as_array, checked_function, is_integer, is_real, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array, ArrayLike


@known_arguments
def check_gradient(function: Callable[..., Tensor], *arrays: ArrayLike, step: float = 1e-6,
                   tolerance: float = 1e-6, directions: int | None = None) -> None:
    """Compare the tape's gradients of a function with central differences, in float64 on the reference backend.

    Args:
        function: takes one Tensor for each array and returns a Tensor of any shape, always the same one.
        arrays: float arrays.
        step: of the differences, greater than 0.
        tolerance: allowed difference, relative to the largest gradient of that array (at least 1).
        directions: None: every element of every array is checked, with two calls each. A number from 1 up: along that
            many directions of each array, drawn at random and always the same, with two calls each, however large the
            array is; an array of no more elements is checked in every one. A wrong gradient is found, its element not.

    Raises:
        AssertionError: the gradients of an argument differ; the message gives both values.

    >>> check_gradient(lambda x: x * x, np.array([1.0, 2.0]))
    >>> check_gradient(lambda x: x * x, np.ones((1000, 100)), directions=3)
    """
    checked_function("check_gradient", function, "a function of Tensors")
    if not is_real(step) or not step > 0 or not is_real(tolerance) or not tolerance >= 0:
        raise ValueError(expected("check_gradient", "step to be a number above 0 and tolerance one from 0 up",
                                  f"{step!r} and {tolerance!r}"))
    if directions is not None and not (is_integer(directions) and directions > 0):
        raise ValueError(expected("check_gradient", "directions to be None or a whole number from 1 up",
                                  repr(directions)))
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
            ways = None if directions is None or directions >= leaf.data.size else _directions(leaf.shape, directions)
            wanted = _differences(lambda: float((function(*leaves).data * weights).sum()), leaf.data, step, ways)
            if ways is not None:
                found = np.array([(found * way).sum() for way in ways])
            _compare(position, found, wanted, tolerance, "at" if ways is None else "along direction")


def _directions(shape: tuple[int, ...], n: int) -> Array:
    """Draw n directions (n, *shape), of numbers from 0.5 to 1 and their negatives."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.5, 1, (n, *shape)) * rng.choice((-1.0, 1.0), (n, *shape))


def _compare(position: int, found: Array, wanted: Array, tolerance: float, place: str) -> None:
    scale = max(1.0, np.abs(wanted).max(initial=0))
    wrong = np.abs(found - wanted) > tolerance * scale
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            expected("check_gradient", f"the gradient {wanted[where]:.9g} of argument {position} {place} {where}, by "
                     f"differences", f"{found[where]:.9g} from the tape",
                     f"{int(wrong.sum())} of {wrong.size} elements differ by more than {tolerance}"))


def _differences(value: Callable[[], float], array: Array, step: float, ways: Array | None) -> Array:
    slopes = np.zeros(array.shape if ways is None else len(ways))
    with no_grad():
        if ways is not None:
            kept = array.copy()
            for i, way in enumerate(ways):
                np.add(kept, step * way, out=array)
                high = value()
                np.subtract(kept, step * way, out=array)
                slopes[i] = (high - value()) / (2 * step)
            array[...] = kept
            return slopes
        for where in np.ndindex(array.shape):
            kept = array[where]
            array[where] = kept + step
            high = value()
            array[where] = kept - step
            low = value()
            array[where] = kept
            slopes[where] = (high - low) / (2 * step)
    return slopes
