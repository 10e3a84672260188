"""What comes after the sparse part of an ONNX graph: the dense array and the order of its axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from spconv_cy.io.onnx_files import INTEGERS, Model, titled
from spconv_cy.layers import HeightCompression, Layer, SparseToDense

DENSE = ("ScatterDense", "ScatterND", "Transpose", "Reshape")
BATCH, CHANNELS = -2, -1                                                 # beside the numbers of the sites' axes


@dataclass(frozen=True)
class Dense:
    """A dense array of the graph.

    Attributes:
        node: that computes it.
        source: name of the sparse tensor.
        axes: what each axis of the array is: BATCH, CHANNELS or the number of an axis of sites.
        sizes: numbers of elements along the axes, or () if the file does not have them.
        merged: axis of sites that is merged into the channels, or None.
    """

    node: Any
    source: str
    axes: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    merged: int | None = None


def scattered(model: Model, node: Any, source: str, rank: int) -> Dense:
    """Return the Dense of a ScatterDense node, (b, c, *size), or of a ScatterND node, (b, *size, c)."""
    sites = tuple(range(rank - 2))
    if node.op_type == "ScatterND":
        return Dense(node, source, (BATCH, *sites, CHANNELS))
    shape = tuple(model.attributes(node).get("output_shape", ()))
    return Dense(node, source, (BATCH, CHANNELS, *sites), shape if len(shape) == rank else ())


def transposed(model: Model, node: Any, x: Dense) -> Dense:
    """Return the Dense of a Transpose node.

    Raises:
        FileError: the order is no permutation of the axes.
    """
    given = model.attributes(node)
    order = model.integers(node, "perm" if "perm" in given else "dims", given)
    if sorted(order) != list(range(len(x.axes))):
        raise model.wrong(titled(node), f"a permutation of {len(x.axes)} axes", order)
    return replace(x, node=node, axes=tuple(x.axes[i] for i in order),
                   sizes=tuple(x.sizes[i] for i in order) if x.sizes else ())


def reshaped(model: Model, node: Any, x: Dense) -> Dense | None:
    """Return the Dense of a Reshape node that merges the channels and the axis after them; None for another one."""
    given = model.attributes(node)
    if "dims" in given:
        shape: tuple[int, ...] | None = model.integers(node, "dims", given)
    elif len(node.input) > 1 and model.is_constant(node.input[1]):
        shape = tuple(map(int, model.constant(node.input[1], INTEGERS).ravel()))
    else:
        shape = None                                                     # the graph computes it
    if x.merged is not None or x.axes[:2] != (BATCH, CHANNELS) or len(x.axes) < 4:
        return None
    if shape is not None and not _merges(shape, x):
        return None
    return replace(x, node=node, axes=(BATCH, CHANNELS, *x.axes[3:]), sizes=(), merged=x.axes[2])


def _merges(shape: tuple[int, ...], x: Dense) -> bool:
    """Return True if a shape merges the second and third axis, as far as the file tells."""
    if len(shape) != len(x.axes) - 1:
        return False
    if not x.sizes:
        return True
    b, c, n, *others = x.sizes
    return all(new in (-1, old) for new, old in zip(shape, (b, c * n, *others), strict=True))


def dense_layers(model: Model, x: Dense) -> list[Layer]:
    """Return the layers from a sparse tensor to a dense array with these axes.

    Raises:
        FileError: the axes are in an order that our layers do not give.
    """
    sites = x.axes[2:]
    if x.axes[:2] != (BATCH, CHANNELS) or list(sites) != sorted(sites):
        raise model.wrong(titled(x.node), "an array (b, c, *size) with the axes of the sites in order",
                          f"axes {_shown(x)}", "give sparse_only=True and transpose the dense array")
    if x.merged is None:
        return [SparseToDense(len(sites))]
    return [HeightCompression(len(sites) + 1, axis=x.merged), SparseToDense(len(sites))]


def _shown(x: Dense) -> str:
    words = {BATCH: "b", CHANNELS: "c" if x.merged is None else f"c * size[{x.merged}]"}
    return f"({', '.join(words.get(axis, f'size[{axis}]') for axis in x.axes)})"
