"""Generalised-mean pooling: between the average and the maximum of a sample, by an exponent that is learnt."""

from __future__ import annotations

from spconv_cy.checks import is_real
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.dense import at_least
from spconv_cy.functional.initial import filled
from spconv_cy.functional.sparse import global_pool
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.layer import Layer, WorkingMemory
from spconv_cy.tensor import SparseTensor, Tensor


class GeneralizedMeanPooling(Layer):
    """Reduce each sample to one row, the generalised mean of its active sites (GeM): SparseTensor -> Tensor (b, c).

    A channel becomes mean(max(x, eps)^p)^(1/p): the average for p = 1, close to the maximum for a large p. A sample
    without active sites gives max(ground, eps), or eps without a ground state.

    Args:
        p: initial value of the exponent, above 0. It is learnt; `layer.freeze()` keeps it.
        eps: smaller numbers count as eps, above 0.

    Attributes:
        p: Tensor (1, 1), the exponent.

    Source: Radenovic et al. 2018, arXiv:1711.02512.

    >>> x = SparseTensor.from_sites([[0, 1], [0, 2]], [[3.0], [4.0]], ground=None)
    >>> f"{GeneralizedMeanPooling(2.0)(x).item():.3f}"                   # sqrt((9 + 16) / 2)
    '3.536'
    """

    working_memory = WorkingMemory(given=2.1)

    def __init__(self, p: float = 3.0, *, eps: float = 1e-6) -> None:
        for name, value in (("p", p), ("eps", eps)):
            if not is_real(value) or not 0 < value < float("inf"):
                raise ShapeError(expected("GeneralizedMeanPooling", f"{name} to be a number above 0", f"{value!r}"))
        self.eps = float(eps)
        self.p = filled((1, 1), float(p))

    def __call__(self, x: SparseTensor) -> Tensor:
        """Return one row for each sample, a Tensor (b, c)."""
        checked_sparse(self, x)
        ground = Tensor.of(x.features.data[:0].sum(0, keepdims=True)) if x.ground is None else x.ground
        features, ground = (at_least(rows, self.eps) ** self.p for rows in (x.features, ground))
        return global_pool(features, ground, x.grid.batch_starts) ** (1 / self.p)
