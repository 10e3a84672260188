"""VoxelNeXt's encoder: six levels, the last three merged in a bird's-eye view that stays sparse."""

from itertools import pairwise

from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import ReLU
from spconv_cy.layers.collapse import Collapse
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import SubmanifoldConvolution
from spconv_cy.layers.normalization import BatchNormalization
from spconv_cy.layers.pyramid import Pyramid
from spconv_cy.models.blocks import DETECTION, TORCH, Blocks, checked_list, checked_whole
from spconv_cy.models.voxel_backbones import same


def voxelnext(channels_in=5, *, widths=(16, 32, 64, 128, 128), channels_out=128, rng=None):
    """Build the 3-D backbone of VoxelNeXt: voxels to sparse features of a plane, eight times coarser.

    The axes are z, y, x, and the field should have a size, beyond which no window reaches. Four levels as in
    CenterPoint's encoder; two more, whose sites are spread to those of the fourth and summed there with it, then along
    z; a convolution and a submanifold one, in two dimensions. The levels are the first four layers of the result:
    `for level in net[:4]: x = level(x)` meets the scales 1, 2, 4, 8.

    Args:
        channels_in: of the voxels.
        widths: channels of the levels, five numbers; the sixth has the fifth's, which must be the fourth's.
        channels_out: of the result.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor on three axes with `ground=None` -> SparseTensor on two.

    Source: Chen et al. 2023, arXiv:2303.11301.

    >>> voxelnext(rng=0).n_parameters()
    7368720
    """
    checked_list("voxelnext", "widths", widths)
    if len(widths) != 5 or widths[3] != widths[4]:
        raise ShapeError(f"voxelnext: widths {widths!r} came; five numbers fit, the last two equal since those levels "
                         "are summed")
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
        BatchNormalization(channels_out, debias=True, **TORCH), ReLU())
