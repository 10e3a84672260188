"""DeepCNet(l, k), DeepCNiN(l, k) and DeepC2(l, k): slow max-pooling, small windows, k more channels a level."""


from spconv_cy.checks import checked_numbers, generator
from spconv_cy.layers.activation import VeryLeakyReLU
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork
from spconv_cy.layers.pooling import GlobalPooling, MaxPooling
from spconv_cy.models.blocks import checked_whole, dropped


def deepcnet(l, k, channels_in=1, classes=10, *, d=2, dropout=0.0, first=3, rng=None):
    """Build DeepCNet(l, k): `kC3-MP2-2kC2-MP2-...-lkC2-MP2-(l+1)kC2-output`, for a field of 3 * 2^l sites an axis.

    Args:
        l: levels of pooling, 1 or more.
        k: channels of the first level; level i has (i + 1) k.
        channels_in: of the input.
        classes: outputs of the linear layer at the end.
        d: dimension, or a Lattice.
        dropout: share p dropped in the last level; level i drops p * i / l, batch-wise.
        first: size of the first windows; 2 where the dimension makes 3^d many: the field is then 3 * 2^l - 1.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes). `net.input_size()` is the field.

    Source: Graham 2014, arXiv:1409.6070, section 4.

    >>> net = deepcnet(5, 30, classes=183, rng=0)
    >>> net.input_size(), net.n_parameters()
    ((96, 96), 286023)
    """
    return _build("deepcnet", l, k, channels_in, classes, d, dropout, rng, first=first)


def deepcnin(l, k, channels_in=1, classes=10, *, d=2, dropout=0.0, rng=None):
    """Build DeepCNiN(l, k): DeepCNet with a network-in-network layer after each pooling and after the last convolution.

    Arguments, result and source as for deepcnet.

    >>> deepcnin(5, 100, 3, rng=0).n_parameters()
    3722910
    """
    return _build("deepcnin", l, k, channels_in, classes, d, dropout, rng, network_in_network=True)


def deepc2(l, k, channels_in=1, classes=10, *, d=2, dropout=0.0, rng=None):
    """Build DeepC2(l, k): `kC2-MP3/2-2kC2-MP3/2-...-lkC2-MP3/2-(l+1)kC2-output`, for a field of 2^(l+2) - 2 an axis.

    Its windows overlap, as they must on a simplex lattice, where those of MP2 do not see every site. Arguments and
    result as for deepcnet.

    Source: Graham 2015, arXiv:1505.02890.

    >>> from spconv_cy.sites.lattice import Lattice
    >>> net = deepc2(6, 32, classes=50, d=Lattice.simplex(3), rng=0)
    >>> net.input_size(), net.n_parameters()
    ((254, 254, 254), 471026)
    """
    return _build("deepc2", l, k, channels_in, classes, d, dropout, rng, first=2, pooling=(3, 2))


def _build(who, l, k, channels_in, classes, d, dropout, rng, network_in_network=False, first=3, pooling=(2, 2)):
    l, k, channels_in, classes, first = checked_whole(who, l=l, k=k, channels_in=channels_in, classes=classes,
                                                      first=first)
    checked_numbers(who, 0, 1, dropout=dropout)
    rng = generator(who, rng)
    layers, channels = [], channels_in
    for level in range(l + 1):
        width, drop = (level + 1) * k, dropout * level / l
        layers += [Convolution(d, channels, width, 2 if level else first, rng=rng), VeryLeakyReLU()]
        if level < l:
            layers.append(MaxPooling(d, *pooling))
        layers += dropped(drop, rng)                                     # after the pooling: it commutes, on fewer rows
        if network_in_network:
            layers += [NetworkInNetwork(width, width, rng=rng), VeryLeakyReLU(), *dropped(drop, rng)]
        channels = width
    return Sequential(*layers, GlobalPooling(), NetworkInNetwork(channels, classes, rng=rng))
