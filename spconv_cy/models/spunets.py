"""SpUNet: the residual U of Pointcept, in spconv's conventions."""

from spconv_cy.errors import ShapeError
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import NetworkInNetwork
from spconv_cy.models.blocks import DETECTION, Blocks, checked_list, checked_whole
from spconv_cy.models.minkunets import residual_u


def spunet(channels_in, classes, *, base=32, channels=(32, 64, 128, 256, 256, 128, 96, 96),
           repeats=(2, 3, 4, 6, 2, 2, 2, 2), d=3, rng=None):
    """Build SpUNet (v1m1), which labels every active site.

    A stem of size 5; levels down, each a convolution of size and stride 2 to its channels and basic blocks; levels up,
    each a deconvolution back to the remembered sites, joined with what was there, and blocks. Batch normalisation has
    eps 1e-3 and torch's momentum 0.01.

    Args:
        channels_in, classes: channels of the input and of the output.
        base: channels of the stem.
        channels, repeats: channels and blocks of each level, those down, then those up.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, classes) on the same grid.

    Source: Contributors of Pointcept 2023, after Choy et al. 2019, arXiv:1904.08755.

    >>> spunet(6, 20, rng=0).n_parameters()
    39157844
    """
    checked_list("spunet", "channels", channels)
    checked_list("spunet", "repeats", repeats)
    if len(channels) != len(repeats) or len(channels) % 2 or not channels:
        raise ShapeError(f"spunet: {len(channels)} channels and {len(repeats)} repeats came; as many of both, for the "
                         "levels down and the same number up, fit")
    checked_whole("spunet", channels_in=channels_in, classes=classes, base=base,
                  **{f"channels[{i}]": n for i, n in enumerate(channels)},
                  **{f"repeats[{i}]": n for i, n in enumerate(repeats)})
    make = Blocks(d, DETECTION, rng)
    return Sequential(*make.submanifold(channels_in, base, 5),
                      *residual_u(make, base, repeats, channels, widens_first=True),
                      NetworkInNetwork(channels[-1], classes, rng=make.rng))
