"""Dropout: whole channels, the same for all sites of a batch, which keeps the ground state consistent; or elements."""


import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_flags, generator, is_one_of, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor, dropout
from spconv_cy.layers.activation import on_rows
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.role import Role
from spconv_cy.tensor import SparseTensor


class Dropout(Layer):
    """Drop channels batch-wise, the same for all rows; or elements. In evaluation nothing is dropped.

    In a `Sequential` the channels that are kept are what is multiplied: the convolutions and networks in network
    before and after take the sub-matrices of their weights, so that training with dropout takes less time.

    Args:
        p: share that is dropped, 0 <= p < 1.
        kind: "channels": floor(c * (1 - p)) channels, one at least, drawn at each call, are kept for all rows;
            "bernoulli": each channel is dropped by itself with probability p; "elements": each number of each row by
            itself, for which the input must have `ground=None`.
        inverted: in training, what is kept is divided by 1 - p, and evaluation changes nothing (torch); else
            evaluation multiplies by 1 - p (Graham's networks, SparseConvNet).
        rng: seed or numpy Generator; its state is part of a checkpoint.

    With whole channels the ground state goes through the same map.

    Raises:
        ShapeError: at the call, for elements of an input with a ground state.

    Source: Graham, Reizenstein and Robinson 2015, "Efficient batchwise dropout training using submatrices"; elements:
    Srivastava et al. 2014.
    """

    def __init__(self, p=0.5, *, kind="channels", inverted=False, rng=None):
        if not is_real(p) or not 0 <= p < 1:
            raise ShapeError(f"Dropout: p {p!r} came; 0 <= p < 1 fits")
        if not is_one_of(kind, ("channels", "bernoulli", "elements")):
            raise ShapeError(f"Dropout: kind {kind!r} came; 'channels', 'bernoulli' or 'elements' fit")
        checked_flags("Dropout", inverted=inverted)
        self.p, self.kind, self.inverted = p, kind, inverted
        self.rng = generator("Dropout", rng)

    def __call__(self, x):
        if self.p == 0:
            return x
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        rows = x.features if isinstance(x, SparseTensor) else x
        if rows.data.ndim != 2:
            raise ShapeError(f"{self}: shape {rows.shape} came; rows (n, c) fit")
        if self.kind == "elements" and isinstance(x, SparseTensor) and x.ground is not None:
            raise ShapeError(f"{self}: an input with a ground state came, which elements dropped site by site cannot "
                             "share; make the input with ground=None, or drop whole channels: kind='channels'")
        if self.inverted and not self.training:
            return x
        mask = ops_of(rows.data).asarray(self._mask(rows.shape).astype(rows.dtype), rows.dtype)
        return on_rows(lambda part: dropout(part, mask), x)

    @property
    def role(self) -> Role:
        """Return what the plan of a network may assume: whether whole channels are dropped in training."""
        return Role.DROPS if self.p > 0 and self.kind != "elements" else Role.NONE

    @property
    def factor(self):
        """What the numbers that are kept are multiplied by in training."""
        return 1 / (1 - self.p) if self.inverted else 1.0

    def draw(self, channels):
        """Draw the channels that are kept, whole numbers that ascend."""
        if self.kind == "bernoulli":
            return np.flatnonzero(self.rng.random(channels) >= self.p)
        kept = min(channels, max(1, int(channels * (1 - self.p))))
        return np.sort(self.rng.choice(channels, kept, replace=False))

    def _mask(self, shape):
        if not self.training:
            return np.full((1, shape[1]), 1 - self.p)
        if self.kind == "elements":
            return (self.rng.random(shape) >= self.p) * self.factor
        mask = np.zeros((1, shape[1]))
        mask[0, self.draw(shape[1])] = self.factor
        return mask

    def notation(self):
        """Return such as "D0.5"; "" where the notation has no word for it."""
        return f"D{self.p}" if self.kind == "channels" and not self.inverted else ""
