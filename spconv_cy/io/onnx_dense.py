"""What comes after the sparse part of an ONNX graph: the dense array and the order of its axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from spconv_cy.io.onnx_files import INTEGERS, Model, titled
from spconv_cy.layers import HeightCompression, Layer, SparseToDense

SCATTERS = ("ScatterDense", "ScatterND", "ScatterElements")
DENSE = (*SCATTERS, "Transpose", "Reshape")
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
        flat: True: the array is (cells, c), in which the axes before the channels are one.
    """

    node: Any
    source: str
    axes: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    merged: int | None = None
    flat: bool = False


def scattered(model: Model, node: Any, source: str, rank: int) -> Dense | None:
    """Return the Dense of a node that writes the rows of a sparse tensor into an array of zeros.

    ScatterDense gives (b, c, *size), ScatterND (b, *size, c), and ScatterElements (cells, c) along its axis 0.
    None: another ScatterElements.
    """
    sites = tuple(range(rank - 2))
    given = model.attributes(node)
    if node.op_type == "ScatterND":
        return Dense(node, source, (BATCH, *sites, CHANNELS))
    if node.op_type == "ScatterElements":
        plain = given.get("axis", 0) == 0 and given.get("reduction", "none") == "none"
        return Dense(node, source, (BATCH, *sites, CHANNELS), flat=True) if plain else None
    shape = model.integers(node, "output_shape", given, ())
    return Dense(node, source, (BATCH, CHANNELS, *sites), shape if len(shape) == rank else ())


def keeps_rows(model: Model, node: Any) -> bool:
    """Return True if a Reshape of rows (n, c) gives two axes, as far as the file tells."""
    given = model.attributes(node)
    if "dims" in given:
        return len(model.integers(node, "dims", given)) == 2
    return not (len(node.input) > 1 and model.is_constant(node.input[1])
                and model.constant(node.input[1], INTEGERS).size != 2)


def transposed(model: Model, node: Any, x: Dense) -> Dense | None:
    """Return the Dense of a Transpose node; None for one of (cells, c).

    Raises:
        FileError: the order is no permutation of the axes.
    """
    if x.flat:
        return None
    given = model.attributes(node)
    order = model.integers(node, "perm" if "perm" in given else "dims", given)
    if sorted(order) != list(range(len(x.axes))):
        raise model.wrong(titled(node), f"a permutation of {len(x.axes)} axes", order)
    return replace(x, node=node, axes=tuple(x.axes[i] for i in order),
                   sizes=tuple(x.sizes[i] for i in order) if x.sizes else ())


def reshaped(model: Model, node: Any, x: Dense) -> Dense | None:
    """Return the Dense of a Reshape node that parts cells, or merges the channels and the axis after them; or None."""
    given = model.attributes(node)
    if "dims" in given:
        shape: tuple[int, ...] | None = model.integers(node, "dims", given)
    elif len(node.input) > 1 and model.is_constant(node.input[1]):
        shape = tuple(map(int, model.constant(node.input[1], INTEGERS).ravel()))
    else:
        shape = None                                                     # the graph computes it
    if x.flat:
        if shape is not None and len(shape) != len(x.axes):
            return None
        return replace(x, node=node, flat=False, sizes=shape if shape is not None and min(shape) > 0 else ())
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
    if x.flat or x.axes[:2] != (BATCH, CHANNELS) or list(sites) != sorted(sites):
        raise model.wrong(titled(x.node), "an array (b, c, *size) with the axes of the sites in order",
                          f"axes {_shown(x)}", "give sparse_only=True and transpose the dense array")
    if x.merged is None:
        return [SparseToDense(len(sites))]
    return [HeightCompression(len(sites) + 1, axis=x.merged), SparseToDense(len(sites))]


def _shown(x: Dense) -> str:
    words = {BATCH: "b", CHANNELS: "c" if x.merged is None else f"c * size[{x.merged}]"}
    return f"({', '.join(words.get(axis, f'size[{axis}]') for axis in x.axes)})"
