"""The arrays of a checkpoint, and those of a network, grouped by the layer that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.layers import BatchNormalization, Convolution, EfficientChannelAttention, Layer, NetworkInNetwork
from spconv_cy.layers.attributes import items, own
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.io.peers.layout import Peer

MEANS = ("running_mean", "runningMean", "_mean")
VARIANCES = ("running_var", "runningVar", "_variance")
STEPS = "num_batches_tracked"
# Buffers that are no part of a network's function.
SKIPPED = (STEPS, "max_num_voxels_during_training", "global_step", "n_averaged")


@dataclass(eq=False, repr=False)
class Module:
    """One module of a checkpoint.

    Attributes:
        path: of the module, without the prefix.
        arrays: by their names within the module.
        names: names in the checkpoint by names within the module.
    """

    path: str
    arrays: dict[str, Array] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Return "kernel", "norm" (with running statistics) or "scale" (rows of channels)."""
        if self.arrays.keys() & {*MEANS, *VARIANCES}:
            return "norm"
        bias = self.arrays.get("bias")
        weights = [self.arrays[name] for name in ("weight", "kernel") if name in self.arrays]
        wide = any(weight.ndim > 1 and (bias is None or bias.shape != weight.shape) for weight in weights)
        return "kernel" if wide else "scale"


def modules_of(state: Mapping[str, Array], peer: Peer, prefix: str) -> tuple[dict[str, Module], list[str], list[str]]:
    """Return ({path: Module}, skipped names, names outside the prefix) of a checkpoint, in its order."""
    modules: dict[str, Module] = {}
    skipped, outside = [], []
    for name, array in state.items():
        if not name.startswith(prefix):
            outside.append(name)
            continue
        path, _, leaf = name[len(prefix):].rpartition(".")
        if leaf in SKIPPED or leaf in peer.skipped:
            skipped.append(name)
            if leaf != STEPS:
                continue
        outer, _, last = path.rpartition(".")
        path = outer if last in peer.inner else path
        module = modules.setdefault(path, Module(path))
        module.arrays[leaf], module.names[leaf] = array, name
    return modules, skipped, outside


def numbers_in(arrays: Iterable[Array]) -> int:
    """Return how many numbers of memory some arrays have; what several share, or a stride of 0 repeats, counts once."""
    spans = []
    for array in map(np.asarray, arrays):
        if array.size:
            reach = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
            begin = array.ctypes.data
            spans.append((begin + sum(min(0, step) for step in reach),
                          begin + sum(max(0, step) for step in reach) + array.itemsize, array))
    count, last = 0, 0
    for begin, end, array in sorted(spans, key=lambda span: span[:2]):
        count += min(array.size, max(0, end - max(begin, last)) // array.itemsize)
        last = max(last, end)
    return count


def kind_of_layer(layer: Layer) -> str:
    """Return the kind of a layer that has arrays of its own, as `Module.kind`; "other" if no module is like it."""
    if isinstance(layer, (Convolution, NetworkInNetwork)):
        return "kernel"
    if isinstance(layer, BatchNormalization):
        return "norm"
    if isinstance(layer, EfficientChannelAttention):                     # a torch.nn.Conv1d along the channels
        return "kernel"
    shapes = [array.shape for array in own_arrays(layer).values()]
    return "scale" if all(len(shape) == 2 and shape[0] == 1 for shape in shapes) else "other"


def own_arrays(layer: Layer) -> dict[str, Array]:
    """Return the arrays of a layer's own attributes by name, without those of its children."""
    if type(layer).state is Layer.state:
        return dict(own(layer))
    children = {path for path, value in items(layer) if isinstance(value, Layer)}
    return {path: array for path, array in layer.state().items()
            if not any(path.startswith(f"{child}.") for child in children)}


def layers_of(net: Layer) -> dict[str, Layer]:
    """Return the layers of a network that have arrays of their own, by path; a shared layer has several paths."""
    return {path: layer for path, layer in _walk(net, "") if own_arrays(layer)}


def _walk(layer: Layer, path: str) -> Iterator[tuple[str, Layer]]:
    yield path, layer
    for name, value in items(layer):
        if isinstance(value, Layer):
            yield from _walk(value, f"{path}.{name}" if path else name)
