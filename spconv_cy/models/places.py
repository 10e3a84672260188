"""Networks that describe places: MinkLoc3D's, one row for a scan, and FCGF's, one row for each site."""

from __future__ import annotations

from collections.abc import Sequence

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, checked_integers, is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    BatchNormalization,
    Concatenate,
    Convolution,
    Deconvolution,
    GeneralizedMeanPooling,
    GlobalPooling,
    Layer,
    NetworkInNetwork,
    ReLU,
    Residual,
    Sequential,
    SubmanifoldConvolution,
)
from spconv_cy.models.blocks import TORCH, Blocks, checked_list, checked_whole
from spconv_cy.types import Seed

POOLINGS = ("generalized", "average", "max", None)


@known_arguments
def minkfpn(channels_in: int = 1, channels_out: int = 256, *, channels: Sequence[int] = (32, 64, 64),
            repeats: Sequence[int] = (1, 1, 1), top_down: int = 1, stem: int = 5, attention: bool = False,
            pooling: str | None = "generalized", d: int = 3, rng: Seed = None) -> Sequential:
    """Build MinkLoc3D's network, which describes a scan by one row: a feature pyramid and a global pooling.

    The stem is a convolution. A level is a convolution of size and stride 2, then basic blocks. A matrix brings the
    last level to `channels_out`. Each of `top_down` steps goes back to the finer sites by a Deconvolution, and adds the
    features that the finer level has there, brought to as many channels by a matrix.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the result.
        channels, repeats: channels and basic blocks of each level; the stem has channels[0].
        top_down: number of steps back, 0 to the number of levels.
        stem: size of the first convolution.
        attention: use basic blocks with efficient channel attention, as MinkLoc3Dv2.
        pooling: "generalized", "average" or "max": of all sites of a sample; None: none.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> Tensor (b, channels_out), or without pooling a SparseTensor.

    Raises:
        ShapeError: `channels` and `repeats` of different lengths, or numbers that do not fit.

    Source: Komorowski 2021, arXiv:2011.04530; version 2: Komorowski 2022, arXiv:2203.00972.

    >>> minkfpn(rng=0).n_parameters()
    1055713
    """
    checked_list("minkfpn", "channels", channels)
    checked_list("minkfpn", "repeats", repeats)
    checked_flags("minkfpn", attention=attention)
    channels_in, channels_out, stem = checked_whole("minkfpn", channels_in=channels_in, channels_out=channels_out,
                                                    stem=stem)
    checked_whole("minkfpn", **{f"channels[{i}]": n for i, n in enumerate(channels)},
                  **{f"repeats[{i}]": n for i, n in enumerate(repeats)})
    if len(channels) != len(repeats) or not channels:
        raise ShapeError(expected("minkfpn", "as many channels as repeats, one or more",
                                  f"{len(channels)} channels and {len(repeats)} repeats"))
    checked_integers("minkfpn", 0, len(channels), top_down=top_down)
    if not is_one_of(pooling, POOLINGS):
        raise ShapeError(expected("minkfpn", f"pooling to be one of {', '.join(map(repr, POOLINGS))}", repr(pooling)))
    make, widths = Blocks(d, TORCH, rng), [channels[0], *channels]
    levels = [make.halved(a, a) + make.chain(a, b, n, attention=attention)
              for a, b, n in zip(widths[:-1], channels, repeats, strict=True)]
    start = len(levels) - top_down
    last: list[Layer] = [] if pooling is None else [
        GeneralizedMeanPooling() if pooling == "generalized" else GlobalPooling(pooling)]
    return Sequential(*make.submanifold(channels_in, widths[0], stem), *(layer for level in levels[:start]
                                                                         for layer in level),
                      pyramid(make, levels[start:], widths[start:], channels_out), *last)


def pyramid(make: Blocks, levels: Sequence[Sequence[Layer]], widths: Sequence[int], channels_out: int) -> Layer:
    """Return the layer of `levels` and the steps back to the sites of its input, which has widths[0] channels."""
    side = NetworkInNetwork(widths[0], channels_out, bias=False, rng=make.rng)
    if not levels:
        return side
    back = Deconvolution(make.d, channels_out, channels_out, 2, 2, bias=False, rng=make.rng)
    return Residual(*levels[0], pyramid(make, levels[1:], widths[1:], channels_out), back, shortcut=side)


@known_arguments
def fcgf(channels_in: int = 1, channels_out: int = 32, *, channels: Sequence[int] = (32, 64, 128, 256),
         up: Sequence[int] = (64, 64, 64, 128), stem: int = 5, d: int = 3, rng: Seed = None) -> Sequential:
    """Build FCGF's network (ResUNetBN2C), which describes every active site: a residual U with strides of size 3.

    A level is a convolution of size 3, with stride 2 after the first level, batch normalisation and one basic block.
    The way back is the same with transposed convolutions, and the features of the finer level are concatenated. A
    matrix, ReLU and a linear layer end it. For registration divide each row of the result by its length.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the result.
        channels: of the levels, from fine to coarse.
        up: channels on the way back, from fine to coarse; the last level has none, the first those of the matrix.
        stem: size of the first convolution.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, channels_out) on the same grid.

    Raises:
        ShapeError: `channels` and `up` of different lengths, or numbers that are not whole or below 1.

    Source: Choy et al. 2019, "Fully convolutional geometric features", ICCV.

    >>> fcgf(rng=0).n_parameters()
    8753408
    """
    checked_list("fcgf", "channels", channels)
    checked_list("fcgf", "up", up)
    if len(channels) != len(up) or len(channels) < 2:
        raise ShapeError(expected("fcgf", "as many channels as up, for two levels or more",
                                  f"{len(channels)} channels and {len(up)} up"))
    channels_in, channels_out, stem = checked_whole("fcgf", channels_in=channels_in, channels_out=channels_out,
                                                    stem=stem)
    checked_whole("fcgf", **{f"channels[{i}]": n for i, n in enumerate(channels)},
                  **{f"up[{i}]": n for i, n in enumerate(up)})
    make = Blocks(d, TORCH, rng)
    first = SubmanifoldConvolution(d, channels_in, channels[0], stem, bias=False, rng=make.rng)
    return Sequential(
        *normalised(make, first), *strided_u(make, channels, up),
        NetworkInNetwork(channels[0] + up[1], up[0], bias=False, rng=make.rng), ReLU(),
        NetworkInNetwork(up[0], channels_out, rng=make.rng))


def strided_u(make: Blocks, channels: Sequence[int], up: Sequence[int]) -> list[Layer]:
    """Return the layers of the coarser levels and back, from channels[0] to up[1] + channels[0] channels."""
    (fine, coarse, *_), (_, back, *_) = channels, up
    inside = strided_u(make, channels[1:], up[1:]) if len(channels) > 2 else []
    wide = coarse + up[2] if inside else coarse
    down = Convolution(make.d, fine, coarse, 3, 2, padding=1, sites="cell", bias=False, rng=make.rng)
    restored = Deconvolution(make.d, wide, back, 3, 2, padding=1, bias=False, rng=make.rng)
    return [Concatenate(Sequential(*normalised(make, down), *inside, *normalised(make, restored)), Sequential())]


def normalised(make: Blocks, layer: Convolution) -> list[Layer]:
    """Return the layers: the given convolution, batch normalisation and a basic block."""
    width = layer.channels_out
    return [layer, BatchNormalization(width, **make.norm), *make.basic(width, width)]
