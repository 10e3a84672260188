"""Normalisation of rows."""

import math

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import current, ops_of
from spconv_cy.checks import checked_flags, is_one_of, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor
from spconv_cy.functional.initial import ones, zeros
from spconv_cy.functional.normalization import batch_norm, group_norm, sample_norm
from spconv_cy.functional.powers import without_infinity
from spconv_cy.layers.activation import checked_slope, on_rows
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_rows
from spconv_cy.layers.layer import Activated, Layer
from spconv_cy.layers.role import Role
from spconv_cy.tensor import SparseTensor

STEPS = 2**20
LARGE = 1e37                                                             # of a variance, far within float32


class BatchNormalization(Activated):
    """Normalise each channel over the active rows of the batch; the ground state goes through the same map.

    Args:
        channels: number of channels.
        eps: added to the variance.
        momentum: the share of what was: running = momentum * running + (1 - momentum) * batch.
        variance: that the running one is made of: "unbiased", divided by n - 1 (SparseConvNet, torch), or "biased", by
            n (Keras).
        slope: of a leaky ReLU that follows in the same pass over memory, 0 to 1 (0: a ReLU); None: none follows.
        affine: whether weight and bias are learnt; else there are none.
        mean_only: subtract the mean and divide by nothing; there is no weight and no running variance.
        debias: let the first steps count for more, so that a network that was trained shortly is tested by what it met:
            the share of what was is (1 + t) / (10 + t) after t steps, until that passes the momentum (0.99: 890 steps).
            The library's networks have it, but for the Autoencoder. False: the rule of the peers above from the first
            step on, whose running statistics are for long close to where they begin, mean 0 and variance 1.

    In training the batch's own mean and biased variance are used, and the running ones follow; in evaluation, or
    frozen, the running ones are used. A batch without rows changes nothing. torch's BatchNorm1d(c) is
    BatchNormalization(c, eps=1e-5, momentum=0.9), since torch's momentum 0.1 is the share of the new.

    Attributes: weight, bias: Tensors (1, c) or None; running_mean, running_variance: arrays (1, c), the latter None
    for the mean only; running_steps: array (1,) with debias, the steps that they followed, else None.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; defaults of SparseConvNet. The mean only: Salimans and Kingma
    2016, arXiv:1602.07868.
    """

    role = Role.ACTIVATES

    def __init__(self, channels, *, eps=1e-4, momentum=0.99, variance="unbiased", slope=None, affine=True,
                 mean_only=False, debias=False):
        channels, = checked_counts(self, channels=channels)
        if not all(is_real(v) for v in (eps, momentum)) or not (0 <= eps < np.inf and 0 <= momentum <= 1):
            raise ShapeError(f"BatchNormalization: eps {eps!r} and momentum {momentum!r} came; a number from 0 up and "
                             "one from 0 to 1 fit")
        if not is_one_of(variance, ("unbiased", "biased")):
            raise ShapeError(f"BatchNormalization: variance {variance!r} came; 'unbiased' or 'biased' fit")
        checked_flags("BatchNormalization", affine=affine, mean_only=mean_only,
                      debias=debias)
        self.channels, self.eps, self.momentum, self.variance = channels, eps, momentum, variance
        self.slope = None if slope is None else checked_slope(self, slope)
        self.mean_only = mean_only
        self.weight = ones((1, channels)) if affine and not mean_only else None
        self.bias = zeros((1, channels)) if affine else None
        self.running_mean = current().asarray(np.zeros((1, channels)))
        self.running_variance = None if mean_only else current().asarray(np.ones((1, channels)))
        self.running_steps = current().asarray(np.zeros(1)) if debias else None

    def activated(self, x, slope=None):
        """Normalise, and apply a leaky ReLU of that slope unless it is None, after the layer's own."""
        sparse = isinstance(x, SparseTensor)
        rows = x.features if sparse else as_tensor(x)
        checked_rows(self, rows, self.channels)
        follows = self.training and not self.frozen and len(rows)
        slopes = [s for s in (self.slope, slope) if s is not None]       # one after the other they are their product
        y, ground, used = batch_norm(rows, x.ground if sparse else None, self._row(self.weight, 1),
                                     self._row(self.bias, 0), None if follows else self._running(), eps=self.eps,
                                     slope=math.prod(slopes, start=1.0), mean_only=self.mean_only)
        if follows:
            self._follow(used, len(rows))
        return x.with_features(y, ground) if sparse else y

    def _row(self, parameter, value):
        return parameter if parameter is not None else Tensor.of(
            ops_of(self.running_mean).xp.full_like(self.running_mean, value))

    def _running(self):
        variance = self.running_mean if self.mean_only else self.running_variance
        return ops_of(self.running_mean).xp.concatenate([self.running_mean, variance])

    def _follow(self, statistics, n):
        factor = n / max(1, n - 1) if self.variance == "unbiased" else 1
        keep, running = self._share_of_what_was(), self.running_variance
        if running is not None and isinstance(running, np.ndarray) and not statistics[1].max() < LARGE:
            variance = self._large_variance(keep, statistics[1:], factor)
        elif running is not None:
            variance = keep * running + (1 - keep) * (statistics[1:] * factor)
        self.running_mean[...] = keep * self.running_mean + (1 - keep) * statistics[:1]
        if running is not None:
            running[...] = variance if isinstance(running, np.ndarray) else without_infinity(
                ops_of(running).xp, variance)
        if self.running_steps is not None:
            self.running_steps += self.running_steps < STEPS             # beyond that float32 could not count on

    def _large_variance(self, keep, batch, factor):
        # The batch's may be beyond what follows, and NaN stays NaN.
        followed = keep * self.running_variance + (1 - keep) * (batch.astype(np.longdouble) * factor)
        held = self.running_variance.dtype
        if (followed > np.finfo(held).max).any():
            raise FloatingPointError(f"{self}: expected a running variance that {held} holds, up to "
                                     f"{np.finfo(held).max:.3g}, got {np.nanmax(followed)!s}; scale the features")
        return followed

    def _share_of_what_was(self):
        if self.running_steps is None:
            return self.momentum
        if isinstance(self.running_steps, np.ndarray):
            steps = float(self.running_steps[0])
            return min(self.momentum, (1 + steps) / (10 + steps))
        begun = (1 + self.running_steps) / (10 + self.running_steps)     # a GPU is not waited for
        return ops_of(begun).xp.minimum(begun, self.momentum)

    def notation(self):
        """Return "BN", with a slope such as "BN-LReLU0.1"; "" where the notation has no word for it."""
        if self.mean_only or self.bias is None:
            return ""
        return "BN" if self.slope is None else f"BN-LReLU{self.slope}"



class GroupNormalization(Layer):
    """Normalise groups of neighbouring channels: within each row, or over the active rows of each sample.

    Within a row the mean and the variance are the row's own, so that the map is the same for active sites and the
    ground state. A sample has a mean and a variance of its own, and so would its background: a ground state that all
    samples share cannot follow, and the input must have `ground=None`.

    Args:
        groups: number of groups.
        channels: number of channels; within a row at least two a group.
        eps: added to the variance.
        over: "site": the channels of a group of one row; "sample": those of all active rows of a sample (as torchsparse
            and SparseConvNet).

    Attributes: weight, bias: Tensors (1, c).

    Raises:
        ShapeError: at the call, for other channels; over samples, for an input with a ground state, for plain rows.

    Source: Wu and He 2018, arXiv:1803.08494.
    """

    def __init__(self, groups, channels, *, eps=1e-5, over="site"):
        self._begin(groups, channels, eps, over)

    def _begin(self, groups, channels, eps, over):
        groups, channels = checked_counts(self, groups=groups, channels=channels)
        _check_eps(self, eps)
        if not is_one_of(over, ("site", "sample")):
            raise ShapeError(f"{type(self).__name__}: over {over!r} came; 'site' or 'sample' fit")
        if channels % groups or (over == "site" and channels == groups):
            raise ShapeError(f"{type(self).__name__}: {channels} channels in groups of {channels / groups:.3g} came; "
                             "whole numbers of channels fit, at least two: one alone is its own mean")
        self.groups, self.channels, self.eps, self.over = groups, channels, eps, over
        self.weight, self.bias = ones((1, channels)), zeros((1, channels))

    def __call__(self, x):
        return on_rows(self._rows, x) if self.over == "site" else _by_sample(self, x)

    def _rows(self, x):
        checked_rows(self, x, self.channels)
        return group_norm(x, self.weight, self.bias, self.groups, self.eps)


class LayerNormalization(GroupNormalization):
    """Normalise all channels together: within each row, or over the active rows of each sample.

    Args:
        channels: number of channels, within a row at least 2.
        eps, over: as for GroupNormalization, of which this is the one with one group.

    Attributes: weight, bias: Tensors (1, c).

    Source: Ba et al. 2016, arXiv:1607.06450.
    """

    def __init__(self, channels, *, eps=1e-5, over="site"):
        self._begin(1, channels, eps, over)


class InstanceNormalization(Layer):
    """Normalise each channel over the active rows of each sample.

    Each sample has a mean and a variance of its own, and so would its background: a ground state that all samples share
    cannot follow. The input must have `ground=None`.

    Args:
        channels: number of channels.
        eps: added to the variance.

    Attributes: weight, bias: Tensors (1, c).

    Raises:
        ShapeError: at the call, for an input with a ground state, for plain rows, for other channels.

    Source: Ulyanov et al. 2016, arXiv:1607.08022.
    """

    def __init__(self, channels, *, eps=1e-5):
        channels, = checked_counts(self, channels=channels)
        _check_eps(self, eps)
        self.channels, self.groups, self.eps = channels, channels, eps
        self.weight, self.bias = ones((1, channels)), zeros((1, channels))

    def __call__(self, x):
        return _by_sample(self, x)


def _by_sample(layer, x):
    if not isinstance(x, SparseTensor):
        raise ShapeError(f"{layer}: a {type(x).__name__} came; a SparseTensor fits, whose grid tells the samples: "
                         "use LayerNormalization on plain rows")
    if x.ground is not None:
        raise ShapeError(f"{layer}: an input with a ground state came, which samples with statistics of their own "
                         "cannot share; make the input with ground=None, or use BatchNormalization or "
                         "LayerNormalization")
    checked_channels(layer, x.channels, layer.channels)
    return x.with_features(sample_norm(x.features, layer.weight, layer.bias, x.grid.batch_starts, layer.groups,
                                       layer.eps))


def _check_eps(layer, eps):
    if not is_real(eps) or not 0 < eps < np.inf:
        raise ShapeError(f"{type(layer).__name__}: eps {eps!r} came; a number above 0 fits")
