"""From a network to a frozen one."""

from __future__ import annotations

import copy
from typing import Any

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import kind_of
from spconv_cy.deploy.frozen import Frozen
from spconv_cy.deploy.products import packed
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.steps import Convolve
from spconv_cy.deploy.tracing import CannotTraceError, Tracer, computes_as_the_library
from spconv_cy.errors import expected
from spconv_cy.layers import Layer, Sequential


@known_arguments
def freeze(net: Layer) -> Frozen:
    """Return a network for inference on the CPU, with the values that `net` has in evaluation mode.

    Args:
        net: Layer; it is not changed, and the result keeps its values if `net` is trained further.
    """
    if not isinstance(net, Layer):
        raise TypeError(expected("freeze", "a Layer", kind_of(net)))
    if isinstance(net, Frozen):
        return net
    copied = copy.deepcopy(net).eval()
    return Frozen(*_parts(_flat(copied)))


def _flat(net: Any) -> list[Any]:
    plain = isinstance(net, Sequential) and not hasattr(net, "shortcut") and computes_as_the_library(net)
    return [inner for layer in net.layers for inner in _flat(layer)] if plain else [net]


def _parts(layers: list[Any]) -> list[Any]:
    """Return Programs of as many layers as possible, and the layers between them."""
    parts: list[Any] = []
    tracer, y = Tracer(None), 0
    for layer in layers:
        before = _state(tracer)
        try:
            y = tracer.layer(layer, y)
        except CannotTraceError:
            _restore(tracer, before)
            if tracer.steps:
                parts.append(_program(tracer, y))
            parts.append(layer)
            tracer, y = Tracer(None), 0
    return [*parts, _program(tracer, y)] if tracer.steps else parts


def _state(tracer: Tracer) -> Any:
    # Steps may be changed by a layer that cannot be traced in the end.
    return copy.deepcopy(vars(tracer))


def _restore(tracer: Tracer, before: Any) -> None:
    vars(tracer).update(before)


def _program(tracer: Tracer, y: int) -> Program:
    for step in tracer.steps:
        if isinstance(step, Convolve):
            state: Any = step.product
            step.product = packed("float32", state)
    return Program(tracer.values, tracer.steps, tracer.links, y)


