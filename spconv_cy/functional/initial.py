"""How weights begin."""

import numpy as np

from spconv_cy.autograd import Tensor


def glorot(shape, rng=None, *, gain=1.0):
    """Draw a weight (k, c, o) or (k, g, c/g, o/g) from U(-s, s), s = gain * sqrt(6 / (k * c_in + c_out)) of one group.

    The fan-out counts one offset only, since with the pooling that follows each input meets about one window.

    Args:
        shape: of the weight.
        rng: seed or numpy Generator.
        gain: factor.

    Source: Glorot and Bengio 2010; the fan-out as in Graham's networks of 2015.
    """
    bound = gain * np.sqrt(6 / (shape[0] * shape[-2] + shape[-1]))
    return parameter(np.random.default_rng(rng).uniform(-bound, bound, shape))


def normal(shape, rng=None):
    """Draw a weight from N(0, 2 / (k * c_in)) of one group, for ReLU networks.

    Source: He et al. 2015, arXiv:1502.01852; SparseConvNet's default.
    """
    return parameter(np.random.default_rng(rng).normal(0, np.sqrt(2 / (shape[0] * shape[-2])), shape))


def parameter(array):
    """Return a Tensor that training changes, on the current backend."""
    return Tensor(array, requires_grad=True)


def zeros(shape):
    """Return a parameter of zeros."""
    return parameter(np.zeros(shape))
