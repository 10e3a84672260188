"""The sparse parts of Point Transformer V3 and Sonata: the stem, and the convolution at the start of each block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from spconv_cy.checks import checked_flags
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    GELU,
    BatchNormalization,
    Layer,
    LayerNormalization,
    NetworkInNetwork,
    Residual,
    Sequential,
    SubmanifoldConvolution,
)
from spconv_cy.models.blocks import DETECTION, Blocks, checked_list, checked_whole
from spconv_cy.types import Seed


class PointTransformerParts(Layer):
    """The layers of Point Transformer V3 that are sparse convolutions, without its attention, pools and matrices.

    It is a group of layers, to be called one by one from a program that has the rest; calling the group is an error.
    A block's layers are a submanifold convolution with a bias, a linear layer and layer normalisation, added to the
    input.

    Args:
        channels_in: channels of the input.
        encoder, decoder: channels of each stage, from fine to coarse; no decoder for an encoder alone.
        depths, depths_up: blocks of each stage.
        linear_stem: begin with a linear layer and layer normalisation, as Sonata, instead of a convolution of size 5
            and batch normalisation.
        rng: seed or numpy Generator.

    Attributes:
        stem: Sequential.
        encoder, decoder: lists of Sequentials, one for each stage; `net.encoder[s][i]` is block i of stage s.

    Raises:
        ShapeError: arguments that do not fit.
        TypeError: the group is called.

    Source: Wu et al. 2024, arXiv:2312.10035; Wu et al. 2025, arXiv:2503.16429.

    >>> net = PointTransformerParts(6, rng=0)
    >>> len(net.encoder), net.encoder[3][5].layers[0]
    (5, SubmanifoldConvolution(3, 256, 256, 3))
    """

    def __init__(self, channels_in: int = 6, encoder: Sequence[int] = (32, 64, 128, 256, 512),
                 depths: Sequence[int] = (2, 2, 2, 6, 2), decoder: Sequence[int] = (64, 64, 128, 256),
                 depths_up: Sequence[int] = (2, 2, 2, 2), *, linear_stem: bool = False, rng: Seed = None) -> None:
        channels_in, = checked_whole("PointTransformerParts", channels_in=channels_in)
        checked_flags("PointTransformerParts", linear_stem=linear_stem)
        for name, widths, counts in (("encoder", encoder, depths), ("decoder", decoder, depths_up)):
            checked_list("PointTransformerParts", name, widths)
            checked_list("PointTransformerParts", "depths", counts)
            if len(widths) != len(counts) or name == "encoder" and not widths:
                raise ShapeError(expected("PointTransformerParts", f"as many depths as channels of the {name}",
                                          f"{len(widths)} channels and {len(counts)} depths"))
            checked_whole("PointTransformerParts", **{f"{name}[{i}]": n for i, n in enumerate(widths)},
                          **{f"depths[{i}]": n for i, n in enumerate(counts)})
        make, base = Blocks(3, DETECTION, rng), encoder[0]
        self.stem = Sequential(
            NetworkInNetwork(channels_in, base, rng=make.rng), LayerNormalization(base), GELU()) if linear_stem else (
            Sequential(SubmanifoldConvolution(3, channels_in, base, 5, bias=False, rng=make.rng),
                       BatchNormalization(base, **make.norm), GELU()))
        self.encoder = [stage(make, width, n) for width, n in zip(encoder, depths, strict=True)]
        self.decoder = [stage(make, width, n) for width, n in zip(decoder, depths_up, strict=True)]

    def __call__(self, x: object) -> NoReturn:
        """Raise TypeError: the layers are to be called one by one."""
        raise TypeError(expected("PointTransformerParts", "a call of one of its layers", "a call of the group",
                                 "call net.stem, net.encoder[s][i] and net.decoder[s][i]; the attention between them "
                                 "is not part of this library"))


def stage(make: Blocks, width: int, n: int) -> Sequential:
    """Return the sparse parts of the n blocks of a stage."""
    return Sequential(*(Residual(SubmanifoldConvolution(3, width, width, 3, rng=make.rng),
                                 NetworkInNetwork(width, width, rng=make.rng), LayerNormalization(width))
                        for _ in range(n)))
