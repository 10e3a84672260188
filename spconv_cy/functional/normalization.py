"""Normalisation over the batch (with an optional leaky ReLU), within rows and within samples, with gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import cast

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor, differentiable
from spconv_cy.backend.switch import Ops, Part, n_rows, ops_of, summable
from spconv_cy.functional.powers import are_finite, powers, without_infinity
from spconv_cy.functional.shared import Statistics, shared_statistics
from spconv_cy.functional.sparse import column_sums
from spconv_cy.types import Array, Gradient, IntegerArray, Recorded


@known_arguments
def batch_norm(x: Tensor, ground: Tensor | None, gamma: Tensor, beta: Tensor, running: Array | None = None, *,
               eps: float, slope: float = 1.0, mean_only: bool = False, residual: Tensor | None = None,
               moments: Array | None = None) -> tuple[Tensor, Tensor | None, Array]:
    """Return (x - mean) / sqrt(variance + eps) * gamma + beta for each column, and the ground state by the same map.

    Args:
        x: Tensor (n, c).
        ground: Tensor (1, c) or None.
        gamma, beta: Tensors (1, c).
        running: array (2, c), the mean and the variance to use; None: those of x, through which gradients then flow.
        eps: a number, added to the variance.
        slope: of a leaky ReLU that is applied to the result; 1: none.
        mean_only: do not divide: (x - mean) * gamma + beta.
        residual: Tensor (n, c), added to the rows before the leaky ReLU, or None. With one, the ground state is mapped
            without the leaky ReLU.
        moments: array (3, c), what Ops.moments returns for x, if that is known.

    Returns:
        (Tensor (n, c), Tensor (1, c) or None, array (2, c): the mean and the biased variance that were used). The array
        has a wider float dtype than x if a variance overflows x's dtype.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1; the mean alone: Salimans and Kingma 2016,
    arXiv:1602.07868, section 4.
    """
    ops = ops_of(x.data, gamma.data, beta.data)
    used, added = None, None if mean_only else cast("float | Array", eps)
    shared = shared_statistics.get() if running is None and not isinstance(x.data, Part) else None
    if running is None:
        statistics = _moments(ops, x.data) if moments is None else moments
        scale = None if mean_only or shared is not None else _column_powers(ops.xp, x.data, statistics)
        if scale is not None:
            # Computed on scaled columns, whose squares fit a float. The result is exactly the same, and the tape scales
            # the gradients.
            factor = Tensor.of(scale)
            x, ground = x * factor, None if ground is None else ground * factor
            added, statistics = _scaled(eps, scale), ops.moments(x.data)
            used = statistics[::2].astype(np.longdouble) / np.concatenate([scale, scale]).astype(np.longdouble)
            used[1:] /= scale
        elif ops.xp is not np:
            statistics[2] = without_infinity(ops.xp, statistics[2])
    else:
        statistics = _constant(ops, running)
    if shared is not None:
        statistics = shared.moments(statistics, len(x))
    how = _Map(ops, statistics, gamma.data, beta.data, added, slope, n_rows(x.data) if running is None else 0, shared)
    rows = _normalize(x, gamma, beta, how) if residual is None else _normalize_sum(x, gamma, beta, residual, how)
    if ground is not None:
        ground = _normalize_ground(ground, Tensor.of(x.data) if running is not None else x, gamma, beta,
                                   how if residual is None else how.linear())
    return rows, ground, statistics[::2] if used is None else used


def normal_rows(running: Array, gamma: Array, beta: Array, eps: float | None) -> Array:
    """Return (4, c): mean, its rounding error, scale and shift of batch normalisation by given statistics.

    Args:
        running: (2, c), the mean and the variance.
        gamma, beta: (1, c).
        eps: a number, added to the variance; None: do not divide.
    """
    ops = ops_of(running, gamma, beta)
    return _Map(ops, _constant(ops, running), gamma, beta, eps, 1.0, 0).rows


def _constant(ops: Ops, running: Array) -> Array:
    return ops.xp.concatenate([running[:1], ops.xp.zeros_like(running[:1]), running[1:]])


def _moments(ops: Ops, x: Array) -> Array:
    if ops.float_dtypes[0] is not np.float64:                            # compiled or on a GPU: no warnings
        return ops.moments(x)
    with np.errstate(over="ignore", invalid="ignore"):                   # columns that overflow are computed again
        return ops.moments(x)


def _column_powers(xp: ModuleType, x: Array, statistics: Array) -> Array | None:
    """Return (1, c) factors for the columns whose variance overflows, 1 for the others; None: no column overflows."""
    if are_finite(xp, statistics[2]):
        return None
    beyond = ~np.isfinite(statistics).all(0) & np.isfinite(x).all(0)
    return np.where(beyond, powers(xp, abs(x).max(0)), x.dtype.type(1))[None] if beyond.any() else None


def _scaled(eps: float, scale: Array) -> Array:
    return (eps * scale.astype(np.float64) ** 2).astype(scale.dtype)


_Function = Callable[[Array], Array]


def _standard(xp: ModuleType, x: Array, centre: _Function, means: _Function, spread: _Function, largest: _Function,
              eps: float) -> tuple[Array, Array]:
    """Return (x - mean) / sqrt(variance + eps), and 1 / sqrt(variance + eps).

    Mean and variance are those of each group, the elements of x that are normalised together.

    Args:
        xp: numpy or cupy.
        x: (n, ...).
        centre: function that subtracts the means of the groups.
        means: function that returns the means of the groups.
        spread: function that brings values of the groups to the shape of x, or to one that broadcasts to it.
        largest: function that returns the maxima of the groups.
        eps: number.
    """
    with np.errstate(over="ignore", invalid="ignore"):                   # groups that overflow are computed again
        centred = centre(x)
        variance = means(centred * centred)
    added, power = x.dtype.type(eps), None
    if xp is not np:
        variance = without_infinity(xp, variance)
    elif not are_finite(xp, variance):
        with np.errstate(over="ignore", invalid="ignore"):
            power = np.where(np.isfinite(variance), x.dtype.type(1), powers(xp, largest(abs(x))))
            centred = centre(x * spread(power))
            variance, added = means(centred * centred), _scaled(eps, power)
    factor = 1 / xp.sqrt(variance + added)
    normal = centred * spread(factor)
    return normal, spread(factor if power is None else factor * power)


class _Map:
    """The affine map of batch normalisation, applied by `_normalize` and `_normalize_ground`, and its gradient.

    Args:
        ops: Ops.
        statistics: (3, c): the mean, its rounding error, and the biased variance.
        gamma, beta: (1, c).
        eps: a number or (1, c), added to the variance; None: do not divide.
        slope: of the leaky ReLU.
        n: number of rows over which the statistics were taken; 0: they are constants.
        shared: of the processes over whose rows the statistics were taken; None: of this process alone.

    Attributes:
        rows: (4, c): mean, its rounding error, scale, shift.
    """

    def __init__(self, ops: Ops, statistics: Array, gamma: Array, beta: Array, eps: float | Array | None, slope: float,
                 n: int, shared: Statistics | None = None) -> None:
        self.ops, self.slope, self.n, self.shared = ops, slope, n if shared is None else shared.rows, shared
        self.scales, real = eps is not None, statistics.dtype.type
        self.inverse = (ops.xp.ones_like(statistics[2:]) if eps is None else
                        1 / (statistics[2:] + (eps if isinstance(eps, np.ndarray) else real(eps))) ** real(0.5))
        self.rows = ops.xp.concatenate([statistics[:2], gamma * self.inverse, beta])

    def linear(self) -> _Map:
        """Return the map without the leaky ReLU."""
        other = copy.copy(self)
        other.slope = 1.0
        return other

    def through_statistics(self, sums: Array) -> Array:
        """Return a and b (2, c): the part of dx through mean and variance is (x - mean) * a + b; 0 for constants."""
        if not self.n:
            return self.ops.xp.zeros_like(sums)
        if self.shared is not None:
            sums = self.shared.sum(sums)
            if not self.shared.counts:                                   # these rows are not part of the statistics
                return self.ops.xp.zeros_like(sums)
        scale = self.rows[2:3]
        a = sums[1:] * scale * self.inverse**2 if self.scales else self.ops.xp.zeros_like(sums[1:])
        return self.ops.xp.concatenate([a, sums[:1] * scale]) * sums.dtype.type(-1 / self.n)


@differentiable(reads={0: (0, 1, 2)})
def _normalize(x: Tensor | Array, gamma: Tensor | Array, beta: Tensor | Array, how: _Map) -> Recorded:
    x = cast(Array, x)
    ops, rows = how.ops, how.rows

    def backward(dy: Array) -> tuple[Gradient, ...]:
        sums = ops.affine_sums(x, dy, rows, how.slope)
        return (lambda: ops.affine_dx(x, dy, rows, how.through_statistics(sums), how.slope),
                lambda: sums[1:] * how.inverse, sums[:1], None)

    return ops.affine(x, rows, how.slope), backward


@differentiable(reads={0: (0, 1, 2)})
def _normalize_sum(x: Tensor | Array, gamma: Tensor | Array, beta: Tensor | Array, residual: Tensor | Array,
                   how: _Map) -> Recorded:
    x, residual = cast(Array, x), cast(Array, residual)
    ops, rows = how.ops, how.rows
    y = ops.affine(x, rows, how.slope, residual)

    def backward(dy: Array) -> tuple[Gradient, ...]:
        dz = dy if how.slope == 1 else ops.leaky_relu_dx(y, dy, how.slope)
        sums = ops.affine_sums(x, dz, rows)
        return (lambda: ops.affine_dx(x, dz, rows, how.through_statistics(sums)),
                lambda: sums[1:] * how.inverse, sums[:1], dz, None)

    return y, backward


@differentiable(reads={0: (0, 1, 2, 3), 1: (1,)})
def _normalize_ground(ground: Tensor | Array, x: Tensor | Array, gamma: Tensor | Array, beta: Tensor | Array,
                      how: _Map) -> Recorded:
    ground, x = cast(Array, ground), cast(Array, x)
    ops, rows = ops_of(ground, x), how.rows

    def backward(dy: Array) -> tuple[Gradient, ...]:
        sums = ops.affine_sums(ground, dy, rows, how.slope)

        def dx() -> Array:
            return ops.affine(x, ops.xp.concatenate([rows[:2], how.through_statistics(sums)]))

        return (lambda: ops.affine_dx(ground, dy, rows, ops.xp.zeros_like(sums), how.slope), dx,
                lambda: sums[1:] * how.inverse, sums[:1], None)

    return ops.affine(ground, rows, how.slope), backward


@differentiable(reads={1: (0,)})
def group_norm(x: Tensor | Array, gamma: Tensor | Array, beta: Tensor | Array, groups: int, eps: float) -> Recorded:
    """Return x with each row's groups of channels normalised to mean 0 and variance 1, times gamma, plus beta.

    Args:
        x: (n, c).
        gamma, beta: (1, c).
        groups: number of groups of neighbouring channels, which must divide c.
        eps: a number, added to the variance.

    Returns:
        (n, c).

    Source: Ba et al. 2016, arXiv:1607.06450 (one group); Wu and He 2018, arXiv:1803.08494 (groups).
    """
    x, gamma, beta = cast(Array, x), cast(Array, gamma), cast(Array, beta)
    xp, wide = ops_of(x, gamma, beta).xp, summable(x)
    n, c = wide.shape
    shape, each = (n, groups, c // groups), wide.dtype.type(c // groups)

    def mean(rows: Array) -> Array:
        return rows.sum(2, keepdims=True) / each

    normal, factor = _standard(xp, wide.reshape(shape), lambda rows: rows - mean(rows), mean, lambda means: means,
                               lambda sizes: sizes.max(2, keepdims=True), eps)
    normal = normal.reshape(n, c)

    def dx(dy: Array) -> Array:
        dn, grouped = (dy * gamma).reshape(shape), normal.reshape(shape)
        return ((dn - mean(dn) - grouped * mean(dn * grouped)) * factor).reshape(n, c)

    return (normal * gamma + beta,
            lambda dy: (lambda: dx(dy), lambda: column_sums(dy * normal), lambda: column_sums(dy), None, None))


@differentiable(reads={1: (0,)})
def sample_norm(x: Tensor | Array, gamma: Tensor | Array, beta: Tensor | Array, starts: IntegerArray, groups: int,
                eps: float) -> Recorded:
    """Return x with groups of channels normalised over the rows of each sample, times gamma, plus beta.

    With one group per channel this is instance normalisation.

    Args:
        x: (n, c), rows in batch order.
        gamma, beta: (1, c).
        starts: (b+1,) integers; sample i has the rows starts[i] to starts[i+1].
        groups: number of groups of neighbouring channels, which must divide c.
        eps: a number, added to the variance.

    Returns:
        (n, c).

    Source: Ulyanov et al. 2016, arXiv:1607.08022; groups: Wu and He 2018, arXiv:1803.08494.
    """
    x, gamma, beta = cast(Array, x), cast(Array, gamma), cast(Array, beta)
    ops, wide = ops_of(x, gamma, beta), summable(x)
    of = _SampleGroups(ops, wide, starts, groups)
    normal, factor = _standard(ops.xp, wide, of.centred, of.means, of.spread, of.largest, eps)

    def dx(dy: Array) -> Array:
        dn = dy * gamma
        return (dn - of.mean(dn) - normal * of.mean(dn * normal)) * factor

    return (normal * gamma + beta,
            lambda dy: (lambda: dx(dy), lambda: column_sums(dy * normal), lambda: column_sums(dy), None, None, None))


class _SampleGroups:
    """Means and maxima over groups of neighbouring channels of each sample's rows, as rows (b, c).

    Args:
        ops: Ops.
        x: (n, c), an array of the rows' shape and dtype.
        starts: (b+1,) integers.
        groups: number of groups.
    """

    def __init__(self, ops: Ops, x: Array, starts: IntegerArray, groups: int) -> None:
        self.ops, self.starts, self.groups, self.each = ops, starts, groups, x.shape[1] // groups
        counts = np.diff(starts)
        self.samples = np.repeat(np.arange(len(counts)), counts)
        self.n = ops.asarray(np.maximum(counts, 1)[:, None] * self.each, x.dtype)

    def means(self, rows: Array) -> Array:
        return self._together(self.ops.segment_sum(rows, self.starts), self.ops.xp.sum) / self.n

    def largest(self, rows: Array) -> Array:
        return self._together(self.ops.segment_max(rows, self.starts)[0], np.max)

    def spread(self, values: Array) -> Array:
        """Return, for each row, the values (b, c) of its sample."""
        return values[self.samples]

    def mean(self, rows: Array) -> Array:
        return self.spread(self.means(rows))

    def centred(self, rows: Array) -> Array:
        rows = rows - self.mean(rows)
        rows -= self.mean(rows)              # a second pass, since the first leaves a rounding error if x is far from 0
        return rows

    def _together(self, values: Array, reduce: Callable[..., Array]) -> Array:
        if self.each < 2:
            return values
        return self.ops.xp.repeat(reduce(values.reshape(-1, self.groups, self.each), 2), self.each, axis=1)
