"""From a network to a frozen one."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, kind_of
from spconv_cy.deploy.frozen import Frozen
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.stages import Scales
from spconv_cy.deploy.tracing import CannotTraceError, Tracer, computes_as_the_library
from spconv_cy.errors import expected
from spconv_cy.layers import Layer, Pyramid, Sequential, ToPoints


@known_arguments
def freeze(net: Layer, *, memory: int | str | None = None, precision: str = "float32",
           calibrate: Iterable[Any] | None = None, float_ends: bool = True) -> Frozen:
    """Return a network for inference on the CPU, with the values that `net` has in evaluation mode.

    Batch normalisation, sums and leaky ReLUs are computed in the pass of the convolution before them. Weights are
    copied in the order in which the processor's kernels read them. All rulebooks are found before the first
    convolution, and kept while the sites stay the same. Rows lie in one piece of memory, whose size is known before
    anything is computed. Layers whose sites are not known before they run are called as they are.

    Args:
        net: Layer; it is not changed, and the result keeps its values if `net` is trained further.
        memory: limit of a call in bytes, or such as "1GB": a call that would take more is refused before it computes
            anything, and a batch of several samples is computed sample by sample if that is enough; None: no limit.
        precision: "float32"; or "bfloat16" or "int8" for weights and features in half or a quarter of the memory, whose
            products are summed in float32 and int32. Layers that have no such form run in float32: the text of the
            result names them.
        calibrate: for "int8", a list of some inputs, as a call takes them: numbers beyond those that occur between the
            layers for them are cut off later. Not used for the others.
        float_ends: False: the first and the last convolution are computed in the precision, too.

    Raises:
        TypeError: net is no Layer; wrong kinds of inputs for "int8".
        ValueError: a limit that is no number of bytes, another precision, or none or wrong inputs for "int8".
        BackendError: "bfloat16" or "int8" without the compiled core.

    >>> from spconv_cy.models import unet
    >>> from spconv_cy.tensor import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 1, 2, 3], [0, 1, 2, 4]], [[1.0], [2.0]], size=8, ground=None)
    >>> frozen = freeze(unet(3, 4, rng=0))
    >>> frozen(x).shape, frozen.memory(x) > 0
    ((2, 10), True)
    """
    if not isinstance(net, Layer):
        raise TypeError(expected("freeze", "a Layer", kind_of(net)))
    checked_flags("freeze", float_ends=float_ends)
    plain = precision == "float32" and calibrate is None
    half: Any = None if plain else import_module("spconv_cy.deploy.half_freeze")
    samples = [] if plain else half.checked_precision(precision, calibrate)
    limit = Frozen.of([], memory).limit                                  # which refuses a wrong limit at once
    if isinstance(net, Frozen):
        if precision not in ("float32", net.precision):
            raise ValueError(expected("freeze", f"a network that is not frozen, for {precision}",
                                      f"one frozen in {net.precision}", "freeze the network itself"))
        return net if limit is None else Frozen.of(list(net.parts), limit)
    shared = {id(parameter.data): parameter.data for parameter in net.parameters()}
    frozen = Frozen.of(_parts(_flat(copy.deepcopy(net, shared).eval()), precision == "float32"), limit)
    if precision == "float32":
        return frozen
    made: Frozen = half.in_precision(frozen, precision, samples, float_ends)
    return made


def _flat(net: Any) -> list[Any]:
    plain = isinstance(net, Sequential) and not hasattr(net, "shortcut") and computes_as_the_library(net)
    if not plain:
        return [net]
    return [inner for layer in net.layers for inner in _flat(layer)] + [ToPoints()] * isinstance(net, ToPoints)


def _parts(layers: list[Any], join: bool) -> list[Any]:
    """Return Programs of as many layers as possible, and copies of the layers between them; join: as for Program."""
    parts: list[Any] = []
    tracer, y = Tracer(None), 0
    for layer in layers:
        before = tracer.state()
        try:
            y = tracer.layer(layer, y)
        except CannotTraceError:
            tracer.restore(before)
            if tracer.steps:
                parts.append(_program(tracer, y, join))
            parts += _between(layer, join)
            tracer, y = Tracer(None), 0
    return [*parts, _program(tracer, y, join)] if tracer.steps else parts


def _between(layer: Any, join: bool) -> list[Any]:
    """Return what a layer that no Program has becomes: a copy, or the Programs of a Pyramid's levels."""
    own = type(layer) is Pyramid and computes_as_the_library(layer)
    levels = [_parts(_flat(level), join) for level in layer.levels] if own else []
    if levels and all(len(level) == 1 and isinstance(level[0], Program) for level in levels):
        return [Scales(len(levels), layer.factor), *(level[0] for level in levels)]
    return [copy.deepcopy(layer)]


def _program(tracer: Tracer, y: int, join: bool) -> Program:
    for step in tracer.steps:
        step.pack("float32")
    return Program(tracer.values, tracer.steps, tracer.links, y, join)
