"""The middle encoder of SECOND, and the residual one of CenterPoint: voxels of a scene to a bird's-eye view."""

from spconv_cy.checks import checked_flags
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.edge import SparseToDense
from spconv_cy.models.blocks import DETECTION, Blocks, checked_whole


def voxel_backbone_8x(channels_in=4, *, residual=False, last_padding=0, dense=False, rng=None):
    """Build SECOND's middle encoder, eight times coarser than its voxels, or with `residual` that of CenterPoint.

    The axes are z, y, x; the field, which should have a size since no window reaches beyond it, is that of the voxels
    with one layer more in z: (41, 1600, 1408) for KITTI. Each level of the encoder is one layer of the result:
    `for level in net: x = level(x)` meets the scales 1, 2, 4, 8 and the output.

    Args:
        channels_in: of the voxels.
        residual: basic blocks, with biases, in place of submanifold convolutions, and 128 channels in the last level.
        last_padding: of the last convolution in z, 0 or as (1, 0, 0).
        dense: give a Tensor (b, 128, z, y, x); `.reshape(b, -1, y, x)` of its data makes z channels.
        rng: seed or numpy Generator.

    Returns:
        Sequential of levels: SparseTensor with `ground=None` -> SparseTensor, or Tensor.

    Source: Yan et al. 2018, Sensors 18(10):3337; Yin et al. 2021, arXiv:2006.11275; the sizes of OpenPCDet.

    >>> voxel_backbone_8x(rng=0).n_parameters(), voxel_backbone_8x(5, residual=True, rng=0).n_parameters()
    (711872, 2695312)
    """
    channels_in, = checked_whole("voxel_backbone_8x", channels_in=channels_in)
    checked_flags("voxel_backbone_8x", residual=residual, dense=dense)
    make = Blocks(3, DETECTION, rng)
    last = 128 if residual else 64
    levels = [make.submanifold(channels_in, 16) + same(make, 16, residual, repeats=2 if residual else 1)]
    for below, width, padding in ((16, 32, 1), (32, 64, 1), (64, last, (0, 1, 1))):
        levels.append(make.strided(below, width, padding=padding) + same(make, width, residual))
    levels.append(make.strided(last, 128, (3, 1, 1), (2, 1, 1), last_padding))
    return Sequential(*(Sequential(*level) for level in levels), *([SparseToDense(3)] if dense else []))


def same(make, width, residual, repeats=2):
    """List layers that keep channels and sites: basic blocks with biases, or submanifold convolutions."""
    layers = []
    for _ in range(repeats):
        layers += make.basic(width, width, bias=True) if residual else make.submanifold(width, width)
    return layers
