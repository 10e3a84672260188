"""Dropout of whole channels, the same for all sites of a batch so that the ground state fits; or of elements."""

from __future__ import annotations

from typing import overload

import numpy as np

from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import checked_flags, generator, is_one_of, is_real
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.dense import as_tensor, dropout
from spconv_cy.layers.layer import Layer, Role
from spconv_cy.layers.rows import on_rows
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Array, ArrayLike, Seed


class Dropout(Layer):
    """Drop channels, the same for all rows of a batch, or elements; in evaluation nothing is dropped.

    In a `Sequential` only the kept channels are computed: the convolutions and networks in network before and after use
    sub-matrices of their weights, so that training with dropout takes less time.

    Args:
        p: share of the channels that is dropped, 0 <= p < 1.
        kind: "channels": floor(c * (1 - p)) channels, at least one, drawn at each call, are kept for all rows;
            "bernoulli": each channel is dropped independently with probability p; "elements": each number of each row
            is dropped independently, for which the input must have `ground=None`.
        inverted: if True, the kept numbers are divided by 1 - p in training, and evaluation changes nothing (torch);
            otherwise evaluation multiplies by 1 - p (Graham's networks, SparseConvNet).
        rng: seed or numpy Generator; its state is part of a checkpoint.

    Dropout of channels applies the same map to the ground state.

    Raises:
        ShapeError: at the call, elements of an input with a ground state.

    Source: Graham, Reizenstein and Robinson 2015, "Efficient batchwise dropout training using submatrices"; elements:
    Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5, *, kind: str = "channels", inverted: bool = False, rng: Seed = None) -> None:
        if not is_real(p) or not 0 <= p < 1:
            raise ShapeError(expected("Dropout", "p to be a number from 0 to below 1", f"{p!r}"))
        if not is_one_of(kind, ("channels", "bernoulli", "elements")):
            raise ShapeError(expected("Dropout", "kind to be 'channels', 'bernoulli' or 'elements'", f"{kind!r}"))
        checked_flags("Dropout", inverted=inverted)
        self.p, self.kind, self.inverted = p, kind, inverted
        self.rng = generator("Dropout", rng)

    @overload
    def __call__(self, x: SparseTensor) -> SparseTensor: ...

    @overload
    def __call__(self, x: Tensor | ArrayLike) -> Tensor: ...

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Drop channels or elements of a SparseTensor, or of rows (n, c)."""
        if self.p == 0:
            return x  # type: ignore[return-value]
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        rows = x.features if isinstance(x, SparseTensor) else x
        if rows.data.ndim != 2:
            raise ShapeError(expected(f"{self}", "rows of shape (n, c)", f"shape {rows.shape}"))
        if self.kind == "elements" and isinstance(x, SparseTensor) and x.ground is not None:
            raise ShapeError(expected(f"{self}", "an input with ground=None (elements are dropped site by site)",
                                      "one with a ground state", "make the input with ground=None, or drop whole "
                                      "channels: kind='channels'"))
        if self.inverted and not self.training:
            return x
        mask = ops_of(rows.data).asarray(self._mask(rows.shape).astype(rows.dtype), rows.dtype)
        return on_rows(lambda part: dropout(part, mask), x)

    @property
    def role(self) -> Role:  # type: ignore[override]
        """Return what the plan of a network may assume: whether whole channels are dropped in training."""
        return Role.DROPS if self.p > 0 and self.kind != "elements" else Role.NONE

    @property
    def factor(self) -> float:
        """Return the factor of the kept numbers in training."""
        return 1 / (1 - self.p) if self.inverted else 1.0

    def draw(self, channels: int) -> Array:
        """Draw the kept channels: integers in ascending order."""
        if self.kind == "bernoulli":
            return np.flatnonzero(self.rng.random(channels) >= self.p)
        kept = min(channels, max(1, int(channels * (1 - self.p))))
        return np.sort(self.rng.choice(channels, kept, replace=False))

    def _mask(self, shape: tuple[int, ...]) -> Array:
        if not self.training:
            return np.full((1, shape[1]), 1 - self.p)
        if self.kind == "elements":
            return (self.rng.random(shape) >= self.p) * self.factor
        mask = np.zeros((1, shape[1]))
        mask[0, self.draw(shape[1])] = self.factor
        return mask

    def notation(self) -> str:
        """Return the notation, such as "D0.5"; "" if it cannot express the layer."""
        return f"D{self.p}" if self.kind == "channels" and not self.inverted else ""
