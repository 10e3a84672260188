"""The tensors between the layers of a network, for pictures of its active sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from spconv_cy.layers.container import Sequential


def tensors_by_grid(net: Sequential, x: SparseTensor) -> list[SparseTensor]:
    """Return the last tensor on each grid that x passes through in a Sequential, that of x first.

    Layers that keep the sites replace the tensor; layers that move them, such as convolutions and pooling, add one. The
    list ends before the first layer that does not return a SparseTensor.
    """
    tensors = [x]
    for layer in net.layers:
        y = layer(tensors[-1])
        if not isinstance(y, SparseTensor):
            break
        if y.grid is not tensors[-1].grid:
            tensors.append(y)
        else:
            tensors[-1] = y
    return tensors
