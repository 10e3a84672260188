"""Index learning: every training item is a class of its own, and the network learns rows that tell the items apart."""

from __future__ import annotations

from spconv_cy.checks import as_array
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.contrast import index_loss, unit_rows
from spconv_cy.functional.initial import zeros
from spconv_cy.functional.sparse import gather
from spconv_cy.layers.inputs import checked_counts
from spconv_cy.layers.layer import Layer
from spconv_cy.tensor import Tensor, as_tensor
from spconv_cy.types import ArrayLike


class Exemplars(Layer):
    """The index layer at the end of a network: one column for each item, without bias, zero at the start.

    Rows pass through it unchanged: they are the embedding. Only `loss` uses the columns. Each column gets a gradient
    once an epoch, so train the columns by plain SGD, and the network below by the optimiser that suits it:
    `CombinedOptimizer(Nesterov(trunk.parameters(), 0.01), SGD([exemplars.columns], 1.0))`.
    A checkpoint contains the columns. After training, save the network without this layer.

    Args:
        items: number of items.
        channels: number of channels of the rows.
        unit: scale the rows to length 1, so that only directions are compared. Without it (Graham's definition) the
            lengths of rows and columns grow together, so use a small rate.

    Source: Graham's index learning on CIFAR-10, 2015.

    >>> import numpy as np
    >>> from spconv_cy.tensor import Tensor
    >>> exemplars, rows = Exemplars(items=5, channels=2), Tensor(np.ones((2, 2)))
    >>> exemplars(rows) is rows, round(float(exemplars.loss(rows, [4, 0]).data), 4)
    (True, 0.6931)
    """

    def __init__(self, items: int, channels: int, *, unit: bool = False) -> None:
        items, channels = checked_counts(self, items=items, channels=channels)
        self.unit = unit
        self.columns = zeros((items, channels))

    def __call__(self, x: Tensor) -> Tensor:
        """Return x unchanged."""
        return x

    def loss(self, y: Tensor | ArrayLike, items: ArrayLike) -> Tensor:
        """Return the index loss, a Tensor of shape ().

        Args:
            y: rows (b, channels).
            items: (b,) or (b, 1) item numbers of the rows, all different.

        Raises:
            ShapeError: another number of items, or numbers that are not items.
        """
        numbers, rows = as_array("Exemplars", items).reshape(-1), as_tensor(y)
        if numbers.dtype.kind not in "iu" or len(numbers) != len(rows) or (
                len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self.columns)):
            raise ShapeError(expected("Exemplars", f"{len(rows)} items, whole numbers from 0 to "
                                      f"{len(self.columns) - 1}", f"items {numbers.shape} of {numbers.dtype}"))
        return index_loss(unit_rows(rows) if self.unit else rows, gather(self.columns, numbers))
