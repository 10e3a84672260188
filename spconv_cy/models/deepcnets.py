"""DeepCNet(l, k), DeepCNiN(l, k) and DeepC2(l, k): slow max-pooling, small windows, k more channels at each level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_numbers, generator
from spconv_cy.layers import Convolution, GlobalPooling, Layer, MaxPooling, NetworkInNetwork, Sequential, VeryLeakyReLU
from spconv_cy.models.blocks import checked_whole, dropped
from spconv_cy.types import Seed

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice


@known_arguments
def deepcnet(l: int, k: int, channels_in: int = 1, classes: int = 10, *, d: int | Lattice = 2, dropout: float = 0.0,
             first: int = 3, rng: Seed = None) -> Sequential:
    """Build DeepCNet(l, k), a classifier: `kC3-MP2-2kC2-MP2-...-lkC2-MP2-(l+1)kC2-output`.

    The field has 3 * 2^l sites along each axis.

    Args:
        l: levels of pooling, 1 or more.
        k: channels of the first level; level i, counted from 0, has (i + 1) * k.
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        d: dimension, or a Lattice.
        dropout: share p of channels that is dropped in the last level, per batch; level i drops p * i / l.
        first: size of the first windows. With 2, for dimensions in which 3^d is large, the field is 3 * 2^l - 1.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes). `net.input_size()` is the size of the field.

    Source: Graham 2014, arXiv:1409.6070, section 4.

    >>> net = deepcnet(5, 30, classes=183, rng=0)
    >>> net.input_size(), net.n_parameters()
    ((96, 96), 286023)
    """
    return _build("deepcnet", l, k, channels_in, classes, d, dropout, rng, first=first)


@known_arguments
def deepcnin(l: int, k: int, channels_in: int = 1, classes: int = 10, *, d: int | Lattice = 2, dropout: float = 0.0,
             rng: Seed = None) -> Sequential:
    """Build DeepCNiN(l, k): DeepCNet with a network-in-network layer after each pooling and after the last convolution.

    Args:
        l: levels of pooling, 1 or more.
        k: channels of the first level; level i, counted from 0, has (i + 1) * k.
        channels_in: channels of the input.
        classes: number of classes.
        d: dimension, or a Lattice.
        dropout: share p of channels that is dropped in the last level, per batch; level i drops p * i / l.
        rng: seed or numpy Generator.

    Result and source as for deepcnet.

    >>> deepcnin(5, 100, 3, rng=0).n_parameters()
    3722910
    """
    return _build("deepcnin", l, k, channels_in, classes, d, dropout, rng, network_in_network=True)


@known_arguments
def deepc2(l: int, k: int, channels_in: int = 1, classes: int = 10, *, d: int | Lattice = 2, dropout: float = 0.0,
           rng: Seed = None) -> Sequential:
    """Build DeepC2(l, k), a classifier: `kC2-MP3/2-2kC2-MP3/2-...-lkC2-MP3/2-(l+1)kC2-output`.

    The field has 2^(l+2) - 2 sites along each axis. The windows of the pooling overlap, because on a simplex lattice
    those of MP2 do not cover every site.

    Args:
        l: levels of pooling, 1 or more.
        k: channels of the first level; level i, counted from 0, has (i + 1) * k.
        channels_in: channels of the input.
        classes: number of classes.
        d: dimension, or a Lattice.
        dropout: share p of channels that is dropped in the last level, per batch; level i drops p * i / l.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes). `net.input_size()` is the size of the field.

    Source: Graham 2015, arXiv:1505.02890.

    >>> from spconv_cy.sites.lattice import Lattice
    >>> net = deepc2(6, 32, classes=50, d=Lattice.simplex(3), rng=0)
    >>> net.input_size(), net.n_parameters()
    ((254, 254, 254), 471026)
    """
    return _build("deepc2", l, k, channels_in, classes, d, dropout, rng, first=2, pooling=(3, 2))


def _build(who: str, l: int, k: int, channels_in: int, classes: int, d: int | Lattice, dropout: float, rng: Seed,
           network_in_network: bool = False, first: int = 3, pooling: tuple[int, int] = (2, 2)) -> Sequential:
    l, k, channels_in, classes, first = checked_whole(who, l=l, k=k, channels_in=channels_in, classes=classes,
                                                      first=first)
    checked_numbers(who, 0, 1, dropout=dropout)
    random = generator(who, rng)
    layers: list[Layer] = []
    channels = channels_in
    for level in range(l + 1):
        width, drop = (level + 1) * k, dropout * level / l
        layers += [Convolution(d, channels, width, 2 if level else first, rng=random), VeryLeakyReLU()]
        if level < l:
            layers.append(MaxPooling(d, *pooling))
        layers += dropped(drop, random)          # after the pooling: the result is the same, and there are fewer rows
        if network_in_network:
            layers += [NetworkInNetwork(width, width, rng=random), VeryLeakyReLU(), *dropped(drop, random)]
        channels = width
    return Sequential(*layers, GlobalPooling(), NetworkInNetwork(channels, classes, rng=random))
