"""Normalisation within rows and within samples; over the batch, see dense.batch_norm."""

import numpy as np

from spconv_cy.autograd import differentiable
from spconv_cy.backend.switch import ops_of
from spconv_cy.functional.sparse import column_sums


@differentiable
def group_norm(x, gamma, beta, groups, eps):
    """Normalise each row's channels in groups of neighbours to mean 0 and variance 1; then gamma and beta (1, c).

    Source: Ba et al. 2016, arXiv:1607.06450 (one group); Wu and He 2018, arXiv:1803.08494 (groups).
    """
    xp = ops_of(x, gamma, beta).xp
    shape, each = (len(x), groups, x.shape[1] // groups), x.dtype.type(x.shape[1] // groups)

    def mean(rows):
        return rows.sum(2, keepdims=True) / each

    centred = x.reshape(shape)
    centred = centred - mean(centred)
    factor = 1 / xp.sqrt(mean(centred * centred) + x.dtype.type(eps))
    normal = (centred * factor).reshape(x.shape)

    def dx(dy):
        dn, n = (dy * gamma).reshape(shape), normal.reshape(shape)
        return ((dn - mean(dn) - n * mean(dn * n)) * factor).reshape(x.shape)

    return (normal * gamma + beta,
            lambda dy: (lambda: dx(dy), lambda: column_sums(dy * normal), lambda: column_sums(dy), None, None))


@differentiable
def instance_norm(x, gamma, beta, starts, eps):
    """Normalise each channel over the rows of each sample, which begin at starts (b+1,); then gamma and beta (1, c).

    Source: Ulyanov et al. 2016, arXiv:1607.08022.
    """
    ops = ops_of(x, gamma, beta)
    counts = np.diff(starts)
    samples = np.repeat(np.arange(len(counts)), counts)
    n = ops.asarray(np.maximum(counts, 1)[:, None], x.dtype)

    def mean(rows):
        return (ops.segment_sum(rows, starts) / n)[samples]

    centred = x - mean(x)
    centred -= mean(centred)                                             # what rounding left, where x lies far from 0
    factor = 1 / ops.xp.sqrt(mean(centred * centred) + x.dtype.type(eps))
    normal = centred * factor

    def dx(dy):
        dn = dy * gamma
        return (dn - mean(dn) - normal * mean(dn * normal)) * factor

    return (normal * gamma + beta,
            lambda dy: (lambda: dx(dy), lambda: column_sums(dy * normal), lambda: column_sums(dy), None, None))
