"""Several scales summed at the sites of the finest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from spconv_cy.checks import is_integer, kind_of
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.layers.container import branch, checked_layers
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import INT32_MAX
from spconv_cy.tensor import SparseTensor


class Pyramid(Layer):
    """Sum the input and the outputs of all levels, at the sites of the finest lattice.

    Each level is applied to the output of the one before. The sites of level i, counted from 1, are multiplied by
    factor^i. Features at the same site are added; a site of only one scale is kept.

    Args:
        levels: Layers of stride `factor` that keep the number of channels.
        factor: a whole number from 2 to 2**31 - 1.

    Raises:
        TypeError: at the call, an input or a level's result without sites.
        ShapeError: at the call, levels of other channels, or a tensor with a ground state.
        GridError: a level whose sites, times its factor, lie outside the field: its stride is not `factor`.

    Source: Chen et al. 2023, arXiv:2303.11301 (VoxelNeXt), section 3.1.

    >>> from spconv_cy.layers.pooling import MaxPooling
    >>> x = SparseTensor.from_sites([[0, 4], [0, 7]], [[1.0], [2.0]], ground=None)
    >>> y = Pyramid(MaxPooling(1, 2))(x)
    >>> y.sites[:, 1].tolist(), y.features.data[:, 0].tolist()
    ([4, 6, 7], [2.0, 2.0, 2.0])
    """

    def __init__(self, *levels: Layer, factor: int = 2) -> None:
        if not is_integer(factor) or not 2 <= factor <= INT32_MAX:
            raise ShapeError(expected("Pyramid", f"factor to be a whole number from 2 to {INT32_MAX}", f"{factor!r}"))
        self.levels, self.factor = checked_layers(self, levels), factor

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Apply all levels and sum them."""
        return self.summed(x, [partial(branch, self, f"levels[{i}]", level) for i, level in enumerate(self.levels)], x)

    def summed(self, x: SparseTensor, levels: Sequence[Callable[..., SparseTensor]],
               *more: SparseTensor) -> SparseTensor:
        """Return the sum of x and of what `levels` give, each called with the result of the one before and `more`."""
        checked_sparse(self, x)
        if x.ground is not None:
            raise ShapeError(expected("Pyramid", "a tensor with ground=None (scales have different ground states)",
                                      f"{x} with a ground state", "begin with ground=None"))
        total = scale = x
        for power, level in enumerate(levels, 1):
            scale = level(scale, *more)
            if not isinstance(scale, SparseTensor):
                raise TypeError(expected(f"{self}", f"a SparseTensor from level {power}", kind_of(scale)))
            total = total.add(SparseTensor(scale.features, self.spread(scale.grid, power, x.grid)), how="outer")
        return total

    def spread(self, grid: Grid, power: int, finest: Grid) -> Grid:
        """Return the sites of level `power`, counted from 1, on the lattice of the finest."""
        apart, farthest = self.factor**power, int(np.abs(grid.sites[:, 1:].astype(np.int64)).max(initial=0))
        if apart * farthest > INT32_MAX:
            raise GridError(expected(f"{self}", "sites within the int32 range on the finest lattice",
                                     f"{farthest} times {apart} at level {power}",
                                     "use fewer levels or a smaller factor"))
        sites = grid.sites * np.array([1] + [min(apart, INT32_MAX)] * finest.d, np.int64)
        return Grid.from_sites(sites, finest.size, finest.samples, finest.lattice)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the levels and the factor as they are now."""
        if type(self).__init__ is not Pyramid.__init__:
            return super().arguments()
        return tuple(self.levels), {"factor": self.factor}
