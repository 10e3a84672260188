"""Layers that map rows: the features and the ground state of a SparseTensor alike, or a plain Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from spconv_cy.errors import expected
from spconv_cy.functional.dense import leaky_relu
from spconv_cy.layers.layer import Layer
from spconv_cy.tensor import SparseTensor, Tensor, as_tensor
from spconv_cy.types import ArrayLike


@overload
def on_rows(function: Callable[[Tensor], Tensor], x: SparseTensor) -> SparseTensor: ...


@overload
def on_rows(function: Callable[[Tensor], Tensor], x: Tensor | ArrayLike) -> Tensor: ...


def on_rows(function: Callable[[Tensor], Tensor], x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
    """Apply a function of Tensors to the features and the ground state of a SparseTensor, or to plain rows."""
    if not isinstance(x, SparseTensor):
        return function(as_tensor(x))
    return x.with_features(function(x.features), None if x.ground is None else function(x.ground))


def can_add(residual: Any, like: Any, shape: tuple[int, ...], grid: Any = None) -> bool:
    """Return True if rows of that shape can be added to a residual without a change of sites or channels.

    Args:
        residual: SparseTensor or Tensor.
        like: the input of the layer that adds, which has the kind and the ground state of its output.
        shape: of the output's features.
        grid: of the output; None: that of `like`.
    """
    if residual.shape != shape or not isinstance(like, SparseTensor):
        return residual.shape == shape and isinstance(residual, Tensor)
    return (isinstance(residual, SparseTensor) and residual.grid is (like.grid if grid is None else grid)
            and (residual.ground is None) == (like.ground is None))


def added(y: Any, residual: Any, slope: float | None) -> Any:
    """Return the sum of two tensors through a leaky ReLU of that slope; None: no residual, no leaky ReLU."""
    total = y if residual is None else residual + y
    return total if slope is None else on_rows(lambda rows: leaky_relu(rows, slope), total)


class RowLayer(Layer):
    """Base of layers that compute each row by itself. A subclass defines `rows`, a function of a Tensor (n, c)."""

    @overload
    def __call__(self, x: SparseTensor) -> SparseTensor: ...

    @overload
    def __call__(self, x: Tensor | ArrayLike) -> Tensor: ...

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Apply the layer to a SparseTensor, or to rows (n, c)."""
        return on_rows(self.rows, x)

    def rows(self, x: Tensor) -> Tensor:
        """Return the result for rows (n, c)."""
        raise NotImplementedError(expected(type(self).__name__, "a method rows(self, x)", "none"))
