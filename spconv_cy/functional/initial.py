"""How weights begin."""

import math
from contextvars import ContextVar

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError

_budget = ContextVar("budget", default=None)


def glorot(shape, rng=None, *, gain=1.0):
    """Draw a weight (k, c, o) or (k, g, c/g, o/g) from U(-s, s), s = gain * sqrt(6 / (k * c_in + c_out)) of one group.

    The fan-out counts one offset only, since with the pooling that follows each input meets about one window.

    Args:
        shape: of the weight.
        rng: seed or numpy Generator.
        gain: factor.

    Source: Glorot and Bengio 2010; the fan-out as in Graham's networks of 2015.
    """
    shape = tuple(map(int, shape))
    bound = gain * np.sqrt(6 / (shape[0] * shape[-2] + shape[-1]))
    return _begun(shape, lambda: generator("weights", rng).uniform(-bound, bound, shape))


def normal(shape, rng=None):
    """Draw a weight from N(0, 2 / (k * c_in)) of one group, for ReLU networks.

    Source: He et al. 2015, arXiv:1502.01852; SparseConvNet's default.
    """
    shape = tuple(map(int, shape))
    return _begun(shape, lambda: generator("weights", rng).normal(0, np.sqrt(2 / (shape[0] * shape[-2])), shape))


def zeros(shape):
    """Return a parameter of zeros."""
    return _begun(shape, lambda: np.zeros(shape))


def ones(shape):
    """Return a parameter of ones."""
    return _begun(shape, lambda: np.ones(shape))


def filled(shape, value):
    """Return a parameter that begins with one value."""
    return _begun(shape, lambda: np.full(shape, float(value)))


def parameter(array):
    """Return a Tensor that training changes, on the current backend."""
    return Tensor(array, requires_grad=True)


class undrawn:
    """Begin all weights as zeros inside a `with` statement, since others will be copied over them.

    Args:
        most: numbers that all weights together may have; a description that asks for more is refused before memory is.
    """

    def __init__(self, most):
        self._left = most

    def __enter__(self):
        self._token = _budget.set(self)
        return self

    def __exit__(self, *_):
        _budget.reset(self._token)

    def take(self, shape):
        """Return zeros; raise ShapeError where the budget does not allow them."""
        self._left -= math.prod(shape)
        if self._left < 0:
            raise ShapeError(f"weights {tuple(shape)} are asked for, more than there are numbers for")
        return np.zeros(shape)


def _begun(shape, draw):
    budget = _budget.get()
    return parameter(draw() if budget is None else budget.take(shape))
