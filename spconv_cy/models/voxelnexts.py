"""VoxelNeXt's encoder: six levels, the last three of which are merged into a sparse bird's-eye view."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from spconv_cy.arguments import known_arguments
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import BatchNormalization, Collapse, Pyramid, ReLU, Sequential, SubmanifoldConvolution
from spconv_cy.models.blocks import DETECTION, TORCH, Blocks, checked_list, checked_whole
from spconv_cy.models.voxel_backbones import same
from spconv_cy.types import Seed


@known_arguments
def voxelnext(channels_in: int = 5, *, widths: Sequence[int] = (16, 32, 64, 128, 128), channels_out: int = 128,
              rng: Seed = None) -> Sequential:
    """Build the 3-D backbone of VoxelNeXt, from voxels to sparse features of a plane, eight times coarser.

    The axes are z, y, x. The field should have a size, because no window reaches beyond it. The first four levels are
    those of CenterPoint's encoder. The sites of the fifth and sixth level are moved to the coordinates of the fourth,
    the three levels are added, and the result is summed along z. A convolution and a submanifold convolution in two
    dimensions follow. The first four levels are the first four layers of the result: `for level in net[:4]: x =
    level(x)` gives the scales 1, 2, 4 and 8.

    Args:
        channels_in: channels of the voxels.
        widths: channels of the levels, five numbers. The sixth level has those of the fifth, which must be those of the
            fourth.
        channels_out: channels of the result.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor on three axes with `ground=None` -> SparseTensor on two.

    Raises:
        ShapeError: `widths` is not five whole numbers from 1 up, of which the last two are equal.

    Source: Chen et al. 2023, arXiv:2303.11301.

    >>> voxelnext(rng=0).n_parameters()
    7368720
    """
    checked_list("voxelnext", "widths", widths)
    if len(widths) != 5 or widths[3] != widths[4]:
        raise ShapeError(expected("voxelnext", "widths to be five numbers, the last two equal because their levels are "
                                  "summed", repr(widths)))
    checked_whole("voxelnext", channels_in=channels_in, channels_out=channels_out,
                  **{f"widths[{i}]": width for i, width in enumerate(widths)})
    make = Blocks(3, DETECTION, rng)

    first = Sequential(*make.submanifold(channels_in, widths[0]), *same(make, widths[0], residual=True))
    levels = [Sequential(*make.strided(below, width), *same(make, width, residual=True))
              for below, width in pairwise((*widths, widths[-1]))]
    plane = Blocks(2, DETECTION, make.rng)
    return Sequential(
        first, *levels[:3], Pyramid(*levels[3:]), Collapse(3, axis=0),
        *plane.strided(widths[3], channels_out, 3, stride=1),
        SubmanifoldConvolution(2, channels_out, channels_out, 3, rng=make.rng),
        BatchNormalization(channels_out, **TORCH), ReLU())
