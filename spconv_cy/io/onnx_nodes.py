"""Layers of the nodes of sparse graphs: NVIDIA's SparseConvolution, Autoware's ImplicitGemm, and what follows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spconv_cy.errors import FileError, ShapeError
from spconv_cy.functional.initial import zero_weights
from spconv_cy.io.onnx_files import Model, titled
from spconv_cy.layers import (
    BatchNormalization,
    Convolution,
    Deconvolution,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SubmanifoldConvolution,
    Tanh,
    TransposedConvolution,
)
from spconv_cy.types import Array

ACTIVATIONS = {"None": None, "ReLU": ReLU, "Sigmoid": Sigmoid}           # words of NVIDIA's `activation`
ACTIVATION_NODES = {"Relu": ReLU, "LeakyRelu": LeakyReLU, "Sigmoid": Sigmoid, "Tanh": Tanh, "Clip": ReLU6,
                    "HardSigmoid": HardSigmoid, "HardSwish": HardSwish}
NUMBERS = {0: "None", 1: "ReLU", 2: "Sigmoid"}                           # those of Autoware's `act_type`
LEAKY = 3                                                                # its slope is `act_alpha`
MOST_TAPS = 4096


@dataclass(frozen=True)
class Geometry:
    """The window of a convolution in a graph.

    Attributes:
        kind: "submanifold", "convolution", "transposed" or "inverse".
        size, stride, padding, dilation, output_padding: ints for each axis.
    """

    kind: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]

    @classmethod
    def of(cls, model: Model, node: Any, given: dict[str, Any], size: str, output_padding: str) -> Geometry:
        """Return the Geometry in a node's attributes, in which `size` and `output_padding` name two of them."""
        names = (size, "stride", "padding", "dilation", output_padding)
        taps = model.integers(node, size, given)
        zeros = [0] * len(taps)
        found = [model.integers(node, name, given, zeros if name == output_padding else None) for name in names]
        taps_fit = 0 < len(taps) and int(np.prod(taps, dtype=object)) <= MOST_TAPS
        if not taps_fit or any(len(numbers) != len(taps) for numbers in found):
            raise model.wrong(titled(node), f"{', '.join(names)} of one length, with at most {MOST_TAPS} taps", found)
        if min(*found[2], *found[4], 0) < 0:
            raise model.wrong(titled(node), f"padding and {output_padding} from 0 up", f"{found[2]} and {found[4]}")
        flags = ("subm", "submanifold"), ("inverse", "inverse"), ("transpose", "transposed"), ("transposed",) * 2
        kinds = {kind for name, kind in flags if given.get(name)}
        if len(kinds) > 1:
            raise model.wrong(titled(node), "one kind of convolution", " and ".join(sorted(kinds)))
        return cls(kinds.pop() if kinds else "convolution", *found)

    def layer(self, channels_in: int, channels_out: int, bias: bool) -> Convolution:
        """Return a new layer with this window."""
        d = len(self.size)
        options: dict[str, Any] = {"dilation": self.dilation, "bias": bias}
        if self.kind == "submanifold":
            return SubmanifoldConvolution(d, channels_in, channels_out, self.size, **options)
        options["padding"] = self.padding
        if self.kind == "inverse":
            return Deconvolution(d, channels_in, channels_out, self.size, self.stride, **options)
        if self.kind == "transposed":
            return TransposedConvolution(d, channels_in, channels_out, self.size, self.stride, size_rule="undilated",
                                         output_padding=self.output_padding, **options)
        return Convolution(d, channels_in, channels_out, self.size, self.stride, size_rule="floor", **options)


def in_place(model: Model, node: Any, given: dict[str, Any], geometry: Geometry) -> Geometry:
    """Return the window of a SparseConvolution node; a submanifold one where spconv keeps the sites.

    spconv multiplies the rows alone if the size is 1: spconv 2 unless there is a stride, spconv 1 with any stride.
    `output_spatial_shape` tells it.

    Raises:
        FileError: size 1 with padding, with which spconv changes the field and not the sites.
    """
    before, after = given.get("input_spatial_shape"), given.get("output_spatial_shape")
    ones = (1,) * len(geometry.size)
    if geometry.kind == "submanifold" or geometry.size != ones or before is None or after is None:
        return geometry
    if before == after and (geometry.kind == "inverse" or geometry.stride != ones or max(geometry.padding) > 0):
        return Geometry("submanifold", ones, ones, (0,) * len(ones), ones, (0,) * len(ones))
    if geometry.stride == ones and max(geometry.padding) > 0:
        raise model.wrong(titled(node), "no padding around a window of size 1", geometry.padding)
    return geometry


def convolution(model: Model, node: Any, geometry: Geometry, bias: str | None, one_by_one: str | None
                ) -> Convolution:
    """Return the layer of a convolution node, with its weights.

    Args:
        model: of the node, whose second input is the weight (o, *size, c).
        node: of the graph.
        geometry: its window.
        bias: name of the constant that is added, or None.
        one_by_one: reading of a weight of size 1, "krsc" or "raw".

    Raises:
        FileError: the weight does not fit the attributes, or can be read in two ways.
    """
    if geometry.kind == "submanifold" and not all(n % 2 for n in geometry.size):
        raise model.wrong(titled(node), "a submanifold kernel of odd size", geometry.size)
    if len(node.input) < 2 or not model.is_constant(node.input[1]):
        raise model.wrong(titled(node), "a constant weight", "one that the graph computes or none")
    weight = model.constant(node.input[1])
    if weight.ndim != len(geometry.size) + 2 or weight.shape[1:-1] != geometry.size or not weight.size:
        raise model.wrong(titled(node), f"a weight (o, {', '.join(map(str, geometry.size))}, c)", weight.shape)
    channels_out, channels_in = weight.shape[0], weight.shape[-1]
    layer = made(model, node, lambda: geometry.layer(channels_in, channels_out, bias is not None), weight.size)
    reading = np.ascontiguousarray(np.moveaxis(weight, 0, -1)).reshape(layer.weight.shape)
    # spconv 2 does not transpose the memory of weights of size 1; the exporters write it as it is.
    two = layer.window.volume == 1 and max(layer.window.stride) == 1
    if two and one_by_one is None:
        raise model.wrong(titled(node), "one reading of a weight of size 1", "two",
                          "give one_by_one='raw' for a network of spconv 2, 'krsc' for one of spconv 1 or mmdet3d")
    if two and one_by_one == "raw":
        reading = weight.reshape(layer.weight.shape)
    state = {"weight": reading}
    if bias is not None:
        state["bias"] = row(model, node, bias, channels_out)
    layer.load_state(state)
    return layer


def row(model: Model, node: Any, name: str, channels: int | None) -> Array:
    """Return a constant as (1, channels); raise FileError if it has another number of channels than given."""
    if not model.is_constant(name):
        raise model.wrong(titled(node), "constant rows", f"{name!r}, which the graph computes")
    found = model.constant(name)
    if found.size != (channels or found.size) or found.shape not in ((found.size,), (1, found.size)):
        raise model.wrong(titled(node), f"a row of {channels or 'some'} channels", f"shape {found.shape}")
    return found.reshape(1, -1)


def made(model: Model, node: Any, make: Any, most: int) -> Any:
    """Return make(), called with weights of zeros; raise FileError in place of ShapeError."""
    try:
        with zero_weights(2 * most):                                     # weight and bias
            return make()
    except ShapeError as error:
        raise FileError(f"{model.path}: {titled(node)}: {error}") from None


def normalization(model: Model, node: Any) -> BatchNormalization:
    """Return the layer of a BatchNormalization node, which uses its constant statistics."""
    given = model.attributes(node)
    if len(node.input) < 5 or given.get("training_mode"):
        raise model.wrong(titled(node), "a node in evaluation with scale, bias, mean and variance",
                          "one in training mode or with fewer inputs", "export the network after model.eval()")
    scale = row(model, node, node.input[1], None)
    rows = [scale, *(row(model, node, name, scale.size) for name in node.input[2:5])]
    eps = model.number(node, "epsilon", 1e-5)
    layer = made(model, node, lambda: BatchNormalization(scale.size, eps=eps, momentum=0.9, debias=False),
                 2 * scale.size)
    layer.load_state(dict(zip(("weight", "bias", "running_mean", "running_variance"), rows, strict=True)))
    return layer


def activation(model: Model, node: Any) -> Layer:
    """Return the layer of a node of ACTIVATION_NODES.

    Raises:
        FileError: a Clip that is no ReLU6, or a HardSigmoid of another slope.
    """
    if node.op_type == "Clip":
        given, names = model.attributes(node), list(node.input[1:3])
        bounds = [model.constant(name).ravel().tolist() for name in names if model.is_constant(name)]
        bounds = bounds if names else [[given.get("min")], [given.get("max")]]
        if bounds != [[0], [6]]:
            raise model.wrong(titled(node), "the bounds 0 and 6 of a ReLU6",
                              ", ".join(str(n[0]) if len(n) == 1 else f"one of {len(n)} numbers" for n in bounds)
                              + ("" if len(bounds) == 2 else " and no other" if bounds else "no bounds"))
    if node.op_type == "HardSigmoid":
        slope, middle = model.number(node, "alpha", 0.2), model.number(node, "beta", 0.5)
        if not abs(6 * slope - 1) <= 1e-5 or middle != 0.5:              # NaN is neither
            raise model.wrong(titled(node), "x / 6 + 1/2", f"{slope:.6g} x + {middle:.6g}")
    if node.op_type == "LeakyRelu":
        slope = model.number(node, "alpha", 0.01)
        return made(model, node, lambda: LeakyReLU(slope), 0)
    return ACTIVATION_NODES[node.op_type]()


def activation_of(model: Model, node: Any, word: object) -> Layer | None:
    """Return the layer of an `activation` or `act_type` attribute; None if there is no activation.

    Raises:
        FileError: another activation, such as NVIDIA's leaky ReLU, whose slope is not in the file.
    """
    if word == LEAKY and "act_alpha" in model.attributes(node):          # Autoware's
        slope = model.number(node, "act_alpha", 0.0)
        return made(model, node, lambda: LeakyReLU(slope), 0)
    word = NUMBERS.get(word, word) if isinstance(word, int) else word or "None"
    if not isinstance(word, str) or word not in ACTIVATIONS:
        raise model.wrong(titled(node), f"activation {', '.join(ACTIVATIONS)}", repr(word)[:80])
    kind = ACTIVATIONS[word]
    return None if kind is None else kind()
