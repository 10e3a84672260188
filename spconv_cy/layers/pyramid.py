"""Several scales summed at the sites of the finest."""

import numpy as np

from spconv_cy.errors import GridError, ShapeError
from spconv_cy.layers.container import branch, checked_layers
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.lattice import INT32_MAX, is_whole
from spconv_cy.tensor import SparseTensor


class Pyramid(Layer):
    """Sum the input and what each level in turn makes of the one before, at the sites of the finest lattice.

    The result of level i, counted from 1, stands at factor^i times its sites; where several scales meet they are added,
    where one stands alone it is a new site.

    Args:
        levels: Layers of stride `factor` that keep the number of channels, each fed by the one before.
        factor: a whole number from 2 to 2**31 - 1.

    Raises:
        ShapeError: at the call, levels of other channels; a tensor with a ground state, which scales do not share.
        GridError: a level whose sites, times its factor, lie outside the field: its stride is another.

    Source: Chen et al. 2023, arXiv:2303.11301 (VoxelNeXt), section 3.1.

    >>> from spconv_cy.layers.pooling import MaxPooling
    >>> x = SparseTensor.from_sites([[0, 4], [0, 7]], [[1.0], [2.0]], ground=None)
    >>> y = Pyramid(MaxPooling(1, 2))(x)
    >>> y.sites[:, 1].tolist(), y.features.data[:, 0].tolist()
    ([4, 6, 7], [2.0, 2.0, 2.0])
    """

    def __init__(self, *levels, factor=2):
        if not is_whole(factor) or not 2 <= factor <= INT32_MAX:
            raise ShapeError(f"Pyramid: factor {factor!r} came; a whole number from 2 to {INT32_MAX} fits")
        self.levels, self.factor = checked_layers(self, levels), factor

    def __call__(self, x):
        checked_sparse(self, x)
        if x.ground is not None:
            raise ShapeError(f"Pyramid: {x} came with a ground state, which several scales do not share; begin with "
                             "ground=None")
        total = scale = x
        for power, level in enumerate(self.levels, 1):
            scale = branch(self, f"levels[{power - 1}]", level, scale, x)
            total = total.add(self._spread(scale, power, x.grid), how="outer")
        return total

    def _spread(self, scale, power, finest):
        apart, farthest = self.factor**power, int(np.abs(scale.sites[:, 1:].astype(np.int64)).max(initial=0))
        if apart * farthest > INT32_MAX:
            raise GridError(f"{self}: level {power} moves a site at {farthest} to {apart} times that, beyond the int32 "
                            "range; use fewer levels or a smaller factor")
        sites = scale.sites * np.array([1] + [min(apart, INT32_MAX)] * finest.d, np.int64)
        return SparseTensor(scale.features, Grid.from_sites(sites, finest.size, finest.samples, finest.lattice))

    def arguments(self):
        """Return the levels and the factor as they are now."""
        if type(self).__init__ is not Pyramid.__init__:
            return super().arguments()
        return tuple(self.levels), {"factor": self.factor}
