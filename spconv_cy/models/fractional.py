"""Networks of small windows and fractional max-pooling: slow pooling, many levels."""


from spconv_cy.checks import generator, is_real
from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import VeryLeakyReLU
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork
from spconv_cy.layers.fractional import FractionalMaxPooling
from spconv_cy.layers.pooling import GlobalPooling
from spconv_cy.models.blocks import checked_whole, dropped


def fractional_cnn(l, k, ratio=2**0.5, channels_in=1, classes=10, *, d=2, sequence="pseudorandom", overlap="fixed",
                   dropout=0.0, rng=None):
    """Build `(k n C2 - FMP ratio)_l - C2 - C1 - output`: level n = 1 to l has k n channels, then (l+1) k and (l+2) k.

    Args:
        l: levels of fractional max-pooling, 1 or more.
        k: channels of the first level.
        ratio: of the pooling, between 1 and 2; 2**(1/2), 2**(1/3) and 2**(2/3) were used.
        channels_in: of the input.
        classes: outputs of the linear layer at the end.
        d: dimension.
        sequence, overlap: of the regions, as for FractionalMaxPooling.
        dropout: share p dropped after the last C1, batch-wise; p * i / (l + 1) after convolution i = 0 to l. Or a list
            of the l + 2 shares.
        rng: seed or numpy Generator, for the weights, the regions and the dropout.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes). `net.input_size()` is the field. Test it with
        `evaluate(net, data, repeats=12)`.

    Source: Graham 2014, arXiv:1412.6071.

    >>> net = fractional_cnn(6, 32, rng=0)
    >>> net.input_size(), net.n_parameters()
    ((36, 36), 519946)
    """
    l, k, channels_in, classes = checked_whole("fractional_cnn", l=l, k=k, channels_in=channels_in, classes=classes)
    drops = [dropout * i / (l + 1) for i in range(l + 2)] if is_real(dropout) else dropout
    if not isinstance(drops, (list, tuple)) or len(drops) != l + 2:
        raise ShapeError(f"fractional_cnn: dropout {dropout!r} came; a number, or {l + 2} of them, fit")
    rng = generator("fractional_cnn", rng)
    layers, channels = [], channels_in
    for level in range(l + 2):
        width = (level + 1) * k
        layers.append(Convolution(d, channels, width, 2, rng=rng) if level <= l
                      else NetworkInNetwork(channels, width, rng=rng))
        layers.append(VeryLeakyReLU())
        layers += dropped(drops[level], rng)
        if level < l:
            layers.append(FractionalMaxPooling(d, ratio, sequence=sequence, overlap=overlap, rng=rng.integers(2**63)))
        channels = width
    return Sequential(*layers, GlobalPooling(), NetworkInNetwork(channels, classes, rng=rng))
