"""The U-Net of submanifold convolutions: strided convolutions down, deconvolutions back to the same sites."""

from __future__ import annotations

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, checked_numbers, generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    BatchNormalization,
    Concatenate,
    Convolution,
    Deconvolution,
    Layer,
    LeakyReLU,
    NetworkInNetwork,
    ReLU,
    Residual,
    Sequential,
    SubmanifoldConvolution,
)
from spconv_cy.models.blocks import checked_whole
from spconv_cy.types import Seed


@known_arguments
def unet(levels: int, base: int | list[int] | tuple[int, ...], channels_in: int = 1, classes: int = 10, *, d: int = 3,
         reps: int = 1, residual: bool = False, slope: float = 0.0, downsample: tuple[int, int] = (2, 2),
         size_rule: str = "exact", momentum: float = 0.99, rng: Seed = None) -> Sequential:
    """Build a U-Net, which labels every active site; level i, counted from 0, has (i + 1) * base channels.

    A block is batch normalisation, ReLU and a submanifold convolution of size 3. A level is `reps` blocks. Their output
    is joined with that of a branch (a strided convolution, the next level, and a Deconvolution back to the same sites),
    and `reps` more blocks bring the channels back. Convolutions have no bias.

    Args:
        levels: number of levels, 1 or more; the field of a grid with a size must be divisible by 2^(levels - 1), unless
            size_rule is "floor".
        base: channels of the first level; or a list with the channels of each level.
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        d: dimension.
        reps: blocks of each level, both before and after the branch.
        residual: use blocks of two convolutions with a shortcut around them.
        slope: of the leaky ReLU; 0 is the ReLU.
        downsample: (size, stride) of the convolutions that lead to the next level and back.
        size_rule: of these convolutions: "exact" refuses a field that the stride does not divide; "floor" drops the
            remainder on the way down, as spconv does, and sites in it get zeros from the levels below.
        momentum: of the batch normalisations; SparseConvNet has 0.9.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, classes) on the same grid.

    Raises:
        ShapeError: numbers that are not whole or below 1; a list of channels that has not one for each level.

    Source: Graham et al. 2018, arXiv:1711.10275; the builder of SparseConvNet.

    >>> unet(7, 16, 3, 20, rng=0).n_parameters()
    2689860
    """
    widths = checked_widths("unet", levels, base)
    channels_in, classes, reps = checked_whole("unet", channels_in=channels_in, classes=classes, reps=reps)
    make = Levels("unet", d, reps, residual, slope, downsample, rng, size_rule, momentum)
    return Sequential(
        make.submanifold(channels_in, widths[0]),
        *make.level(widths),
        *make.activated(widths[0]),
        NetworkInNetwork(widths[0], classes, rng=make.rng))


@known_arguments
def uresnet(channels_in: int = 1, classes: int = 5, *, filters: int = 16, levels: int = 5, d: int = 3,
            rng: Seed = None) -> Sequential:
    """Build the U-ResNet that labels tracks and showers in liquid-argon detectors: a residual U-Net with two blocks.

    Args:
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        filters: channels of the first level; level i, counted from 0, has (i + 1) * filters.
        levels: number of levels; the field of a grid with a size must be divisible by 2^(levels - 1).
        d: dimension: 3, or 2 for a wire plane.
        rng: seed or numpy Generator.

    Result and errors as for unet.

    Source: Domine and Terao 2020, arXiv:1903.05663.

    >>> uresnet(rng=0).n_parameters()
    2741477
    """
    return unet(levels, filters, channels_in, classes, d=d, reps=2, residual=True, rng=rng)


def checked_widths(who: str, levels: int, base: int | list[int] | tuple[int, ...]) -> list[int]:
    """Return the channels of each level: those of a list, or multiples of `base`."""
    if isinstance(base, (tuple, list)):
        if len(base) != levels or not base:
            raise ShapeError(expected(who, "base to be a number or a list of channels, one for each level",
                                      f"levels={levels!r} and {len(base)} channels"))
        checked_whole(who, **{f"base[{i}]": width for i, width in enumerate(base)})
        return list(base)
    levels, base = checked_whole(who, levels=levels, base=base)
    return [int(base) * (i + 1) for i in range(levels)]


class Levels:
    """The levels of SparseConvNet's networks that go down and come back up, as lists of layers.

    Args:
        who: named in errors.
        d, reps, residual, slope, downsample, rng, size_rule, momentum: as for unet.
    """

    def __init__(self, who: str, d: int, reps: int, residual: bool, slope: float, downsample: tuple[int, int],
                 rng: Seed, size_rule: str = "exact", momentum: float = 0.99) -> None:
        if not isinstance(downsample, (list, tuple)) or len(downsample) != 2:
            raise ShapeError(expected(who, "downsample to be (size, stride)", repr(downsample)))
        checked_flags(who, residual=residual)
        checked_numbers(who, 0, slope=slope)
        self.d, self.reps, self.residual, self.slope = d, reps, residual, slope
        self.downsample, self.size_rule, self.momentum = downsample, size_rule, momentum
        self.rng = None if rng is None else generator(who, rng)          # loaded weights need none

    def level(self, widths: list[int]) -> list[Layer]:
        """Return the layers of a level and of all coarser ones, from widths[0] channels to widths[0] channels."""
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

    def down(self, channels_in: int, channels_out: int) -> list[Layer]:
        """Return the layers that lead to the next level."""
        return [*self.activated(channels_in),
                Convolution(self.d, channels_in, channels_out, *self.downsample, size_rule=self.size_rule, bias=False,
                            rng=self.rng)]

    def blocks(self, channels_in: int, channels_out: int) -> list[Layer]:
        """Return the layers of `reps` blocks, the first of which changes the channels."""
        layers = self.block(channels_in, channels_out)
        for _ in range(self.reps - 1):
            layers += self.block(channels_out, channels_out)
        return layers

    def block(self, channels_in: int, channels_out: int) -> list[Layer]:
        """Return the layers of one block."""
        layers = [*self.activated(channels_in), self.submanifold(channels_in, channels_out)]
        if not self.residual:
            return layers
        same = channels_in == channels_out
        shortcut = None if same else NetworkInNetwork(channels_in, channels_out, bias=False, rng=self.rng)
        layers += [*self.activated(channels_out), self.submanifold(channels_out, channels_out)]
        return [Residual(*layers, shortcut=shortcut)]

    def submanifold(self, channels_in: int, channels_out: int) -> SubmanifoldConvolution:
        """Return a submanifold convolution of size 3."""
        return SubmanifoldConvolution(self.d, channels_in, channels_out, 3, bias=False, rng=self.rng)

    def activated(self, channels: int) -> list[Layer]:
        """Return the layers batch normalisation and (leaky) ReLU."""
        return [BatchNormalization(channels, momentum=self.momentum), LeakyReLU(self.slope) if self.slope else ReLU()]
