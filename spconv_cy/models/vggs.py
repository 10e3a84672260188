"""VGG networks of submanifold convolutions, with plus blocks, whose strided branches see a larger part of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import generator, is_integer
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    BatchNormalization,
    Concatenate,
    Convolution,
    Deconvolution,
    Layer,
    MaxPooling,
    ReLU,
    Sequential,
    SubmanifoldConvolution,
)
from spconv_cy.models.blocks import checked_list, checked_whole
from spconv_cy.types import Seed


@known_arguments
def vgg(layers: Sequence[int | str | tuple[int | str, ...]], channels_in: int = 1, *, d: int = 2,
        rng: Seed = None) -> Sequential:
    """Build a VGG network without a head; `Sequential(*vgg(...), *head)` is a whole network.

    Args:
        layers: a list with one entry for each layer, in order:

            - n: a submanifold convolution of size 3 to n channels;
            - (n, a), (n, a, b) or (n, a, b, c): the same, concatenated with branches of a, b and c channels, which are
              strided one, two and three times and return to the same sites; n + a + b + c channels in total;
            - "MP" or ("MP", size, stride): max-pooling, by default of size 3 and stride 2;
            - "C3/2" or ("C3/2", n): a convolution of size 3 and stride 2, to the same number of channels or to n.

            Batch normalisation and ReLU follow each layer except the pooling. No convolution has a bias.
        channels_in: channels of the input.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor.

    Raises:
        ShapeError: an entry that is none of these.

    Source: Graham and van der Maaten 2017, arXiv:1706.01307; the builder of SparseConvNet.

    >>> net = vgg([8, 8, "MP", 16, 16, "MP", (16, 8), (16, 8), "MP"], 3, rng=0)
    >>> net.input_size(11), net.n_parameters()
    ((95, 95), 15448)
    """
    checked_list("vgg", "layers", layers)
    channels, = checked_whole("vgg", channels_in=channels_in)
    random = generator("vgg", rng)
    made: list[Layer] = []
    for entry in layers:
        kind, *numbers = cast("tuple[Any, ...]", entry if isinstance(entry, (tuple, list)) else (entry,))
        word = kind if isinstance(kind, str) else None
        if word == "MP" and len(numbers) in (0, 2):
            made.append(MaxPooling(d, *(numbers or (3, 2)), background="zero"))
        elif word == "C3/2" and len(numbers) < 2:
            wanted = numbers[0] if numbers else channels
            made += normalised(Convolution(d, channels, wanted, 3, 2, bias=False, rng=random))
            channels = wanted
        elif is_integer(kind) and len(numbers) < 4:
            made += _plus(d, channels, kind, numbers, random)
            channels = kind + sum(numbers)
        else:
            raise ShapeError(expected("vgg", "each entry to be such as 16, (16, 8), 'MP', ('MP', 2, 2), 'C3/2' or "
                                      "('C3/2', 32)", repr(entry)))
    return Sequential(*made)


def _plus(d: int, channels: int, n: int, branches: Sequence[int], rng: np.random.Generator) -> list[Layer]:
    first = SubmanifoldConvolution(d, channels, n, 3, bias=False, rng=rng)
    if not branches:
        return normalised(first)
    joined = Concatenate(first, *(_branch(d, channels, width, depth + 1, rng) for depth, width in enumerate(branches)))
    return [joined, *activated(n + sum(branches))]


def _branch(d: int, channels: int, width: int, depth: int, rng: np.random.Generator) -> Sequential:
    layers = []
    for _ in range(depth):
        layers += normalised(Convolution(d, channels, width, 3, 2, bias=False, rng=rng))
        layers += normalised(SubmanifoldConvolution(d, width, width, 3, bias=False, rng=rng))
        channels = width
    for _ in range(depth - 1):
        layers += normalised(Deconvolution(d, width, width, 3, 2, bias=False, rng=rng))
        layers += normalised(SubmanifoldConvolution(d, width, width, 3, bias=False, rng=rng))
    return Sequential(*layers, Deconvolution(d, width, width, 3, 2, bias=False, rng=rng))


def normalised(layer: Convolution) -> list[Layer]:
    """Return a convolution, SparseConvNet's batch normalisation and ReLU, as a list."""
    return [layer, *activated(layer.channels_out)]


def activated(channels: int) -> list[Layer]:
    """Return SparseConvNet's batch normalisation and ReLU, as a list."""
    return [BatchNormalization(channels), ReLU()]
