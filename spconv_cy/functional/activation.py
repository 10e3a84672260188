"""Smooth activations and learnt slopes, each with its gradient under it; leaky_relu stands in dense.py."""

import math

from spconv_cy.autograd import differentiable
from spconv_cy.backend.switch import ops_of
from spconv_cy.functional.sparse import column_sums


@differentiable(reads={})
def tanh(x):
    """Return the hyperbolic tangent."""
    y = ops_of(x).xp.tanh(x)
    return y, lambda dy: (lambda: dy * (1 - y * y),)


@differentiable(reads={})
def sigmoid(x):
    """Return 1 / (1 + exp(-x)), to full precision on both sides."""
    y = _logistic(ops_of(x).xp, x)
    return y, lambda dy: (lambda: dy * (y * (1 - y)),)


@differentiable(reads={})
def silu(x):
    """Return x * sigmoid(x).

    Source: Elfwing et al. 2018, arXiv:1702.03118.
    """
    share = _logistic(ops_of(x).xp, x)
    y = x * share
    return y, lambda dy: (lambda: dy * (share + y * (1 - share)),)


@differentiable(reads={0: (0,)})
def gelu(x):
    """Return x times the normal distribution's share below x: x * (1 + erf(x / sqrt(2))) / 2.

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415; the exact form.
    """
    xp, real = ops_of(x).xp, x.dtype.type
    share = (1 + _erf(xp)(x * real(math.sqrt(0.5)))) * real(0.5)

    def backward(dy):
        near = xp.clip(x, -40, 40)                                       # beyond, the density is zero to all digits
        density = xp.exp(near * near * real(-0.5)) * real(1 / math.sqrt(2 * math.pi))
        return (lambda: dy * (share + x * density),)

    return x * share, backward


@differentiable(reads={0: (0,)})
def elu(x, alpha, scale):
    """Return scale * x where x is positive, scale * alpha * (exp(x) - 1) elsewhere.

    Source: Clevert et al. 2016, arXiv:1511.07289; with a scale: Klambauer et al. 2017, arXiv:1706.02515.
    """
    xp, real = ops_of(x).xp, x.dtype.type
    below = xp.expm1(xp.minimum(x, 0)) * real(alpha)
    y = xp.where(x > 0, x, below) * real(scale)
    return y, lambda dy: (lambda: dy * xp.where(x > 0, real(1), below + real(alpha)) * real(scale), None, None)


@differentiable(reads={0: (0, 1), 1: (0,)})
def prelu(x, slopes):
    """Return x where it is positive, x times its column's slope (1, c) elsewhere.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    xp = ops_of(x, slopes).xp
    below = xp.minimum(x, 0)
    return (xp.where(x > 0, x, slopes * x),
            lambda dy: (lambda: xp.where(x > 0, dy, slopes * dy), lambda: column_sums(dy * below)))


def _logistic(xp, x):
    small = xp.exp(-xp.abs(x))                                           # at most 1: nothing overflows
    return xp.where(x >= 0, 1, small) / (1 + small)


def _erf(xp):
    # Imported at first use, since scipy's subpackages cost more than all the rest of the library.
    if xp.__name__ == "numpy":
        from scipy.special import erf
    else:
        from cupyx.scipy.special import erf
    return erf
