"""Windows at random strides: in training a walk of steps one shorter or longer, in evaluation regular ones."""

import numpy as np

from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError
from spconv_cy.layers.convolution import Convolution
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.pooling import MaxPooling
from spconv_cy.sites import fractional


class RandomizedStrideConvolution(Convolution):
    """Convolve over windows whose starts are a random walk while training; in evaluation an ordinary Convolution.

    Of the steps from window to window a third is one site shorter than the stride, a third one longer, in an order that
    is drawn for each sample, axis and call; the last window ends where it would. An axis of stride 1 stays regular.

    Args:
        lattice: Lattice (the cubic one), or its dimension.
        channels_in, channels_out, size, stride, bias, groups, size_rule: as for Convolution.
        rng: seed or numpy Generator for the weights and the walks; the walks' state is part of a checkpoint.

    Attributes: weight, bias and window as for Convolution. A Deconvolution or UnPooling of the same window goes back.

    Raises:
        ShapeError: as for Convolution; at the call in training, a grid without a size.

    Source: SparseConvNet.
    """

    def __init__(self, lattice, channels_in, channels_out, size, stride=1, *, bias=True, groups=1, size_rule="exact",
                 rng=None):
        rng = generator(type(self).__name__, rng)
        super().__init__(lattice, channels_in, channels_out, size, stride, bias=bias, groups=groups,
                         size_rule=size_rule, rng=rng)
        self.rng = _own(self, rng)

    def rules(self, x, grid=None):
        """Return (output grid, rulebook), drawn anew while training."""
        return _walked(self, x, grid) if self.training else super().rules(x, grid)

    def multiply_adds(self, x, y):
        """Count by rows and volume, by pairs, and dense."""
        by_rows, _, dense = super().multiply_adds(x, y)
        return by_rows, y.grid.source.rulebook.n_pairs * self.channels_in * self.channels_out // self.groups, dense

    def notation(self):
        """Return "" since the papers' notation has no word for it."""
        return ""


class RandomizedStrideMaxPooling(MaxPooling):
    """Take the maximum over windows whose starts are a random walk while training; in evaluation a MaxPooling.

    Args:
        lattice: Lattice (the cubic one), or its dimension.
        size, stride, background, size_rule: as for MaxPooling.
        rng: seed or numpy Generator; its state is part of a checkpoint.

    The walk, errors and source are those of RandomizedStrideConvolution.
    """

    def __init__(self, lattice, size, stride=None, *, background="ground", size_rule="exact", rng=None):
        super().__init__(lattice, size, stride, background=background, size_rule=size_rule)
        self.rng = _own(self, generator(type(self).__name__, rng))

    def rules(self, x, grid=None):
        """Return (output grid, rulebook), drawn anew while training."""
        return _walked(self, x, grid) if self.training else super().rules(x, grid)

    def notation(self):
        """Return "" since the papers' notation has no word for it."""
        return ""


def _own(layer, rng):
    if layer.window.lattice.kind != "cubic":
        raise ShapeError(f"{type(layer).__name__}: {layer.window.lattice} came; walks go along the axes of the cubic "
                         f"lattice: {layer.window.lattice.d} fits")
    return np.random.default_rng(rng.integers(2**63))


def _walked(layer, x, grid):
    checked_sparse(layer, x)
    window = layer.window
    if grid is not None:
        raise ShapeError(f"{layer}: a grid came for the outputs, but walks have outputs of their own; call it without")
    if x.grid.size is None:
        raise ShapeError(f"{layer}: an unbounded grid came, on which a walk has no last window; give the input a size: "
                         "SparseTensor.from_sites(..., size=...)")
    if x.grid.lattice != window.lattice:
        raise ShapeError(f"{layer}: a grid on {x.grid.lattice} came; {window.lattice} fits")
    regions = fractional.draw_steps(layer.rng, window.lattice, x.grid.samples, x.grid.size,
                                    window.out_size(x.grid.size), window.size, window.stride)
    return regions.rules(x.grid, window)
