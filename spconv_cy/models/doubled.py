"""DeepC2C2 and DeepC3C3: two convolutions before each overlapping pooling, on the cubic or the simplex lattice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, checked_numbers, generator
from spconv_cy.layers import Convolution, GlobalPooling, Layer, MaxPooling, NetworkInNetwork, Sequential, VeryLeakyReLU
from spconv_cy.models.blocks import checked_whole, dropped
from spconv_cy.types import Seed

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice


@known_arguments
def deepc2c2(l: int, k: int, channels_in: int = 1, classes: int = 10, *, d: int | Lattice = 2, dropout: float = 0.0,
             rng: Seed = None) -> Sequential:
    """Build DeepC2C2(l, k), a classifier: `kC2-kC2-MP3/2-...-lkC2-lkC2-MP3/2-(l+1)kC2-(l+1)kC1-output`.

    Args:
        l: levels of pooling, 1 or more.
        k: channels of the first level; level i, counted from 0, has (i + 1) * k.
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        d: dimension, or a Lattice.
        dropout: share p of channels that is dropped in the last level, per batch; level i drops p * i / l.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes). `net.input_size()` is the size of the field.

    Source: Graham 2015, arXiv:1505.02890, and the networks that were published with it.

    >>> deepc2c2(5, 10, rng=0).input_size()
    (157, 157)
    """
    return _build("deepc2c2", l, k, channels_in, classes, d, dropout, rng, 2, "valid")


@known_arguments
def deepc3c3(l: int, k: int, channels_in: int = 1, classes: int = 10, *, d: int | Lattice = 2, dropout: float = 0.0,
             centred: bool = False, rng: Seed = None) -> Sequential:
    """Build DeepC3C3(l, k): DeepC2C2 with windows of size 3.

    Args:
        l: levels of pooling, 1 or more.
        k: channels of the first level; level i, counted from 0, has (i + 1) * k.
        channels_in: channels of the input.
        classes: number of classes.
        d: dimension, or a Lattice.
        dropout: share p of channels that is dropped in the last level, per batch; level i drops p * i / l.
        centred: in all levels but the last, an output site is active only if the middle of its window is
            ("DeepC3C3Valid"). Sites then do not spread, and the result differs from that of a dense network.
        rng: seed or numpy Generator.

    Result and source as for deepc2c2.

    >>> deepc3c3(4, 10, rng=0).input_size()
    (123, 123)
    """
    checked_flags("deepc3c3", centred=centred)
    return _build("deepc3c3", l, k, channels_in, classes, d, dropout, rng, 3, "centre" if centred else "valid")


def _build(who: str, l: int, k: int, channels_in: int, classes: int, d: int | Lattice, dropout: float, rng: Seed,
           size: int, sites: str) -> Sequential:
    l, k, channels_in, classes = checked_whole(who, l=l, k=k, channels_in=channels_in, classes=classes)
    checked_numbers(who, 0, 1, dropout=dropout)
    random, channels = generator(who, rng), channels_in
    layers: list[Layer] = []
    for level in range(l + 1):
        width, share, last = (level + 1) * k, dropout * level / l, level == l
        first = Convolution(d, channels, width, size, sites="valid" if last else sites, rng=random)
        second = (NetworkInNetwork(width, width, rng=random) if last else
                  Convolution(d, width, width, size, sites=sites, rng=random))
        layers += [first, VeryLeakyReLU(), *dropped(share, random), second, VeryLeakyReLU(),
                   *([] if last else [MaxPooling(d, 3, 2)]), *dropped(share, random)]
        channels = width
    return Sequential(*layers, GlobalPooling(), NetworkInNetwork(channels, classes, rng=random))
