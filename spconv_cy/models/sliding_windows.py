"""A classifier as a network that answers at every window: its fully convolutional form."""

from spconv_cy.layers.activation import LeakyReLU
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import NetworkInNetwork
from spconv_cy.layers.dropout import Dropout
from spconv_cy.layers.pooling import GlobalPooling

HEAD = (NetworkInNetwork, LeakyReLU, Dropout)


def sliding_window(net):
    """Return the network without its terminal pooling: the answer of every window, instead of one for each sample.

    The layers are the very same, so that what one learns the other knows. Of a head that is one NetworkInNetwork, as
    DeepCNet has it, the mean of the answers over a sample's sites is the network's own. Site u of the result looks at
    the input from `step * u` on, `net.input_size(1)` sites an axis, where step is `net.input_size(2)` less that.

    Args:
        net: Sequential with one GlobalPooling, after which only NetworkInNetwork, LeakyReLU and Dropout stand.

    Returns:
        Sequential: SparseTensor -> SparseTensor (n, classes).

    Raises:
        TypeError: another network.

    >>> from spconv_cy.models.deepcnets import deepcnet
    >>> sliding_window(deepcnet(1, 4, rng=0)).notation()
    '4C3-MP2-8C2-10C1-linear'
    """
    if isinstance(net, Sequential):
        pools = [i for i, layer in enumerate(net.layers) if isinstance(layer, GlobalPooling)]
        if len(pools) == 1 and all(isinstance(layer, HEAD) for layer in net.layers[pools[0] + 1:]):
            return Sequential(*net.layers[:pools[0]], *net.layers[pools[0] + 1:])
    raise TypeError("sliding_window: a Sequential with one GlobalPooling, and after it layers of rows alone "
                    f"(NetworkInNetwork, LeakyReLU, Dropout), fits; {type(net).__name__} came: {net}")
