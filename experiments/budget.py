"""The widest network of a family that keeps to a number of parameters."""

from spconv_cy.checks import checked_function
from spconv_cy.layers.layer import Layer
from spconv_cy.models.blocks import checked_whole


def widest(build, parameters):
    """Return build(k) of the largest whole k >= 1 whose network has at most so many parameters.

    So networks of other dimensions or depths are set beside each other at about the same number.

    Args:
        build: function of a width that gives a Layer, with more parameters for a larger width.
        parameters: at most; build(1) comes back where even that has more.

    >>> from spconv_cy.models.deepcnets import deepcnet
    >>> nets = [widest(lambda k: deepcnet(3, k, d=d, first=2, rng=0), 20_000) for d in (2, 3, 4)]
    >>> [net.n_parameters() for net in nets]
    [18820, 16590, 16152]
    """
    parameters, = checked_whole("widest", parameters=parameters)
    checked_function("widest", build, "build to be a function of a width that gives a Layer")
    k, net, wider = 1, _made(build, 1), _made(build, 2)
    while wider.n_parameters() <= parameters:
        if wider.n_parameters() <= net.n_parameters():
            raise ValueError(f"widest: build({k + 1}) has {wider.n_parameters()} parameters, no more than build({k}); "
                             "a function whose networks grow with the width fits")
        k, net, wider = k + 1, wider, _made(build, k + 2)
    return net


def _made(build, k):
    net = build(k)
    if not isinstance(net, Layer):
        raise TypeError(f"widest: build({k}) gave a {type(net).__name__}; a Layer fits")
    return net
