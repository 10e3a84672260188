"""DeepC2C2 and DeepC3C3: two convolutions before each pooling that overlaps, on the cubic or the simplex lattice."""


from spconv_cy.checks import checked_flags, checked_numbers, generator
from spconv_cy.layers.activation import VeryLeakyReLU
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork
from spconv_cy.layers.pooling import GlobalPooling, MaxPooling
from spconv_cy.models.blocks import checked_whole, dropped


def deepc2c2(l, k, channels_in=1, classes=10, *, d=2, dropout=0.0, rng=None):
    """Build DeepC2C2(l, k): `kC2-kC2-MP3/2-...-lkC2-lkC2-MP3/2-(l+1)kC2-(l+1)kC1-output`.

    Args:
        l: levels of pooling, 1 or more.
        k: channels of the first level; level i has (i + 1) k.
        channels_in: of the input.
        classes: outputs of the linear layer at the end.
        d: dimension, or a Lattice.
        dropout: share p dropped in the last level; level i drops p * i / l, batch-wise.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes). `net.input_size()` is the field.

    Source: Graham 2015, arXiv:1505.02890, and the networks that were published with it.

    >>> deepc2c2(5, 10, rng=0).input_size()
    (157, 157)
    """
    return _build("deepc2c2", l, k, channels_in, classes, d, dropout, rng, 2, "valid")


def deepc3c3(l, k, channels_in=1, classes=10, *, d=2, dropout=0.0, centred=False, rng=None):
    """Build DeepC3C3(l, k), as DeepC2C2 with windows of size 3.

    Args:
        centred: below the last level a site is active where the middle of its window is, and has the ground state
            elsewhere ("DeepC3C3Valid"): sites do not spread, and the result is not a dense network's.

    The other arguments, result and source as for deepc2c2.

    >>> deepc3c3(4, 10, rng=0).input_size()
    (123, 123)
    """
    checked_flags("deepc3c3", centred=centred)
    return _build("deepc3c3", l, k, channels_in, classes, d, dropout, rng, 3, "centre" if centred else "valid")


def _build(who, l, k, channels_in, classes, d, dropout, rng, size, sites):
    l, k, channels_in, classes = checked_whole(who, l=l, k=k, channels_in=channels_in, classes=classes)
    checked_numbers(who, 0, 1, dropout=dropout)
    rng, layers, channels = generator(who, rng), [], channels_in
    for level in range(l + 1):
        width, share = (level + 1) * k, dropout * level / l
        first = Convolution(d, channels, width, size, sites=sites if level < l else "valid", rng=rng)
        if level < l:
            second, pooling = Convolution(d, width, width, size, sites=sites, rng=rng), [MaxPooling(d, 3, 2)]
        else:
            second, pooling = NetworkInNetwork(width, width, rng=rng), []
        layers += [first, VeryLeakyReLU(), *dropped(share, rng),
                   second, VeryLeakyReLU(), *pooling, *dropped(share, rng)]
        channels = width
    return Sequential(*layers, GlobalPooling(), NetworkInNetwork(channels, classes, rng=rng))
