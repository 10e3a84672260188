"""Activation checkpointing: intermediate results are not kept, but computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spconv_cy.autograd import Tensor, leaf_gradients, with_grad
from spconv_cy.config import precision, precision_name
from spconv_cy.layers.attributes import running
from spconv_cy.layers.container import Sequential
from spconv_cy.tensor import SparseTensor, as_tensor
from spconv_cy.types import Array, ArrayLike


class Checkpointed(Sequential):
    """Apply layers one after the other; keep only input and output for the backward pass and compute the rest again.

    For deep networks: with n layers in groups of about sqrt(n), the memory of a training step grows with sqrt(n), and
    its time by one more forward pass. Results, gradients, draws and running statistics are those of a Sequential, bit
    by bit: the second pass begins with the generators and statistics of the first, and leaves them unchanged. The
    rulebooks that lead to the output's sites are kept. In evaluation it is a Sequential.

    Args:
        layers: Layers.

    Source: Chen et al. 2016, arXiv:1604.06174.

    >>> from spconv_cy.layers.convolution import NetworkInNetwork
    >>> net = Sequential(*(Checkpointed(NetworkInNetwork(2, 2), NetworkInNetwork(2, 2)) for _ in range(3)))
    >>> net([[1.0, 2.0]]).shape
    (1, 2)
    """

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Apply all layers."""
        if not self.training:
            return super().__call__(x)
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        begin = _Snapshot(self)
        y = super().__call__(x)                                          # recorded
        made, inputs = _parts(y), _parts(x)
        if not any(part.requires_grad for part in made):
            return y
        parameters = [p for p in self.parameters() if p.requires_grad]

        def backward(gradients: Iterable[tuple[int, Array]]) -> list[Array | None]:
            leaves = [Tensor.leaf(part.data, part.requires_grad) for part in inputs]
            with begin, with_grad():
                again = _parts(Sequential.__call__(self, _with_parts(x, leaves)))
            places, dys = zip(*gradients, strict=True)
            end = Tensor.of(None, tuple(again[place] for place in places), lambda dys: dys)
            found = {id(leaf): dx for leaf, dx in leaf_gradients(end, dys)}
            return [*(found.get(id(tensor)) for tensor in (*leaves, *parameters)), None]

        # One node for all outputs. Its gradients are tuples of (place, array), whose sum puts them side by side.
        # The grid keeps the rulebooks that lead to it.
        parents = (*inputs, *parameters, getattr(y, "grid", None))
        inside = Tensor.of(None, parents, backward, reads_all=True)
        return _with_parts(y, [
            Tensor.of(part.data, (inside,), lambda dy, place=place: (((place, dy),),)) if part.requires_grad else part
            for place, part in enumerate(made)])


class _Snapshot:
    """A snapshot of the generators, running statistics, modes and precision, on which results depend besides the input.

    A `with` statement sets the snapshot, and restores the previous values at its end.
    """

    def __init__(self, layer: Sequential) -> None:
        self._layers, self._arrays, self._generators = _below(layer), running(layer), [*layer.generators().values()]
        self._then, self._precision = self._now(), precision_name()

    def __enter__(self) -> None:
        self._after = self._now()
        self._put(self._then)
        self._switch = precision(self._precision).__enter__()

    def __exit__(self, *_: object) -> None:
        self._switch.__exit__()
        self._put(self._after)

    def _now(self) -> tuple[list[Any], list[Array], list[Any]]:
        return ([(layer.training, layer.frozen) for layer in self._layers], [array.copy() for array in self._arrays],
                [generator.bit_generator.state for generator in self._generators])

    def _put(self, values: tuple[list[Any], list[Array], list[Any]]) -> None:
        modes, arrays, states = values
        for layer, mode in zip(self._layers, modes, strict=True):
            layer.training, layer.frozen = mode
        for array, kept in zip(self._arrays, arrays, strict=True):
            array[...] = kept
        for generator, state in zip(self._generators, states, strict=True):
            generator.bit_generator.state = state


def _below(layer: Any) -> list[Any]:
    return [layer, *(below for child in layer.children() for below in _below(child))]


def _parts(x: SparseTensor | Tensor) -> list[Tensor]:
    """Return the tensors of a layer's input or output."""
    if not isinstance(x, SparseTensor):
        return [x]
    return [x.features] if x.ground is None else [x.features, x.ground]


def _with_parts(x: Any, parts: list[Tensor]) -> Any:
    return x.with_features(*parts) if isinstance(x, SparseTensor) else parts[0]
