"""How weights begin."""

import math
from contextvars import ContextVar

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import current
from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError

_instead: ContextVar["undrawn | None"] = ContextVar("instead", default=None)


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
    """Start all weights at zero inside a `with` statement, because others will be copied over them.

    Args:
        most: numbers that all weights together may have; more are refused before their memory is allocated.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def __enter__(self) -> "undrawn":
        self._token = _instead.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _instead.reset(self._token)

    def weight(self, shape: tuple[int, ...]) -> Tensor:
        """Return a parameter of zeros; raise ShapeError if all have more numbers than allowed."""
        self._left -= math.prod(shape)
        if self._left < 0:
            raise ShapeError(f"weights: expected no more numbers than the file has, got weights of shape {shape}")
        return parameter(np.zeros(shape))


class shapes_only(undrawn):
    """Give weights nothing but their shape inside a `with` statement: all numbers of one share one place in memory."""

    def __init__(self) -> None:
        super().__init__(0)

    def weight(self, shape: tuple[int, ...]) -> Tensor:
        """Return a parameter of that shape that takes no memory."""
        ops = current()
        one = ops.asarray(np.zeros(1))
        return Tensor.leaf(ops.xp.lib.stride_tricks.as_strided(one, shape, (0,) * len(shape)), True)


def _begun(shape, draw):
    instead = _instead.get()
    return parameter(draw()) if instead is None else instead.weight(tuple(shape))
