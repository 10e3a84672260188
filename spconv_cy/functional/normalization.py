"""Normalisation over the batch, its leaky ReLU in the same pass; within rows; within samples. Gradients under each."""

import numpy as np

from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.precision import summable
from spconv_cy.backend.switch import ops_of
from spconv_cy.functional.powers import are_finite, powers, without_infinity
from spconv_cy.functional.sparse import column_sums


def batch_norm(x, ground, gamma, beta, running=None, *, eps, slope=1.0, mean_only=False):
    """Normalise columns: (x - mean) / sqrt(variance + eps) * gamma + beta; the ground row by the same map.

    Args:
        x: Tensor (n, c).
        ground: Tensor (1, c) or None.
        gamma, beta: Tensors (1, c).
        running: array (2, c), the mean and the variance to use; None: those of x, which gradients then flow through.
        eps: a number, added to the variance.
        slope: of a leaky ReLU that follows; 1: none.
        mean_only: leave the division out: (x - mean) * gamma + beta.

    Returns:
        (Tensor (n, c), Tensor (1, c) or None, array (2, c): the mean and the biased variance that were used). The array
        is of a longer float where x's does not hold a variance.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1; the mean alone: Salimans and Kingma 2016,
    arXiv:1602.07868, section 4.
    """
    ops = ops_of(x.data, gamma.data, beta.data)
    used = scale = None
    if running is None:
        statistics = _moments(ops, x.data)
        scale = None if mean_only else _column_powers(ops.xp, x.data, statistics)
        if scale is not None:
            # In numbers whose squares a float holds: exactly the same, and the tape scales the gradients.
            x, ground = (None if t is None else t * Tensor.of(scale) for t in (x, ground))
            eps, statistics = _scaled(eps, scale), ops.moments(x.data)
            used = statistics[::2].astype(np.longdouble) / np.concatenate([scale, scale]).astype(np.longdouble)
            used[1:] /= scale
        elif ops.xp is not np:
            statistics[2] = without_infinity(ops.xp, statistics[2])
    else:
        statistics = ops.xp.concatenate([running[:1], ops.xp.zeros_like(running[:1]), running[1:]])
    how = _Map(ops, statistics, gamma.data, beta.data, None if mean_only else eps, slope,
               len(x) if running is None else 0)
    rows = _normalize(x, gamma, beta, how)
    grounds = None if ground is None else _normalize_ground(ground, Tensor.of(x.data) if running is not None else x,
                                                            gamma, beta, how)
    return rows, grounds, statistics[::2] if used is None else used


def _moments(ops, x):
    if ops.float_dtypes[0] is not np.float64:                            # compiled, and a GPU's: no warnings
        return ops.moments(x)
    with np.errstate(over="ignore", invalid="ignore"):                   # what overflows is computed again
        return ops.moments(x)


def _column_powers(xp, x, statistics):
    """Return (1, c) factors for the columns whose variance a float does not hold, 1 for others; None: there are none.
    """
    if are_finite(xp, statistics[2]):
        return None
    beyond = ~np.isfinite(statistics).all(0) & np.isfinite(x).all(0)
    return np.where(beyond, powers(xp, abs(x).max(0)), x.dtype.type(1))[None] if beyond.any() else None


def _scaled(eps, scale):
    return (eps * scale.astype(np.float64) ** 2).astype(scale.dtype)


def _standard(xp, x, centre, means, spread, largest, eps):
    """Return (x - mean) / sqrt(variance + eps), and 1 / sqrt(variance + eps).

    Args:
        xp: numpy or cupy.
        x: (n, ...).
        centre: function of x, less its means.
        means: function that averages over what belongs together.
        spread: function that brings such averages back to the shape of x, or to one that fits it.
        largest: function of abs(x) that takes the maximum of what belongs together.
        eps: number.
    """
    with np.errstate(over="ignore", invalid="ignore"):                   # what overflows is computed again
        centred = centre(x)
        variance = means(centred * centred)
    eps, power = x.dtype.type(eps), None
    if xp is not np:
        variance = without_infinity(xp, variance)
    elif not are_finite(xp, variance):
        with np.errstate(over="ignore", invalid="ignore"):
            power = np.where(np.isfinite(variance), x.dtype.type(1), powers(xp, largest(abs(x))))
            centred = centre(x * spread(power))
            variance, eps = means(centred * centred), _scaled(eps, power)
    factor = 1 / xp.sqrt(variance + eps)
    normal = centred * spread(factor)
    return normal, spread(factor if power is None else factor * power)


class _Map:
    """What both functions below share: the map, and the gradients that come of two sums over rows.

    rows (4, c): centre, its rest, scale, shift.
    """

    def __init__(self, ops, statistics, gamma, beta, eps, slope, n):
        self.ops, self.slope, self.n = ops, slope, n
        self.scales, real = eps is not None, statistics.dtype.type
        eps = eps if not self.scales or isinstance(eps, np.ndarray) else real(eps)
        self.inverse = (1 / (statistics[2:] + eps) ** real(0.5) if self.scales
                        else ops.xp.ones_like(statistics[2:]))
        self.rows = ops.xp.concatenate([statistics[:2], gamma * self.inverse, beta])

    def through_statistics(self, sums):
        """Return a and b (2, c): dx by way of mean and variance is (x - mean) * a + b; 0 where they are given."""
        if not self.n:
            return self.ops.xp.zeros_like(sums)
        scale = self.rows[2:3]
        a = sums[1:] * scale * self.inverse**2 if self.scales else self.ops.xp.zeros_like(sums[1:])
        return self.ops.xp.concatenate([a, sums[:1] * scale]) * sums.dtype.type(-1 / self.n)


@differentiable(reads={0: (0, 1, 2)})
def _normalize(x, gamma, beta, how):
    ops, rows = how.ops, how.rows

    def backward(dy):
        sums = ops.affine_sums(x, dy, rows, how.slope)
        return (lambda: ops.affine_dx(x, dy, rows, how.through_statistics(sums), how.slope),
                lambda: sums[1:] * how.inverse, sums[:1], None)

    return ops.affine(x, rows, how.slope), backward


@differentiable(reads={0: (0, 1, 2, 3), 1: (1,)})
def _normalize_ground(ground, x, gamma, beta, how):
    ops, rows = ops_of(ground, x), how.rows

    def backward(dy):
        sums = ops.affine_sums(ground, dy, rows, how.slope)

        def dx():
            return ops.affine(x, ops.xp.concatenate([rows[:2], how.through_statistics(sums)]))

        return (lambda: ops.affine_dx(ground, dy, rows, ops.xp.zeros_like(sums), how.slope), dx,
                lambda: sums[1:] * how.inverse, sums[:1], None)

    return ops.affine(ground, rows, how.slope), backward


@differentiable(reads={1: (0,)})
def group_norm(x, gamma, beta, groups, eps):
    """Normalise each row's channels in groups of neighbours to mean 0 and variance 1; then gamma and beta (1, c).

    Source: Ba et al. 2016, arXiv:1607.06450 (one group); Wu and He 2018, arXiv:1803.08494 (groups).
    """
    xp, x = ops_of(x, gamma, beta).xp, summable(x)
    shape, each = (len(x), groups, x.shape[1] // groups), x.dtype.type(x.shape[1] // groups)

    def mean(rows):
        return rows.sum(2, keepdims=True) / each

    normal, factor = _standard(xp, x.reshape(shape), lambda rows: rows - mean(rows), mean, lambda means: means,
                               lambda sizes: sizes.max(2, keepdims=True), eps)
    normal = normal.reshape(x.shape)

    def dx(dy):
        dn, n = (dy * gamma).reshape(shape), normal.reshape(shape)
        return ((dn - mean(dn) - n * mean(dn * n)) * factor).reshape(x.shape)

    return (normal * gamma + beta,
            lambda dy: (lambda: dx(dy), lambda: column_sums(dy * normal), lambda: column_sums(dy), None, None))


@differentiable(reads={1: (0,)})
def sample_norm(x, gamma, beta, starts, groups, eps):
    """Normalise groups of neighbouring channels over the rows of each sample; then gamma and beta (1, c).

    Samples begin at starts (b+1,). A group of each channel is instance normalisation.

    Source: Ulyanov et al. 2016, arXiv:1607.08022; groups: Wu and He 2018, arXiv:1803.08494.
    """
    ops, x = ops_of(x, gamma, beta), summable(x)
    counts, each = np.diff(starts), x.shape[1] // groups
    samples = np.repeat(np.arange(len(counts)), counts)
    n = ops.asarray(np.maximum(counts, 1)[:, None] * each, x.dtype)

    def together(rows, reduce):
        return ops.xp.repeat(reduce(rows.reshape(-1, groups, each), 2), each, axis=1) if each > 1 else rows

    def means(rows):
        return together(ops.segment_sum(rows, starts), ops.xp.sum) / n

    def mean(rows):
        return means(rows)[samples]

    def centre(rows):
        rows = rows - mean(rows)
        rows -= mean(rows)                                               # what rounding left, where x lies far from 0
        return rows

    normal, factor = _standard(ops.xp, x, centre, means, lambda rows: rows[samples],
                               lambda sizes: together(ops.segment_max(sizes, starts)[0], np.max), eps)

    def dx(dy):
        dn = dy * gamma
        return (dn - mean(dn) - normal * mean(dn * normal)) * factor

    return (normal * gamma + beta,
            lambda dy: (lambda: dx(dy), lambda: column_sums(dy * normal), lambda: column_sums(dy), None, None, None))
