"""The pre-activation ResNet of submanifold convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import Convolution, Layer, NetworkInNetwork, Residual, Sequential, SubmanifoldConvolution
from spconv_cy.models.blocks import checked_list, checked_whole
from spconv_cy.models.vggs import activated, normalised
from spconv_cy.types import Seed


@known_arguments
def resnet(blocks: Sequence[tuple[int, int, int]], channels_in: int, *, d: int = 2, rng: Seed = None) -> Sequential:
    """Build a ResNet without a head; `Sequential(*stem, *resnet(...), *head)` is a whole network.

    Args:
        blocks: a list of (n, repeats, stride). Each entry is batch normalisation and ReLU, then two convolutions of
            size 3 to n channels with a shortcut around them, the first with the stride. The shortcut is a strided
            convolution of size 3, or a matrix if only the channels change, or the identity. Then follow `repeats - 1`
            blocks whose normalisation is inside the block and whose shortcut is the identity.
        channels_in: channels of the input.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor, after batch normalisation and ReLU.

    Raises:
        ShapeError: an entry that is not (channels, repeats, stride), or a number that is not whole or below 1.

    Source: He et al. 2016, arXiv:1603.05027; the builder of SparseConvNet.

    >>> net = resnet([(8, 2, 1), (16, 2, 2), (24, 2, 2), (32, 2, 2)], 8, rng=0)
    >>> net.input_size(5), net.n_parameters()
    ((47, 47), 76112)
    """
    checked_list("resnet", "blocks", blocks)
    channels, = checked_whole("resnet", channels_in=channels_in)
    random = generator("resnet", rng)
    layers: list[Layer] = []
    for block in blocks:
        if not isinstance(block, (tuple, list)) or len(block) != 3:
            raise ShapeError(expected("resnet", "each block to be (channels, repeats, stride)", repr(block)))
        n, repeats, stride = block
        checked_whole("resnet", channels=n, repeats=repeats, stride=stride)
        layers += [*activated(channels), _first(d, channels, n, stride, random)]
        for _ in range(repeats - 1):
            layers.append(Residual(*activated(n), *_two(_same(d, n, n, random), d, n, random)))
        channels = n
    return Sequential(*layers, *activated(channels))


def _first(d: int, channels: int, n: int, stride: int, rng: np.random.Generator) -> Residual:
    first: Convolution
    shortcut: Convolution | NetworkInNetwork | None = None
    if stride > 1:
        first, shortcut = (Convolution(d, channels, n, 3, stride, bias=False, rng=rng) for _ in range(2))
    else:
        first = _same(d, channels, n, rng)
        if channels != n:
            shortcut = NetworkInNetwork(channels, n, bias=False, rng=rng)
    return Residual(*_two(first, d, n, rng), shortcut=shortcut)


def _two(first: Convolution, d: int, n: int, rng: np.random.Generator) -> list[Layer]:
    return [*normalised(first), _same(d, n, n, rng)]


def _same(d: int, channels: int, n: int, rng: np.random.Generator) -> SubmanifoldConvolution:
    return SubmanifoldConvolution(d, channels, n, 3, bias=False, rng=rng)
