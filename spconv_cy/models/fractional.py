"""Networks of small windows and fractional max-pooling, which pools slowly over many levels."""

from __future__ import annotations

from collections.abc import Sequence

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import generator, is_real
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    Convolution,
    FractionalMaxPooling,
    GlobalPooling,
    Layer,
    NetworkInNetwork,
    Sequential,
    VeryLeakyReLU,
)
from spconv_cy.models.blocks import checked_whole, dropped
from spconv_cy.types import Seed


@known_arguments
def fractional_cnn(l: int, k: int, ratio: float = 2**0.5, channels_in: int = 1, classes: int = 10, *, d: int = 2,
                   sequence: str = "pseudorandom", overlap: str = "fixed", dropout: float | Sequence[float] = 0.0,
                   rng: Seed = None) -> Sequential:
    """Build a classifier with fractional max-pooling: `(k n C2 - FMP ratio)_l - C2 - C1 - output`.

    Level n = 1 to l has k * n channels, the last two convolutions have (l + 1) * k and (l + 2) * k.

    Args:
        l: levels of fractional max-pooling, 1 or more.
        k: channels of the first level.
        ratio: of the pooling, between 1 and 2; the paper uses 2**(1/2), 2**(1/3) and 2**(2/3).
        channels_in: channels of the input.
        classes: number of classes, the outputs of the last layer, which is linear.
        d: dimension.
        sequence, overlap: kind of the pooling regions, as for FractionalMaxPooling.
        dropout: share p of channels that is dropped after the last C1, per batch; convolution i = 0 to l drops
            p * i / (l + 1). Or a list of all l + 2 shares.
        rng: seed or numpy Generator, for the weights, the regions and the dropout.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes). `net.input_size()` is the size of the field. Test it with
        `evaluate(net, data, repeats=12)`, which averages over random regions.

    Source: Graham 2014, arXiv:1412.6071.

    >>> net = fractional_cnn(6, 32, rng=0)
    >>> net.input_size(), net.n_parameters()
    ((36, 36), 519946)
    """
    l, k, channels_in, classes = checked_whole("fractional_cnn", l=l, k=k, channels_in=channels_in, classes=classes)
    drops = _shares(dropout, l)
    random = generator("fractional_cnn", rng)
    layers: list[Layer] = []
    channels = channels_in
    for level in range(l + 2):
        width = (level + 1) * k
        layers.append(Convolution(d, channels, width, 2, rng=random) if level <= l
                      else NetworkInNetwork(channels, width, rng=random))
        layers.append(VeryLeakyReLU())
        layers += dropped(drops[level], random)
        if level < l:
            layers.append(FractionalMaxPooling(d, ratio, sequence=sequence, overlap=overlap,
                                               rng=random.integers(2**63)))
        channels = width
    return Sequential(*layers, GlobalPooling(), NetworkInNetwork(channels, classes, rng=random))


def _shares(dropout: float | Sequence[float], l: int) -> Sequence[float]:
    if isinstance(dropout, (list, tuple)) and len(dropout) == l + 2:
        return dropout
    if not is_real(dropout):
        raise ShapeError(expected("fractional_cnn", f"dropout to be a number or a list of {l + 2} numbers",
                                  repr(dropout)))
    return [dropout * i / (l + 1) for i in range(l + 2)]
