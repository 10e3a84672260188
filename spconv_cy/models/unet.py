"""The U-Net of submanifold convolutions: down by strides, back up to the very sites, with skip connections."""

import numpy as np

from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import LeakyReLU, ReLU
from spconv_cy.layers.container import Concatenate, Residual, Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.layers.normalization import BatchNormalization
from spconv_cy.layers.restoring import Deconvolution


def unet(levels, base, channels_in=1, classes=10, *, d=3, reps=1, residual=False, slope=0.0, rng=None):
    """Build the U-Net that labels every active site: level i has (i + 1) * base channels.

    A block is batch normalisation, ReLU, submanifold convolution of size 3. A level is `reps` blocks, then beside the
    identity a strided convolution of size 2, the next level, and a Deconvolution back; both are concatenated, and
    `reps` blocks bring the channels back. Convolutions have no bias.

    Args:
        levels: 1 or more; the field of a sized grid must divide by 2^(levels - 1).
        base: channels of the first level.
        channels_in: of the input.
        classes: outputs of the linear layer at each site.
        d: dimension.
        reps: blocks a level, on either side.
        residual: two convolutions a block, with a shortcut around them.
        slope: of the leaky ReLU; 0 is the ReLU.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, classes) on the same grid.

    Source: Graham et al. 2018, arXiv:1711.10275; the builder of SparseConvNet.

    >>> unet(7, 16, 3, 20, rng=0).n_parameters()
    2689860
    """
    counts = (levels, base, channels_in, classes, reps)
    if not all(isinstance(n, (int, np.integer)) and n >= 1 for n in counts):
        raise ShapeError(f"unet: levels={levels!r}, base={base!r}, channels_in={channels_in!r}, classes={classes!r}, "
                         f"reps={reps!r} came; whole numbers from 1 up fit")
    make = _Builder(d, reps, residual, slope, np.random.default_rng(rng))
    return Sequential(
        SubmanifoldConvolution(d, channels_in, base, 3, bias=False, rng=make.rng),
        *make.level([base * (i + 1) for i in range(levels)]),
        *make.activated(base),
        NetworkInNetwork(base, classes, rng=make.rng))


class _Builder:
    def __init__(self, d, reps, residual, slope, rng):
        self.d, self.reps, self.residual, self.slope, self.rng = d, reps, residual, slope, rng

    def level(self, widths):
        """List the layers of a level and of all below it; widths[0] channels go in and come out."""
        width = widths[0]
        layers = self.blocks(width, width)
        if len(widths) == 1:
            return layers
        below = Sequential(
            *self.activated(width),
            Convolution(self.d, width, widths[1], 2, 2, bias=False, rng=self.rng),
            *self.level(widths[1:]),
            *self.activated(widths[1]),
            Deconvolution(self.d, widths[1], width, 2, 2, bias=False, rng=self.rng))
        return [*layers, Concatenate(Sequential(), below), *self.blocks(2 * width, width)]

    def blocks(self, channels_in, channels_out):
        """List `reps` blocks, the first of which changes the channels."""
        first, *others = [channels_in] + [channels_out] * (self.reps - 1)
        return sum((self.block(channels, channels_out) for channels in others), self.block(first, channels_out))

    def block(self, channels_in, channels_out):
        layers = [*self.activated(channels_in), self.submanifold(channels_in, channels_out)]
        if not self.residual:
            return layers
        same = channels_in == channels_out
        shortcut = None if same else NetworkInNetwork(channels_in, channels_out, bias=False, rng=self.rng)
        layers += [*self.activated(channels_out), self.submanifold(channels_out, channels_out)]
        return [Residual(*layers, shortcut=shortcut)]

    def submanifold(self, channels_in, channels_out):
        return SubmanifoldConvolution(self.d, channels_in, channels_out, 3, bias=False, rng=self.rng)

    def activated(self, channels):
        return [BatchNormalization(channels), LeakyReLU(self.slope) if self.slope else ReLU()]
