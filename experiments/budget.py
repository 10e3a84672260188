"""The widest network of a family within a number of parameters."""

from spconv_cy.checks import checked_function
from spconv_cy.errors import expected
from spconv_cy.layers.layer import Layer
from spconv_cy.models.blocks import checked_whole


def widest(build, parameters):
    """Return build(k) for the largest integer k >= 1 whose network has at most `parameters` parameters.

    Networks of different dimensions or depths are compared in this way, with about the same number of parameters.

    Args:
        build: function of a width that returns a Layer; a larger width gives more parameters.
        parameters: the largest number allowed; if build(1) has more, it is returned all the same.

    Returns:
        Layer.

    Raises:
        ValueError: the number of parameters does not grow with the width.
        TypeError: build returns something else than a Layer.

    >>> from spconv_cy.models.deepcnets import deepcnet
    >>> nets = [widest(lambda k: deepcnet(3, k, d=d, first=2, rng=0), 20_000) for d in (2, 3, 4)]
    >>> [net.n_parameters() for net in nets]
    [18820, 16590, 16152]
    """
    parameters, = checked_whole("widest", parameters=parameters)
    checked_function("widest", build, "build to be a function of a width that returns a Layer")
    k, net, wider = 1, _made(build, 1), _made(build, 2)
    while wider.n_parameters() <= parameters:
        if wider.n_parameters() <= net.n_parameters():
            raise ValueError(expected(f"widest: build({k + 1})", f"more parameters than build({k})",
                                      wider.n_parameters()))
        k, net, wider = k + 1, wider, _made(build, k + 2)
    return net


def _made(build, k):
    net = build(k)
    if not isinstance(net, Layer):
        raise TypeError(expected(f"widest: build({k})", "a Layer", f"a {type(net).__name__}"))
    return net
