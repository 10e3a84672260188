"""The U-Net of submanifold convolutions: down by strides, back up to the very sites, with skip connections."""


from spconv_cy.checks import checked_flags, checked_numbers, generator
from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import LeakyReLU, ReLU
from spconv_cy.layers.container import Concatenate, Residual, Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.layers.normalization import BatchNormalization
from spconv_cy.layers.restoring import Deconvolution
from spconv_cy.models.blocks import checked_whole


def unet(levels, base, channels_in=1, classes=10, *, d=3, reps=1, residual=False, slope=0.0, downsample=(2, 2),
         rng=None):
    """Build the U-Net that labels every active site: level i has (i + 1) * base channels.

    A block is batch normalisation, ReLU, submanifold convolution of size 3. A level is `reps` blocks, then beside the
    identity a strided convolution, the next level, and a Deconvolution back; both are concatenated, and `reps` blocks
    bring the channels back. Convolutions have no bias.

    Args:
        levels: 1 or more; the field of a sized grid must divide by 2^(levels - 1).
        base: channels of the first level; or a list with the channels of each level.
        channels_in: of the input.
        classes: outputs of the linear layer at each site.
        d: dimension.
        reps: blocks a level, on either side.
        residual: two convolutions a block, with a shortcut around them.
        slope: of the leaky ReLU; 0 is the ReLU.
        downsample: size and stride of the convolutions that go down and up.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, classes) on the same grid.

    Source: Graham et al. 2018, arXiv:1711.10275; the builder of SparseConvNet.

    >>> unet(7, 16, 3, 20, rng=0).n_parameters()
    2689860
    """
    widths = checked_widths("unet", levels, base)
    channels_in, classes, reps = checked_whole("unet", channels_in=channels_in, classes=classes, reps=reps)
    make = Levels(d, reps, residual, slope, downsample, rng)
    return Sequential(
        make.submanifold(channels_in, widths[0]),
        *make.level(widths),
        *make.activated(widths[0]),
        NetworkInNetwork(widths[0], classes, rng=make.rng))


def uresnet(channels_in=1, classes=5, *, filters=16, levels=5, d=3, rng=None):
    """Build the U-ResNet that labels the tracks and showers of liquid-argon detectors: a residual U-Net, two blocks.

    Args:
        channels_in, classes: channels of the input and of the output.
        filters: channels of the first level; level i has (i + 1) times as many.
        levels: scales; the field of a sized grid must divide by 2^(levels - 1).
        d: dimension, 3 or that of a wire plane.
        rng: seed or numpy Generator.

    Returns and rules: as for unet.

    Source: Domine and Terao 2020, arXiv:1903.05663.

    >>> uresnet(rng=0).n_parameters()
    2741477
    """
    return unet(levels, filters, channels_in, classes, d=d, reps=2, residual=True, rng=rng)


def checked_widths(who, levels, base):
    """Return the channels of each level, of a list or in steps of `base`."""
    if isinstance(base, (tuple, list)):
        if len(base) != levels or not base:
            raise ShapeError(f"{who}: levels={levels!r} and {len(base)} channels came; channels for each level fit")
        checked_whole(who, **{f"base[{i}]": width for i, width in enumerate(base)})
        return list(base)
    levels, base = checked_whole(who, levels=levels, base=base)
    return [int(base) * (i + 1) for i in range(levels)]


class Levels:
    """The levels of SparseConvNet's networks that go down and come back, as lists of layers."""

    def __init__(self, d, reps, residual, slope, downsample, rng):
        if not isinstance(downsample, (list, tuple)) or len(downsample) != 2:
            raise ShapeError(f"downsample={downsample!r} came; (size, stride) fits")
        checked_flags("unet", residual=residual)
        checked_numbers("unet", 0, slope=slope)
        self.d, self.reps, self.residual, self.slope = d, reps, residual, slope
        self.downsample, self.rng = downsample, generator("unet", rng)

    def level(self, widths):
        """List the layers of a level and of all below it; widths[0] channels go in and come out."""
        width = widths[0]
        layers = self.blocks(width, width)
        if len(widths) == 1:
            return layers
        below = Sequential(
            *self.down(width, widths[1]),
            *self.level(widths[1:]),
            *self.activated(widths[1]),
            Deconvolution(self.d, widths[1], width, *self.downsample, bias=False, rng=self.rng))
        return [*layers, Concatenate(Sequential(), below), *self.blocks(2 * width, width)]

    def down(self, channels_in, channels_out):
        """List what goes to the next level."""
        return [*self.activated(channels_in),
                Convolution(self.d, channels_in, channels_out, *self.downsample, bias=False, rng=self.rng)]

    def blocks(self, channels_in, channels_out):
        """List `reps` blocks, the first of which changes the channels."""
        first, *others = [channels_in] + [channels_out] * (self.reps - 1)
        return sum((self.block(channels, channels_out) for channels in others), self.block(first, channels_out))

    def block(self, channels_in, channels_out):
        """List one block."""
        layers = [*self.activated(channels_in), self.submanifold(channels_in, channels_out)]
        if not self.residual:
            return layers
        same = channels_in == channels_out
        shortcut = None if same else NetworkInNetwork(channels_in, channels_out, bias=False, rng=self.rng)
        layers += [*self.activated(channels_out), self.submanifold(channels_out, channels_out)]
        return [Residual(*layers, shortcut=shortcut)]

    def submanifold(self, channels_in, channels_out):
        """Return a convolution of size 3 that keeps the sites."""
        return SubmanifoldConvolution(self.d, channels_in, channels_out, 3, bias=False, rng=self.rng)

    def activated(self, channels):
        """List batch normalisation and (leaky) ReLU."""
        return [BatchNormalization(channels, debias=True), LeakyReLU(self.slope) if self.slope else ReLU()]
