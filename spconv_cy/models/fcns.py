"""A fully convolutional network that labels sites by the features of all scales."""

from __future__ import annotations

from spconv_cy.arguments import known_arguments
from spconv_cy.layers import Concatenate, Layer, NetworkInNetwork, Sequential, UnPooling
from spconv_cy.models.blocks import checked_whole
from spconv_cy.models.unets import Levels, checked_widths
from spconv_cy.types import Seed


@known_arguments
def fully_convolutional(levels: int, base: int | list[int] | tuple[int, ...], channels_in: int = 1, classes: int = 10,
                        *, d: int = 3, reps: int = 1, residual: bool = False, downsample: tuple[int, int] = (2, 2),
                        rng: Seed = None) -> Sequential:
    """Build a network that labels every active site from the joined channels of all levels.

    A level is `reps` blocks. Their output is joined with that of a branch: a strided convolution, the next level and an
    UnPooling back to the sites of the level. UnPooling has no parameters, so neither has the path from coarse to fine.

    Args:
        levels: number of levels, 1 or more; the field of a grid with a size must be divisible by 2^(levels - 1).
        base: channels of the first level (level i, counted from 0, has (i + 1) * base), or a list with the channels of
            each level.
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        d: dimension.
        reps: blocks of each level.
        residual: use blocks of two convolutions with a shortcut around them.
        downsample: (size, stride) of the strided convolutions.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, classes) on the same grid.

    Source: after Long et al. 2015, arXiv:1411.4038; the builder of SparseConvNet.

    >>> fully_convolutional(2, 8, 1, 5, d=2, rng=0).n_parameters()
    3701
    """
    widths = checked_widths("fully_convolutional", levels, base)
    channels_in, classes, reps = checked_whole("fully_convolutional", channels_in=channels_in, classes=classes,
                                               reps=reps)
    make = Levels("fully_convolutional", d, reps, residual, 0, downsample, rng)
    return Sequential(
        make.submanifold(channels_in, widths[0]),
        *_level(make, widths),
        *make.activated(sum(widths)),
        NetworkInNetwork(sum(widths), classes, rng=make.rng))


def _level(make: Levels, widths: list[int]) -> list[Layer]:
    layers = make.blocks(widths[0], widths[0])
    if len(widths) == 1:
        return layers
    below = Sequential(*make.down(*widths[:2]), *_level(make, widths[1:]), UnPooling(make.d, *make.downsample))
    return [*layers, Concatenate(Sequential(), below)]
