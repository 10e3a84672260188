"""Normalisation of rows."""

import numpy as np

from spconv_cy.backend.switch import current, ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor, batch_norm
from spconv_cy.functional.initial import ones, zeros
from spconv_cy.layers.layer import Layer, checked_channels, checked_counts
from spconv_cy.tensor import SparseTensor


class BatchNormalization(Layer):
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

    def __call__(self, x):
        sparse = isinstance(x, SparseTensor)
        rows = x.features if sparse else as_tensor(x)
        if rows.data.ndim != 2:
            raise ShapeError(f"{self}: shape {rows.shape} came; rows (n, {self.channels}) fit")
        checked_channels(self, rows.shape[1], self.channels)
        follows = self.training and not self.frozen and len(rows)
        running = None
        if not follows:
            running = ops_of(self.running_mean).xp.concatenate([self.running_mean, self.running_variance])
        y, ground, used = batch_norm(rows, x.ground if sparse else None, self.weight, self.bias, running, eps=self.eps)
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
