"""SpUNet: Pointcept's residual U-Net, in spconv's conventions."""

from __future__ import annotations

from collections.abc import Sequence

from spconv_cy.arguments import known_arguments
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import NetworkInNetwork, Sequential
from spconv_cy.models.blocks import DETECTION, Blocks, checked_list, checked_whole
from spconv_cy.models.minkunets import residual_u
from spconv_cy.types import Seed


@known_arguments
def spunet(channels_in: int, classes: int, *, base: int = 32,
           channels: Sequence[int] = (32, 64, 128, 256, 256, 128, 96, 96),
           repeats: Sequence[int] = (2, 3, 4, 6, 2, 2, 2, 2), d: int = 3, rng: Seed = None) -> Sequential:
    """Build SpUNet (v1m1), which labels every active site: a stem, levels down and as many levels up.

    The stem is a convolution of size 5. A level down is a convolution of size and stride 2 to the level's channels,
    then basic blocks. A level up is a Deconvolution back to the finer sites, concatenation with the features of the
    same level, then basic blocks. Batch normalisation has eps 1e-3 and torch's momentum 0.01.

    Args:
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        base: channels of the stem.
        channels, repeats: channels and blocks of each level, first those down, then those up.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, classes) on the same grid.

    Raises:
        ShapeError: `channels` and `repeats` of different or odd lengths, or numbers that are not whole or below 1.

    Source: Contributors of Pointcept 2023, after Choy et al. 2019, arXiv:1904.08755.

    >>> spunet(6, 20, rng=0).n_parameters()
    39157844
    """
    checked_list("spunet", "channels", channels)
    checked_list("spunet", "repeats", repeats)
    if len(channels) != len(repeats) or len(channels) % 2 or not channels:
        raise ShapeError(expected("spunet", "as many channels as repeats, for the levels down and the same number up",
                                  f"{len(channels)} channels and {len(repeats)} repeats"))
    checked_whole("spunet", channels_in=channels_in, classes=classes, base=base,
                  **{f"channels[{i}]": n for i, n in enumerate(channels)},
                  **{f"repeats[{i}]": n for i, n in enumerate(repeats)})
    make = Blocks(d, DETECTION, rng)
    return Sequential(*make.submanifold(channels_in, base, 5),
                      *residual_u(make, base, repeats, channels, widens_first=True),
                      NetworkInNetwork(channels[-1], classes, rng=make.rng))
