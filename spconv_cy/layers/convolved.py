"""A convolution and what follows it, computed in one pass over memory where that is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spconv_cy.functional.sparse import conv, conv_after
from spconv_cy.layers.rows import added
from spconv_cy.sites import Rulebook
from spconv_cy.tensor import Tensor
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.layers.normalization import BatchNormalization


def convolved(x: Tensor, w: Tensor, rulebook: Rulebook, bias: Tensor | None, ground: Tensor | None,
              slope: float | None, norm: BatchNormalization | None, residual: Any) -> tuple[Tensor, Tensor | None]:
    """Return the rows and the ground state of a convolution, normalised, plus a residual, through a leaky ReLU.

    Args:
        x, w, rulebook, bias: as for conv.
        ground: Tensor (1, o), that of the convolution, or None.
        slope: number or None.
        norm: BatchNormalization, or None. In training the moments of the rows are taken while these are computed. If it
            is a constant map, that is applied there too.
        residual: SparseTensor on the same sites, or Tensor; or None.
    """
    rows = residual if residual is None or isinstance(residual, Tensor) else residual.features
    row = getattr(residual, "ground", None)
    if norm is None:
        y = conv_after(x, w, rulebook, bias, rows, slope=slope)
        return y, None if ground is None else added(ground, row, slope)
    constant = norm.map_rows()
    if constant is not None:
        y = conv_after(x, w, rulebook, bias, rows, slope=_product(norm.slope, slope), rows=constant)
        return y, None if ground is None else norm.normalised(ground, None, slope, row)[0]
    found: list[Array] = []
    y = conv_after(x, w, rulebook, bias, None, found=found) if norm.follows else conv(x, w, rulebook, bias)
    return norm.normalised(y, ground, slope, rows, row, *found)


def _product(own: float | None, slope: float | None) -> float | None:
    return slope if own is None else own if slope is None else own * slope
