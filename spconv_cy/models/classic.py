"""The networks that came before: LeNet-5 and the multi-layer perceptron."""


from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import ReLU
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork
from spconv_cy.layers.pooling import GlobalPooling, MaxPooling


def lenet5(channels_in=1, classes=10, *, rng=None):
    """Build `6C5-MP2-16C5-MP2-120C5-output` for a field of 32 x 32, all channels connected, pooling without parameters.

    Args:
        channels_in: of the input.
        classes: outputs.
        rng: seed or numpy Generator.

    Source: after LeCun et al. 1998; the 1998 network had a partial connection table and trained sub-sampling.

    >>> lenet5(rng=0).n_parameters()
    51902
    """
    rng = generator("lenet5", rng)
    return Sequential(
        Convolution(2, channels_in, 6, 5, rng=rng), ReLU(), MaxPooling(2, 2),
        Convolution(2, 6, 16, 5, rng=rng), ReLU(), MaxPooling(2, 2),
        Convolution(2, 16, 120, 5, rng=rng), ReLU(),
        GlobalPooling(), NetworkInNetwork(120, classes, rng=rng))


def mlp(widths, *, rng=None):
    """Build a multi-layer perceptron on rows (b, widths[0]), ReLU between its layers.

    Args:
        widths: at least two whole numbers: inputs, hidden layers, outputs.
        rng: seed or numpy Generator.

    >>> mlp((784, 800, 800, 10), rng=0).n_parameters()
    1276810
    """
    if not isinstance(widths, (list, tuple)) or len(widths) < 2:
        raise ShapeError(f"mlp: widths {widths!r} came; at least inputs and outputs fit")
    rng = generator("lenet5", rng)
    layers = []
    for channels_in, channels_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [NetworkInNetwork(channels_in, channels_out, rng=rng), ReLU()]
    return Sequential(*layers[:-1])
