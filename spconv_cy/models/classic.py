"""Two classic networks: LeNet-5 and the multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import Convolution, GlobalPooling, Layer, MaxPooling, NetworkInNetwork, ReLU, Sequential
from spconv_cy.types import Seed


@known_arguments
def lenet5(channels_in: int = 1, classes: int = 10, *, rng: Seed = None) -> Sequential:
    """Build LeNet-5, `6C5-MP2-16C5-MP2-120C5-output`, for pictures of 32 x 32.

    All channels are connected, and the pooling has no parameters. The network of 1998 had a partial connection table
    and trained sub-sampling.

    Args:
        channels_in: channels of the input.
        classes: number of classes.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor -> Tensor (b, classes).

    Source: after LeCun et al. 1998.

    >>> lenet5(rng=0).n_parameters()
    51902
    """
    rng = generator("lenet5", rng)
    return Sequential(
        Convolution(2, channels_in, 6, 5, rng=rng), ReLU(), MaxPooling(2, 2),
        Convolution(2, 6, 16, 5, rng=rng), ReLU(), MaxPooling(2, 2),
        Convolution(2, 16, 120, 5, rng=rng), ReLU(),
        GlobalPooling(), NetworkInNetwork(120, classes, rng=rng))


@known_arguments
def mlp(widths: Sequence[int], *, rng: Seed = None) -> Sequential:
    """Build a multi-layer perceptron with ReLU between its layers.

    Args:
        widths: at least two whole numbers: inputs, hidden layers, outputs.
        rng: seed or numpy Generator.

    Returns:
        Sequential: Tensor (b, widths[0]) -> Tensor (b, widths[-1]).

    >>> mlp((784, 800, 800, 10), rng=0).n_parameters()
    1276810
    """
    if not isinstance(widths, (list, tuple)) or len(widths) < 2:
        raise ShapeError(expected("mlp", "widths to be a list of two numbers or more, from inputs to outputs",
                                  repr(widths)))
    rng = generator("mlp", rng)
    layers: list[Layer] = []
    for channels_in, channels_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [NetworkInNetwork(channels_in, channels_out, rng=rng), ReLU()]
    return Sequential(*layers[:-1])
