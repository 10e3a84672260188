"""Index learning: every training item is a class of its own, and the rows that tell them apart are what is learnt."""


from spconv_cy.checks import as_array
from spconv_cy.errors import ShapeError
from spconv_cy.functional.contrast import index_loss, unit_rows
from spconv_cy.functional.dense import as_tensor
from spconv_cy.functional.initial import zeros
from spconv_cy.functional.sparse import gather
from spconv_cy.layers.layer import Layer, checked_counts


class Exemplars(Layer):
    """The index layer at the end of a network: a column for every item, no bias, zero at the start.

    Rows pass through it as they are: they are the embedding. The columns serve `loss` alone. Each is seen once an
    epoch: train them by plain SGD, and what is below by what suits it,
    `CombinedOptimizer(Nesterov(trunk.parameters(), 0.01), SGD([exemplars.columns], 1.0))`.
    A checkpoint keeps them; what is saved afterwards is the trunk.

    Args:
        items: how many there are.
        channels: of the rows.
        unit: compare directions, the rows at length 1. Without it (Graham's definition) rows and columns make each
            other longer, which a small rate must hold back.

    Source: Graham's index learning on CIFAR-10, 2015.

    >>> import numpy as np
    >>> from spconv_cy.autograd import Tensor
    >>> exemplars, rows = Exemplars(items=5, channels=2), Tensor(np.ones((2, 2)))
    >>> exemplars(rows) is rows, round(float(exemplars.loss(rows, [4, 0]).data), 4)
    (True, 0.6931)
    """

    def __init__(self, items, channels, *, unit=False):
        items, channels = checked_counts(self, items=items, channels=channels)
        self.unit = unit
        self.columns = zeros((items, channels))

    def __call__(self, x):
        """Return what came."""
        return x

    def loss(self, y, items):
        """Return the index loss () of rows (b, channels) of the items (b,) or (b, 1), whole numbers, none twice."""
        items, y = as_array("Exemplars", items).reshape(-1), as_tensor(y)
        if items.dtype.kind not in "iu" or len(items) != len(y) or (
                len(items) and not 0 <= items.min() <= items.max() < len(self.columns)):
            raise ShapeError(f"Exemplars: items {items.shape} of {items.dtype} came for {len(y)} rows; as many whole "
                             f"numbers from 0 to {len(self.columns) - 1} fit")
        return index_loss(unit_rows(y) if self.unit else y, gather(self.columns, items))
