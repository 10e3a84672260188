"""Smooth activations, those of straight pieces and PReLU, each with its gradient; `leaky_relu` is in dense.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import cast

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.sparse import column_sums
from spconv_cy.types import Array, Gradient, Recorded


@differentiable(reads={})
def tanh(x: Tensor | Array) -> Recorded:
    """Return the hyperbolic tangent of each element."""
    x = cast(Array, x)
    y = ops_of(x).xp.tanh(x)
    return y, lambda dy: (lambda: dy * (1 - y * y),)


@differentiable(reads={})
def sigmoid(x: Tensor | Array) -> Recorded:
    """Return 1 / (1 + exp(-x)), to full precision for large positive and negative x."""
    x = cast(Array, x)
    y = logistic(ops_of(x).xp, x)
    return y, lambda dy: (lambda: dy * (y * (1 - y)),)


@differentiable(reads={})
def silu(x: Tensor | Array) -> Recorded:
    """Return x * sigmoid(x).

    Source: Elfwing et al. 2018, arXiv:1702.03118.
    """
    x = cast(Array, x)
    share = logistic(ops_of(x).xp, x)
    y = x * share
    return y, lambda dy: (lambda: dy * (share + y * (1 - share)),)


@differentiable(reads={0: (0,)})
def gelu(x: Tensor | Array) -> Recorded:
    """Return x times the cumulative normal distribution at x: x * (1 + erf(x / sqrt(2))) / 2.

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415; the exact form.
    """
    x = cast(Array, x)
    xp, real = ops_of(x).xp, x.dtype.type
    share = (1 + _erf(xp)(x * real(math.sqrt(0.5)))) * real(0.5)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        near = xp.clip(x, -40, 40)                                       # beyond, the density rounds to zero
        density = xp.exp(near * near * real(-0.5)) * real(1 / math.sqrt(2 * math.pi))
        return (lambda: dy * (share + x * density),)

    return x * share, backward


@differentiable(reads={0: (0,)})
def elu(x: Tensor | Array, alpha: float, scale: float) -> Recorded:
    """Return scale * x where x is positive, scale * alpha * (exp(x) - 1) elsewhere.

    Source: Clevert et al. 2016, arXiv:1511.07289; with a scale: Klambauer et al. 2017, arXiv:1706.02515.
    """
    x = cast(Array, x)
    xp, real = ops_of(x).xp, x.dtype.type
    below = xp.expm1(xp.minimum(x, 0)) * real(alpha)
    y = xp.where(x > 0, x, below) * real(scale)
    return y, lambda dy: (lambda: dy * xp.where(x > 0, real(1), below + real(alpha)) * real(scale), None, None)


@differentiable(reads={0: (0,)})
def clip(x: Tensor | Array, low: float, high: float) -> Recorded:
    """Return x between two bounds, and the bound beyond it. The gradient is 0 at the bounds and beyond.

    ReLU6, with bounds 0 and 6: Howard et al. 2017, arXiv:1704.04861.
    """
    x = cast(Array, x)
    xp, real = ops_of(x).xp, x.dtype.type
    return (xp.clip(x, real(low), real(high)),
            lambda dy: (lambda: xp.where((x > low) & (x < high), dy, real(0)), None, None))


@differentiable(reads={0: (0,)})
def hard_sigmoid(x: Tensor | Array) -> Recorded:
    """Return x / 6 + 1/2 between 0 and 1. The gradient is 0 from -3 down and from 3 up.

    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """
    x = cast(Array, x)
    xp, real = ops_of(x).xp, x.dtype.type
    return _hard_logistic(xp, x), lambda dy: (lambda: xp.where(xp.abs(x) < 3, dy / real(6), real(0)),)


@differentiable(reads={0: (0,)})
def hard_swish(x: Tensor | Array) -> Recorded:
    """Return x * hard_sigmoid(x). The gradient is 0 from -3 down and 1 from 3 up.

    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """
    x = cast(Array, x)
    xp, real = ops_of(x).xp, x.dtype.type
    share = _hard_logistic(xp, x)
    return x * share, lambda dy: (lambda: dy * (share + xp.where(xp.abs(x) < 3, x / real(6), real(0))),)


@differentiable(reads={0: (0, 1), 1: (0,)})
def prelu(x: Tensor | Array, slopes: Tensor | Array) -> Recorded:
    """Return x (n, c) where it is positive, x times its column's slope (1, c) elsewhere.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    x, slopes = cast(Array, x), cast(Array, slopes)
    xp = ops_of(x, slopes).xp
    if x.ndim != 2 or slopes.shape != (1, x.shape[1]):
        raise ShapeError(expected("prelu", "x (n, c) and slopes (1, c)", f"{x.shape} and {slopes.shape}"))
    below = xp.minimum(x, 0)
    return (xp.where(x > 0, x, slopes * x),
            lambda dy: (lambda: xp.where(x > 0, dy, slopes * dy), lambda: column_sums(dy * below)))


def logistic(xp: ModuleType, x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) of an array of a numpy-like module."""
    small = xp.exp(-xp.abs(x))                                           # at most 1, so that nothing overflows
    return xp.where(x >= 0, 1, small) / (1 + small)


def _hard_logistic(xp: ModuleType, x: Array) -> Array:
    real = x.dtype.type
    return xp.clip(x + real(3), real(0), real(6)) / real(6)


def _erf(xp: ModuleType) -> Callable[[Array], Array]:
    # Imported at first use: scipy's subpackages take longer to import than the rest of the library.
    if xp.__name__ == "numpy":
        try:
            from scipy.special import erf
        except ModuleNotFoundError:
            each = np.vectorize(math.erf, otypes=[np.float64])
            return lambda x: each(x).astype(x.dtype)
    else:
        from cupyx.scipy.special import erf  # type: ignore[import-not-found]
    return erf
