"""Gradients of the tape against central differences."""

import numpy as np

from spconv_cy.autograd import Tensor, no_grad
from spconv_cy.backend.switch import use


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
    with use("reference"):
        leaves = [Tensor(np.array(array, np.float64), requires_grad=True) for array in arrays]
        y = function(*leaves)
        weights = np.cos(np.arange(y.data.size, dtype=np.float64)).reshape(y.shape)
        if y.requires_grad:
            y.backward(weights)
        for position, leaf in enumerate(leaves):
            found = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
            expected = _differences(lambda: float((function(*leaves).data * weights).sum()), leaf.data, step)
            scale = max(1.0, np.abs(expected).max(initial=0))
            wrong = np.abs(found - expected) > tolerance * scale
            if wrong.any():
                where = tuple(int(i[0]) for i in np.nonzero(wrong))
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
