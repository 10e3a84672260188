"""Normalisation of rows."""

import numpy as np

from spconv_cy.backend.switch import current, ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor
from spconv_cy.functional.initial import ones, zeros
from spconv_cy.functional.normalization import batch_norm, group_norm, instance_norm
from spconv_cy.layers.activation import on_rows
from spconv_cy.layers.layer import Activated, Layer, checked_channels, checked_counts, checked_rows
from spconv_cy.tensor import SparseTensor


class BatchNormalization(Activated):
    """Normalise each channel over the active rows of the batch; the ground state goes through the same map.

    Args:
        channels: number of channels.
        eps: added to the variance.
        momentum: running = momentum * running + (1 - momentum) * batch.

    In training the batch's own mean and biased variance are used, and the running ones (of the unbiased variance)
    follow; in evaluation, or frozen, the running ones are used. A batch without rows changes nothing.

    Attributes: weight, bias: Tensors (1, c); running_mean, running_variance: arrays (1, c).

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; defaults of SparseConvNet.
    """

    def __init__(self, channels, *, eps=1e-4, momentum=0.99):
        checked_counts(self, channels=channels)
        if not 0 <= eps < np.inf or not 0 <= momentum <= 1:
            raise ShapeError(f"BatchNormalization: eps {eps!r} and momentum {momentum!r} came; a number from 0 up and "
                             "one from 0 to 1 fit")
        self.channels, self.eps, self.momentum = channels, eps, momentum
        self.weight, self.bias = ones((1, channels)), zeros((1, channels))
        self.running_mean = current().asarray(np.zeros((1, channels)))
        self.running_variance = current().asarray(np.ones((1, channels)))

    def activated(self, x, slope=None):
        """Normalise, and apply a leaky ReLU of that slope unless it is None."""
        sparse = isinstance(x, SparseTensor)
        rows = x.features if sparse else as_tensor(x)
        checked_rows(self, rows, self.channels)
        follows = self.training and not self.frozen and len(rows)
        running = None
        if not follows:
            running = ops_of(self.running_mean).xp.concatenate([self.running_mean, self.running_variance])
        y, ground, used = batch_norm(rows, x.ground if sparse else None, self.weight, self.bias, running, eps=self.eps,
                                     slope=1.0 if slope is None else slope)
        if follows:
            self._follow(used, len(rows))
        return x.with_features(y, ground) if sparse else y

    def _follow(self, statistics, n):
        ops = ops_of(self.running_mean, statistics)
        keep, unbiased = self.momentum, n / max(1, n - 1)
        for running, batch in ((self.running_mean, statistics[0:1]),
                               (self.running_variance, statistics[1:2] * unbiased)):
            running[...] = ops.asarray(keep * running + (1 - keep) * batch, running.dtype)

    def notation(self):
        """Return "BN"."""
        return "BN"


class GroupNormalization(Layer):
    """Normalise each row within groups of neighbouring channels; the ground state goes through the same map.

    Each row has a mean and a variance of its own, so that the map is the same for active sites and the ground state.

    Args:
        groups: number of groups.
        channels: number of channels, at least two a group.
        eps: added to the variance.

    Attributes: weight, bias: Tensors (1, c).

    Source: Wu and He 2018, arXiv:1803.08494, with statistics of one site instead of all.
    """

    def __init__(self, groups, channels, *, eps=1e-5):
        self._begin(groups, channels, eps)

    def _begin(self, groups, channels, eps):
        checked_counts(self, groups=groups, channels=channels)
        _check_eps(self, eps)
        if channels % groups or channels == groups:
            raise ShapeError(f"{type(self).__name__}: {channels} channels in groups of {channels / groups:.3g} came; "
                             "whole numbers of channels fit, at least two: one alone is its own mean")
        self.groups, self.channels, self.eps = groups, channels, eps
        self.weight, self.bias = ones((1, channels)), zeros((1, channels))

    def __call__(self, x):
        return on_rows(self._rows, x)

    def _rows(self, x):
        checked_rows(self, x, self.channels)
        return group_norm(x, self.weight, self.bias, self.groups, self.eps)


class LayerNormalization(GroupNormalization):
    """Normalise each row over all its channels; the ground state goes through the same map.

    Args:
        channels: number of channels, at least 2.
        eps: added to the variance.

    Attributes: weight, bias: Tensors (1, c).

    Source: Ba et al. 2016, arXiv:1607.06450.
    """

    def __init__(self, channels, *, eps=1e-5):
        self._begin(1, channels, eps)


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
        checked_counts(self, channels=channels)
        _check_eps(self, eps)
        self.channels, self.eps = channels, eps
        self.weight, self.bias = ones((1, channels)), zeros((1, channels))

    def __call__(self, x):
        if not isinstance(x, SparseTensor):
            raise ShapeError(f"{self}: a {type(x).__name__} came; a SparseTensor fits, whose grid tells the samples: "
                             "use LayerNormalization on plain rows")
        if x.ground is not None:
            raise ShapeError(f"{self}: an input with a ground state came, which samples with statistics of their own "
                             "cannot share; make the input with ground=None, or use BatchNormalization or "
                             "LayerNormalization")
        checked_channels(self, x.channels, self.channels)
        return x.with_features(instance_norm(x.features, self.weight, self.bias, x.grid.batch_starts, self.eps))


def _check_eps(layer, eps):
    if not isinstance(eps, (int, float)) or not 0 < eps < np.inf:
        raise ShapeError(f"{type(layer).__name__}: eps {eps!r} came; a number above 0 fits")
