"""MinkUNet: a residual U-Net that labels every active site, in the published variants."""

from __future__ import annotations

from collections.abc import Sequence

from spconv_cy.arguments import known_arguments
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import Concatenate, Layer, NetworkInNetwork, Sequential
from spconv_cy.models.blocks import TORCH, WIDEST, Blocks, checked_list, checked_whole
from spconv_cy.types import Seed

STEM = 32
VARIANTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {         # blocks down and up; channels down and up
    "14A": ((1, 1, 1, 1, 1, 1, 1, 1), (32, 64, 128, 256, 128, 128, 96, 96)),
    "14B": ((1, 1, 1, 1, 1, 1, 1, 1), (32, 64, 128, 256, 128, 128, 128, 128)),
    "14C": ((1, 1, 1, 1, 1, 1, 1, 1), (32, 64, 128, 256, 192, 192, 128, 128)),
    "14D": ((1, 1, 1, 1, 1, 1, 1, 1), (32, 64, 128, 256, 384, 384, 384, 384)),
    "18A": ((2, 2, 2, 2, 2, 2, 2, 2), (32, 64, 128, 256, 128, 128, 96, 96)),
    "18B": ((2, 2, 2, 2, 2, 2, 2, 2), (32, 64, 128, 256, 128, 128, 128, 128)),
    "18D": ((2, 2, 2, 2, 2, 2, 2, 2), (32, 64, 128, 256, 384, 384, 384, 384)),
    "34A": ((2, 3, 4, 6, 2, 2, 2, 2), (32, 64, 128, 256, 256, 128, 64, 64)),
    "34B": ((2, 3, 4, 6, 2, 2, 2, 2), (32, 64, 128, 256, 256, 128, 64, 32)),
    "34C": ((2, 3, 4, 6, 2, 2, 2, 2), (32, 64, 128, 256, 256, 128, 96, 96)),
    "42": ((2, 2, 2, 2, 2, 2, 2, 2), (32, 64, 128, 256, 256, 128, 96, 96)),
}


@known_arguments
def minkunet(variant: str | int, channels_in: int, classes: int, *, d: int = 3, width: float = 1.0,
             stem: Sequence[int] | None = None, rng: Seed = None) -> Sequential:
    """Build a MinkUNet, which labels every active site: a stem, four levels down and four levels up.

    The stem is one convolution of size 5, in variant 42 two of size 3. A level down is a convolution of size and stride
    2, then basic blocks. A level up is a Deconvolution back to the finer sites, concatenation with the features of the
    same level, then basic blocks. Batch normalisation has torch's default options.

    Args:
        variant: "14A" to "14D", "18A", "18B", "18D", "34A" to "34C" (MinkowskiEngine) or 42 (torchsparse).
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        d: dimension.
        width: factor of all channels.
        stem: sizes of the convolutions of the stem, such as (3, 3); None: those of the variant.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor (n, classes) on the same grid.

    Source: Choy et al. 2019, arXiv:1904.08755; variant 42: Tang et al. 2020, arXiv:2007.16100.

    >>> minkunet(42, 4, 19, rng=0).n_parameters()
    21723315
    """
    if str(variant) not in VARIANTS:
        raise ShapeError(expected("minkunet", f"variant to be one of {', '.join(VARIANTS)}", repr(variant)))
    if not isinstance(width, (int, float)) or not 1 <= width * STEM <= WIDEST:
        raise ShapeError(expected("minkunet", f"width to be a factor from 1/{STEM} to {WIDEST // STEM}",
                                  repr(width)))
    channels_in, classes = checked_whole("minkunet", channels_in=channels_in, classes=classes)
    if stem is None:
        stem = (3, 3) if str(variant) == "42" else (5,)
    checked_list("minkunet", "stem", stem)
    sizes = checked_whole("minkunet", **{f"stem[{i}]": size for i, size in enumerate(stem)})
    repeats, planes = VARIANTS[str(variant)]
    base, planes = int(width * STEM), tuple(int(width * n) for n in planes)
    make = Blocks(d, TORCH, rng)
    layers = [layer for i, size in enumerate(sizes)
              for layer in make.submanifold(base if i else channels_in, base, size)]
    return Sequential(*layers, *residual_u(make, base if sizes else channels_in, repeats, planes),
                      NetworkInNetwork(planes[-1], classes, rng=make.rng))


def residual_u(make: Blocks, stem: int, repeats: Sequence[int], planes: Sequence[int], *,
               widens_first: bool = False) -> list[Layer]:
    """Return the layers of a U of basic blocks, from `stem` channels to planes[-1] channels on the same sites.

    Args:
        make: Blocks.
        stem: channels of the input.
        repeats, planes: blocks and channels of each level, first those down, then those up.
        widens_first: change the channels in the strided convolution instead of the first block after it.
    """
    if not planes:
        return []
    (down, *inner, up), (below, *between, above) = repeats, planes
    wide = below if widens_first else stem
    inside = Sequential(
        *make.halved(stem, wide),
        *make.chain(wide, below, down),
        *residual_u(make, below, inner, between, widens_first=widens_first),
        *make.restored(between[-1] if between else below, above))
    return [Concatenate(inside, Sequential()), *make.chain(above + stem, above, up)]
