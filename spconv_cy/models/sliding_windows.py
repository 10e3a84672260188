"""A classifier applied to every window of a larger field, in its fully convolutional form."""

from __future__ import annotations

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import kind_of
from spconv_cy.errors import expected
from spconv_cy.layers import Dropout, GlobalPooling, Layer, LeakyReLU, NetworkInNetwork, Sequential

HEAD = (NetworkInNetwork, LeakyReLU, Dropout)


@known_arguments
def sliding_window(net: Layer) -> Sequential:
    """Return a network of the layers of `net` without its global pooling: it classifies every window of a field.

    The layers are those of `net`, not copies: training one network changes the other. If the head is a single
    NetworkInNetwork, as in DeepCNet, the mean of the outputs over a sample's sites equals the output of `net`. Site u
    of the result sees the input sites from step * u to step * u + net.input_size(1) - 1 along each axis, where
    step = net.input_size(2) - net.input_size(1).

    Args:
        net: Sequential with one GlobalPooling that is followed by NetworkInNetwork, LeakyReLU and Dropout only.

    Returns:
        Sequential: SparseTensor -> SparseTensor (n, classes).

    Raises:
        TypeError: a network of another form.

    >>> from spconv_cy.models.deepcnets import deepcnet
    >>> sliding_window(deepcnet(1, 4, rng=0)).notation()
    '4C3-MP2-8C2-10C1-linear'
    """
    if isinstance(net, Sequential):
        pools = [i for i, layer in enumerate(net.layers) if isinstance(layer, GlobalPooling)]
        if len(pools) == 1 and all(isinstance(layer, HEAD) for layer in net.layers[pools[0] + 1:]):
            return Sequential(*net.layers[:pools[0]], *net.layers[pools[0] + 1:])
    raise TypeError(expected("sliding_window", "a Sequential with one GlobalPooling, followed by NetworkInNetwork, "
                             "LeakyReLU and Dropout only", f"{kind_of(net)}: {net}"))
