"""Initial values of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import current
from spconv_cy.checks import described, generator, is_integer
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array, ArrayLike, Seed

PIECE, LINE = 1 << 25, 16                                                # bytes; numbers of a line of the cache

_instead: ContextVar[zero_weights | None] = ContextVar("instead", default=None)


@known_arguments
def glorot_uniform(shape: Sequence[int], rng: Seed = None, *, gain: float = 1.0) -> Tensor:
    """Return weights drawn from U(-s, s), where s = gain * sqrt(6 / (k * c_in + c_out)).

    c_in and c_out are the channels of one group. The fan-out is c_out, not k * c_out, because after the pooling that
    follows each input contributes to about one window.

    Args:
        shape: of the weight, (k, c, o) or (k, g, c/g, o/g).
        rng: seed or numpy Generator.
        gain: factor.

    Source: Glorot and Bengio 2010; the fan-out as in Graham's networks of 2015.
    """
    shape = _weight_shape("glorot_uniform", shape)
    bound = gain * np.sqrt(6 / (shape[0] * shape[-2] + shape[-1]))
    return _initial(shape, lambda: generator("weights", rng).uniform(-bound, bound, shape))


@known_arguments
def he_normal(shape: Sequence[int], rng: Seed = None) -> Tensor:
    """Return weights drawn from N(0, 2 / (k * c_in)), for ReLU networks; c_in is the channels of one group.

    Args:
        shape: of the weight, (k, c, o) or (k, g, c/g, o/g).
        rng: seed or numpy Generator.

    Source: He et al. 2015, arXiv:1502.01852; SparseConvNet's default.
    """
    shape = _weight_shape("he_normal", shape)
    return _initial(shape, lambda: generator("weights", rng).normal(0, np.sqrt(2 / (shape[0] * shape[-2])), shape))


def _weight_shape(who: str, shape: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(shape, (tuple, list)) or len(shape) < 2 or not all(is_integer(n) and n >= 0 for n in shape):
        raise ShapeError(expected(who, "the shape of a weight, (k, c, o) or (k, g, c/g, o/g)", described(shape)))
    return tuple(map(int, shape))


def zeros(shape: Sequence[int]) -> Tensor:
    """Return a parameter of zeros."""
    return _initial(shape, lambda: np.zeros(shape))


def ones(shape: Sequence[int]) -> Tensor:
    """Return a parameter of ones."""
    return _initial(shape, lambda: np.ones(shape))


def filled(shape: Sequence[int], value: float) -> Tensor:
    """Return a parameter whose elements all have one value."""
    return _initial(shape, lambda: np.full(shape, float(value)))


def parameter(array: ArrayLike) -> Tensor:
    """Return an array as a trainable Tensor on the current backend."""
    return Tensor(array, requires_grad=True)


class zero_weights:
    """Context manager in which new weights are zeros, not random numbers: for a network whose weights are then loaded.

    Weights lie side by side in pieces of 32 MiB, for which the system has large pages: they are filled in a third of
    the time. A piece stays as long as one of its weights.

    Args:
        most: the largest number of elements that all weights together may have. A network that needs more is refused
            before its memory is allocated.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self._piece: Array = np.zeros(0)
        self._used = 0

    def __enter__(self) -> zero_weights:
        self._token = _instead.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _instead.reset(self._token)

    def weight(self, shape: tuple[int, ...]) -> Tensor:
        """Return a parameter of zeros; raise ShapeError if all weights together have more elements than allowed."""
        left, self._left = self._left, self._left - math.prod(shape)
        if self._left < 0:
            raise ShapeError(expected("load", f"a network with no more weights than the file ({left} elements are "
                                      "left)", f"a weight of shape {shape}"))
        ops = current()
        return Tensor.leaf(ops.asarray(self._zeros(shape, left, np.dtype(ops.float_dtypes[0]))), True)

    def _zeros(self, shape: tuple[int, ...], left: int, dtype: np.dtype[Any]) -> Array:
        """Return an array of zeros, which take no memory until they are written."""
        count = math.prod(shape)
        if self._piece.dtype != dtype or count > len(self._piece) - self._used:
            self._piece, self._used = np.zeros(max(count, min(left, PIECE // dtype.itemsize)), dtype), 0
        found = self._piece[self._used:self._used + count].reshape(shape)
        self._used += -(-count // LINE) * LINE
        return found


class shapes_only(zero_weights):
    """Context manager in which new weights have a shape but take no memory; used to check a network."""

    def __init__(self) -> None:
        super().__init__(0)

    def weight(self, shape: tuple[int, ...]) -> Tensor:
        """Return a parameter of that shape that takes no memory."""
        ops = current()
        one = ops.asarray(np.zeros(1))
        return Tensor.leaf(ops.xp.lib.stride_tricks.as_strided(one, shape, (0,) * len(shape)), True)


def _initial(shape: Sequence[int], draw: Callable[[], Array]) -> Tensor:
    instead = _instead.get()
    return parameter(draw()) if instead is None else instead.weight(tuple(shape))
