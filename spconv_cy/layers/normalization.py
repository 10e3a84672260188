"""Normalisation layers: over the batch, a sample or a row."""

from __future__ import annotations

import math
from typing import overload

import numpy as np

from spconv_cy.backend.switch import Part, current, n_rows, ops_of
from spconv_cy.checks import checked_flags, is_one_of, is_real, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.initial import ones, zeros
from spconv_cy.functional.normalization import batch_norm, group_norm, normal_rows, sample_norm
from spconv_cy.functional.powers import without_infinity
from spconv_cy.functional.shared import shared_statistics
from spconv_cy.layers.activation import checked_slope
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_rows
from spconv_cy.layers.layer import Activated, Layer, Role, WorkingMemory
from spconv_cy.layers.rows import added, can_add, on_rows
from spconv_cy.tensor import SparseTensor, Tensor, as_tensor
from spconv_cy.types import Array, ArrayLike

STEPS = 2**20
LAG = 9                                                                  # see docs/training.md for other values
LARGE = 1e37                                                             # a variance well within float32


class BatchNormalization(Activated):
    """Normalise each channel over the active rows of the batch; the ground state goes through the same map.

    Args:
        channels: number of channels.
        eps: added to the variance.
        momentum: weight of the old running statistics: running = momentum * running + (1 - momentum) * batch.
        variance: from which the running variance is computed: "unbiased", divided by n - 1 (SparseConvNet, torch), or
            "biased", divided by n (Keras).
        slope: of a leaky ReLU that is applied in the same pass over memory, 0 to 1 (0: a ReLU); None: no activation.
        affine: whether weight and bias are learnt; otherwise there are none.
        mean_only: subtract the mean without dividing; there is no weight and no running variance.
        debias: let the running statistics follow from the first step on, so that a network can be tested after a short
            training: the weight of the old ones is t / (t + 9) after t steps, until that exceeds the momentum (0.99:
            after 891 steps). The initial mean 0 and variance 1 then have no weight at all, and the newest batches the
            most, since the older ones saw other weights. False: the momentum from the first step on, as in the
            libraries above; the statistics then stay close to their initial values for about 1 / (1 - momentum) steps.
            A converted network counts on from the steps of its checkpoint, so momentum 0.9 is reached after 81 steps.

    In training the batch's own mean and biased variance are used, and the running ones are updated. In evaluation, or
    if the layer is frozen, the running ones are used. A batch without rows changes nothing. torch's BatchNorm1d(c) is
    BatchNormalization(c, eps=1e-5, momentum=0.9, debias=False), since torch's momentum 0.1 is the weight of the new.

    Attributes:
        weight, bias: Tensors (1, c), or None.
        running_mean, running_variance: arrays (1, c); the variance is None with mean_only.
        running_steps: array (1,), the number of updates, with debias; else None.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; eps of SparseConvNet, whose momentum is 0.9. The mean only:
    Salimans and Kingma 2016, arXiv:1602.07868.
    """

    role = Role.ACTIVATES | Role.NORMALIZES
    fuses = True

    def __init__(self, channels: int, *, eps: float = 1e-4, momentum: float = 0.99, variance: str = "unbiased",
                 slope: float | None = None, affine: bool = True, mean_only: bool = False,
                 debias: bool = True) -> None:
        channels, = checked_counts(self, channels=channels)
        if not all(is_real(v) for v in (eps, momentum)) or not (0 <= eps < np.inf and 0 <= momentum <= 1):
            raise ShapeError(expected("BatchNormalization", "eps to be a number from 0 up and momentum one from 0 to 1",
                                      f"{eps!r} and {momentum!r}"))
        if not is_one_of(variance, ("unbiased", "biased")):
            raise ShapeError(expected("BatchNormalization", "variance to be 'unbiased' or 'biased'", f"{variance!r}"))
        checked_flags("BatchNormalization", affine=affine, mean_only=mean_only, debias=debias)
        self.channels, self.eps, self.momentum, self.variance = channels, eps, momentum, variance
        self.slope = None if slope is None else checked_slope(self, slope)
        self.mean_only = mean_only
        self.weight = ones((1, channels)) if affine and not mean_only else None
        self.bias = zeros((1, channels)) if affine else None
        self.running_mean = current().asarray(np.zeros((1, channels)))
        self.running_variance: Array | None = None if mean_only else current().asarray(np.ones((1, channels)))
        self.running_steps = current().asarray(np.zeros(1)) if debias else None

    @overload
    def __call__(self, x: SparseTensor) -> SparseTensor: ...

    @overload
    def __call__(self, x: Tensor | ArrayLike) -> Tensor: ...

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Normalise the rows of a SparseTensor, or rows (n, c)."""
        return self.activated(x)

    def activated(self, x: SparseTensor | Tensor | ArrayLike, slope: float | None = None) -> SparseTensor | Tensor:
        """Normalise, and apply a leaky ReLU of that slope, after the layer's own, unless it is None."""
        if isinstance(x, SparseTensor):
            return x.with_features(*self.normalised(x.features, x.ground, slope))
        return self.normalised(as_tensor(x), None, slope)[0]

    def fused(self, x: SparseTensor | Tensor | ArrayLike, slope: float | None, norm: None,
              residual: SparseTensor | Tensor) -> SparseTensor | Tensor:
        """Normalise, add a residual, and apply a leaky ReLU; for the plan of a network."""
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        if not can_add(residual, x, x.shape):
            return added(self.activated(x), residual, slope)
        if not isinstance(x, SparseTensor):
            return self.normalised(x, None, slope, residual)[0]          # type: ignore[arg-type]
        features, ground = residual.features, residual.ground            # type: ignore[union-attr]
        return x.with_features(*self.normalised(x.features, x.ground, slope, features, ground))

    def normalised(self, rows: Tensor, ground: Tensor | None, slope: float | None, residual: Tensor | None = None,
                   ground_residual: Tensor | None = None, moments: Array | None = None
                   ) -> tuple[Tensor, Tensor | None]:
        """Return rows and ground state normalised, plus residuals, through a leaky ReLU of that slope.

        Args:
            rows: Tensor (n, c).
            ground: Tensor (1, c) or None.
            slope: number or None.
            residual, ground_residual: what is added to the rows and to the ground state, of a layer without a slope of
                its own; or None.
            moments: (3, c) of the rows, as Ops.moments gives them, if they are known.
        """
        checked_rows(self, rows, self.channels)
        shared = shared_statistics.get()                                 # all processes take part, also without rows
        follows = self.follows and (n_rows(rows.data) or shared is not None)
        slopes = [s for s in (self.slope, slope) if s is not None]       # two in a row multiply
        below = math.prod(slopes, start=1.0)
        y, ground, used = batch_norm(rows, ground, self._row(self.weight, 1), self._row(self.bias, 0),
                                     None if follows else self._running(), eps=self.eps, slope=below,
                                     mean_only=self.mean_only, residual=residual, moments=moments)
        if follows:
            n = n_rows(rows.data) if shared is None or isinstance(rows.data, Part) else shared.rows
            if n:
                self._follow(used, n)
        return y, ground if ground_residual is None else added(ground, ground_residual, slope)

    @property
    def follows(self) -> bool:
        """Whether a call normalises by the statistics of the batch, which the running ones then follow."""
        return self.training and not self.frozen

    def map_rows(self) -> Array | None:
        """Return (4, c), as for Ops.affine, if a call applies a map that takes no gradient; else None."""
        gamma, beta = self._row(self.weight, 1), self._row(self.bias, 0)
        if self.follows or gamma.requires_grad or beta.requires_grad:
            return None
        return normal_rows(self._running(), gamma.data, beta.data, None if self.mean_only else self.eps)

    def _row(self, parameter: Tensor | None, value: float) -> Tensor:
        return parameter if parameter is not None else Tensor.of(
            ops_of(self.running_mean).xp.full_like(self.running_mean, value))

    def _running(self) -> Array:
        variance = self.running_mean if self.mean_only else self.running_variance
        return ops_of(self.running_mean).xp.concatenate([self.running_mean, variance])

    def _follow(self, statistics: Array, n: int) -> None:
        factor = n / max(1, n - 1) if self.variance == "unbiased" else 1
        keep, running = self._weight_of_old(), self.running_variance
        if running is not None and isinstance(running, np.ndarray) and not statistics[1].max() < LARGE:
            variance = self._large_variance(keep, statistics[1:], factor)
        elif running is not None:
            variance = keep * running + (1 - keep) * (statistics[1:] * factor)
        self.running_mean[...] = keep * self.running_mean + (1 - keep) * statistics[:1]
        if running is not None:
            running[...] = variance if isinstance(running, np.ndarray) else without_infinity(
                ops_of(running).xp, variance)
        if self.running_steps is not None:
            self.running_steps += self.running_steps < STEPS             # float32 counts no further

    def _large_variance(self, keep, batch, factor):
        # The batch's variance may exceed what the running one can hold. NaN stays NaN.
        followed = keep * self.running_variance + (1 - keep) * (batch.astype(np.longdouble) * factor)
        held = self.running_variance.dtype  # type: ignore[union-attr]
        if (followed > np.finfo(held).max).any():
            raise FloatingPointError(expected(f"{self}", f"a running variance that {held} holds, up to "
                                              f"{np.finfo(held).max:.3g}", f"{np.nanmax(followed)!s}",
                                              "scale the features"))
        return followed

    def _weight_of_old(self):
        if self.running_steps is None:
            return self.momentum
        if isinstance(self.running_steps, np.ndarray):
            steps = float(self.running_steps[0])
            return min(self.momentum, steps / (steps + LAG))
        begun = self.running_steps / (self.running_steps + LAG)          # without waiting for a GPU
        return ops_of(begun).xp.minimum(begun, self.momentum)

    def notation(self) -> str:
        """Return "BN", or with a slope such as "BN-LReLU0.1"; "" if the notation cannot express the layer."""
        if self.mean_only or self.bias is None:
            return ""
        return "BN" if self.slope is None else f"BN-LReLU{self.slope}"


class GroupNormalization(Layer):
    """Normalise groups of neighbouring channels: within each row, or over the active rows of each sample.

    Within a row the mean and the variance are the row's own, so the map is the same for active sites and the ground
    state. With over="sample" each sample has its own mean and variance. The samples would then need different ground
    states, so the input must have `ground=None`.

    Args:
        groups: number of groups.
        channels: number of channels; with over="site" at least two per group.
        eps: added to the variance.
        over: "site": the channels of a group in one row; "sample": those in all active rows of a sample (as torchsparse
            and SparseConvNet).

    Attributes:
        weight, bias: Tensors (1, c).

    Raises:
        ShapeError: at the call, other channels; over samples, an input with a ground state, or plain rows.

    Source: Wu and He 2018, arXiv:1803.08494.
    """

    def __init__(self, groups: int, channels: int, *, eps: float = 1e-5, over: str = "site") -> None:
        self._begin(groups, channels, eps, over)

    @property
    def working_memory(self) -> WorkingMemory:  # type: ignore[override]
        """WorkingMemory by what is normalised together."""
        return WorkingMemory(out=2.2 if self.over == "site" else 3.5, chained=self.over == "site")

    def _begin(self, groups: int, channels: int, eps: float, over: str) -> None:
        groups, channels = checked_counts(self, groups=groups, channels=channels)
        _check_eps(self, eps)
        if not is_one_of(over, ("site", "sample")):
            raise ShapeError(expected(type(self).__name__, "over to be 'site' or 'sample'", f"{over!r}"))
        if channels % groups or (over == "site" and channels == groups):
            raise ShapeError(expected(type(self).__name__, "groups of equally many channels (2 or more for 'site')",
                                      f"{channels} channels in groups of {channels / groups:.3g}"))
        self.groups, self.channels, self.eps, self.over = groups, channels, eps, over
        self.weight, self.bias = ones((1, channels)), zeros((1, channels))

    @overload
    def __call__(self, x: SparseTensor) -> SparseTensor: ...

    @overload
    def __call__(self, x: Tensor | ArrayLike) -> Tensor: ...

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Normalise the rows of a SparseTensor, or (over="site") rows (n, c)."""
        return on_rows(self._rows, x) if self.over == "site" else _by_sample(self, x)

    def _rows(self, x: Tensor) -> Tensor:
        checked_rows(self, x, self.channels)
        return group_norm(x, self.weight, self.bias, self.groups, self.eps)


class LayerNormalization(GroupNormalization):
    """Normalise all channels together: within each row, or over the active rows of each sample.

    Args:
        channels: number of channels, within a row at least 2.
        eps, over: as for GroupNormalization; this is a GroupNormalization with one group.

    Attributes:
        weight, bias: Tensors (1, c).

    Source: Ba et al. 2016, arXiv:1607.06450.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, over: str = "site") -> None:
        self._begin(1, channels, eps, over)


class InstanceNormalization(Layer):
    """Normalise each channel over the active rows of each sample.

    Each sample has its own mean and variance. The samples would need different ground states, so the input must have
    `ground=None`.

    Args:
        channels: number of channels.
        eps: added to the variance.

    Attributes:
        weight, bias: Tensors (1, c).

    Raises:
        ShapeError: at the call, an input with a ground state, plain rows, or other channels.

    Source: Ulyanov et al. 2016, arXiv:1607.08022.
    """

    working_memory = WorkingMemory(out=3.5)

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        channels, = checked_counts(self, channels=channels)
        _check_eps(self, eps)
        self.channels, self.groups, self.eps = channels, channels, eps
        self.weight, self.bias = ones((1, channels)), zeros((1, channels))

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Normalise the rows of a SparseTensor."""
        return _by_sample(self, x)


def _by_sample(layer, x):
    if not isinstance(x, SparseTensor):
        raise ShapeError(expected(f"{layer}", "a SparseTensor, whose grid has the samples", kind_of(x),
                                  "use LayerNormalization for plain rows"))
    if x.ground is not None:
        raise ShapeError(expected(f"{layer}", "an input with ground=None (each sample has its own statistics)",
                                  "one with a ground state", "make the input with ground=None, or use "
                                  "BatchNormalization or LayerNormalization"))
    checked_channels(layer, x.channels, layer.channels)
    return x.with_features(sample_norm(x.features, layer.weight, layer.bias, x.grid.batch_starts, layer.groups,
                                       layer.eps))


def _check_eps(layer: object, eps: float) -> None:
    if not is_real(eps) or not 0 < eps < np.inf:
        raise ShapeError(expected(type(layer).__name__, "eps to be a number above 0", f"{eps!r}"))
