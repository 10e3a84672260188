"""Dropout that keeps the ground state consistent: whole channels, the same for all sites of a batch."""

from numbers import Real

import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor, dropout
from spconv_cy.layers.activation import on_rows
from spconv_cy.layers.layer import Layer
from spconv_cy.tensor import SparseTensor


class Dropout(Layer):
    """Drop channels batch-wise: in training floor(c * (1 - p)) channels, drawn at each call, are kept for all rows.

    In evaluation all channels are multiplied by 1 - p. The ground state goes through the same map.

    Args:
        p: share that is dropped, 0 <= p < 1.
        rng: seed or numpy Generator; its state is part of a checkpoint.

    Source: Graham, Reizenstein and Robinson 2015, "Efficient batchwise dropout training using submatrices".
    """

    def __init__(self, p=0.5, *, rng=None):
        if not isinstance(p, Real) or not 0 <= p < 1:
            raise ShapeError(f"Dropout: p {p!r} came; 0 <= p < 1 fits")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def __call__(self, x):
        if self.p == 0:
            return x
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        data = x.features.data if isinstance(x, SparseTensor) else x.data
        if data.ndim != 2:
            raise ShapeError(f"{self}: shape {data.shape} came; rows (n, c) fit")
        channels = data.shape[1]
        mask = np.full((1, channels), 1 - self.p)
        if self.training:
            mask = np.zeros((1, channels))
            kept = max(1, int(channels * (1 - self.p)))
            mask[0, self.rng.choice(channels, kept, replace=False)] = 1
        mask = ops_of(data).asarray(mask, data.dtype)
        return on_rows(lambda rows: dropout(rows, mask), x)

    def notation(self):
        """Return such as "D0.5"."""
        return f"D{self.p}"
