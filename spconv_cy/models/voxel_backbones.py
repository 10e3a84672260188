"""The middle encoder of SECOND and the residual one of CenterPoint, from the voxels of a scene to a bird's-eye view."""

from __future__ import annotations

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags
from spconv_cy.layers import Layer, Sequential, SparseToDense
from spconv_cy.models.blocks import DETECTION, Blocks, checked_whole
from spconv_cy.types import Seed


@known_arguments
def voxel_backbone_8x(channels_in: int = 4, *, residual: bool = False, bias: bool = True,
                      last_padding: int | tuple[int, int, int] = 0, dense: bool = False, rng: Seed = None
                      ) -> Sequential:
    """Build SECOND's middle encoder, or CenterPoint's with `residual`; the output is eight times coarser.

    The axes are z, y, x. The field should have a size, because no window reaches beyond it: that of the voxels with one
    more layer in z, (41, 1600, 1408) for KITTI. Each level of the encoder is one layer of the result, so that
    `for level in net: x = level(x)` gives the scales 1, 2, 4, 8 and the output.

    Args:
        channels_in: channels of the voxels.
        residual: use basic blocks instead of submanifold convolutions, and 128 channels in the last level.
        bias: whether the convolutions of basic blocks have biases, as in OpenPCDet; those of mmdetection3d have none.
        last_padding: padding of the last convolution, which is strided in z: 0, or such as (1, 0, 0).
        dense: return a Tensor (b, 128, z, y, x); `.reshape(b, -1, y, x)` of its data turns z into channels.
        rng: seed or numpy Generator.

    Returns:
        Sequential of levels: SparseTensor with `ground=None` -> SparseTensor, or Tensor.

    Source: Yan et al. 2018, Sensors 18(10):3337; Yin et al. 2021, arXiv:2006.11275; the sizes of OpenPCDet.

    >>> voxel_backbone_8x(rng=0).n_parameters(), voxel_backbone_8x(5, residual=True, rng=0).n_parameters()
    (711872, 2695312)
    """
    channels_in, = checked_whole("voxel_backbone_8x", channels_in=channels_in)
    checked_flags("voxel_backbone_8x", residual=residual, bias=bias, dense=dense)
    make = Blocks(3, DETECTION, rng)
    last = 128 if residual else 64
    levels = [make.submanifold(channels_in, 16) + same(make, 16, residual, bias,
                                                                 repeats=2 if residual else 1)]
    paddings: list[int | tuple[int, int, int]] = [1, 1, (0, 1, 1)]
    for below, width, padding in zip((16, 32, 64), (32, 64, last), paddings, strict=True):
        levels.append(make.strided(below, width, padding=padding) + same(make, width, residual, bias))
    levels.append(make.strided(last, 128, (3, 1, 1), (2, 1, 1), last_padding))
    return Sequential(*(Sequential(*level) for level in levels), *([SparseToDense(3)] if dense else []))


def same(make: Blocks, width: int, residual: bool, bias: bool = True, repeats: int = 2) -> list[Layer]:
    """Return layers that keep channels and sites: basic blocks, or submanifold convolutions without biases."""
    layers: list[Layer] = []
    for _ in range(repeats):
        layers += make.basic(width, width, bias=bias) if residual else make.submanifold(width, width)
    return layers
