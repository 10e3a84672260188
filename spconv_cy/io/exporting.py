"""The way back: the weights of a network of ours by the names and in the shapes of a different library."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path, kind_of, shortened
from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.foreign import refuse_other_name
from spconv_cy.io.matching import READINGS, Options, check_modules, checked_names, checked_options
from spconv_cy.io.modules import STEPS, kind_of_layer, layers_of, own_arrays
from spconv_cy.io.networks.known import checked_family
from spconv_cy.io.peers.known import checked_peer
from spconv_cy.io.peers.layout import Kernel, Peer
from spconv_cy.layers import Convolution, EfficientChannelAttention, Layer, NetworkInNetwork
from spconv_cy.types import Array, PathLike
from spconv_cy.writing import new_file


@known_arguments
def to_peer(net: Layer, source: str = "spconv2", *, names: Mapping[str, str] | str | None = None,
            one_by_one: str | Mapping[str, str] | None = None, path: PathLike | None = None) -> dict[str, Array]:
    """Return the arrays of a network by the names and in the shapes of a different library, the reverse of `convert`.

    Args:
        net: Layer.
        source: library that will read the arrays, as for `convert`.
        names: {module of the library: layer of the network}, for all layers with weights; or the name of a family.
            None: the paths of the network's layers.
        one_by_one: how weights of size 1 are written, for all or by module: as for `convert`.
        path: of a .safetensors file to write; None: no file is written.

    Raises:
        ShapeError: the library has no layer like one of the network; a layer is not among the names; a weight of size 1
            can be written in two ways.
        FileError: `path` has the name of a file of a different format, such as .pth.
        OSError: the file cannot be written.

    >>> from spconv_cy.layers import SubmanifoldConvolution
    >>> state = to_peer(SubmanifoldConvolution(3, 4, 2, rng=0), "spconv1", names={"conv": ""})
    >>> {name: array.shape for name, array in state.items()}
    {'conv.weight': (3, 3, 3, 4, 2), 'conv.bias': (2,)}
    """
    peer = checked_peer("to_peer", source)
    if not isinstance(net, Layer):
        raise TypeError(expected("to_peer", "a Layer", kind_of(net)))
    options, table = checked_options("to_peer", one_by_one), checked_names("to_peer", names)
    file = None if path is None else checked_path("to_peer", path)
    if file is not None:
        refuse_other_name(file)
    if isinstance(names, str):
        family = checked_family("to_peer", names, peer.name)
        table = family.names(net, peer.name, "to_peer")
        options = Options(family.readings(table, one_by_one))
    layers = layers_of(net)
    table = {ours: ours for ours in layers} if table is None else table
    _check_all(table, layers)
    check_modules("to_peer", one_by_one, table)
    state: dict[str, Array] = {}
    for theirs, ours in table.items():
        state |= _written(peer, theirs, layers[ours], options)
    if file is not None:
        _write(file, state)
    return state


def _check_all(table: Mapping[str, str], layers: Mapping[str, Layer]) -> None:
    unknown = [ours for ours in table.values() if ours not in layers]
    named = {id(layers[ours]) for ours in table.values() if ours in layers}
    missing = [repr(ours) for ours, layer in layers.items() if id(layer) not in named]
    if unknown or missing:
        got = f"unknown ones: {shortened(unknown)}" if unknown else f"none for {shortened(missing)}"
        raise ShapeError(expected("to_peer", "names for all layers with weights", got))


def _written(peer: Peer, theirs: str, layer: Layer, options: Options) -> dict[str, Array]:
    """Return the arrays of one layer by their names in the library."""
    kind = kind_of_layer(layer)
    if kind == "other":
        raise ShapeError(expected("to_peer", f"layers that {peer.title} has", repr(layer)))
    if isinstance(layer, (Convolution, NetworkInNetwork)) and options.reading(theirs, Kernel.of(layer)) == "linear":
        kind = "linear"
    path = ".".join(filter(None, (theirs, peer.wraps.get(kind))))
    found: dict[str, Array] = {}
    for name, array in own_arrays(layer).items():
        if name == "weight" and isinstance(layer, (Convolution, NetworkInNetwork)):
            leaf, given = _weight(peer, theirs, layer, array, options)
        elif name == "running_steps" and not peer.counts_steps:
            continue
        elif name == "running_steps":
            leaf, given = STEPS, np.asarray(int(array[0]), np.int64)
        else:
            leaf, given = _row_name(peer, name), array.reshape(-1)
            if isinstance(layer, EfficientChannelAttention):             # a torch.nn.Conv1d along the channels
                given = given[None, None]
            elif kind == "kernel" and peer.bias_axes == 2:
                given = given[None]
        found[f"{path}.{leaf}" if path else leaf] = np.array(given, order="C")
    return found


def _row_name(peer: Peer, name: str) -> str:
    means, variances = peer.statistics
    return {"running_mean": means, "running_variance": variances}.get(name, name)


def _weight(peer: Peer, theirs: str, layer: Convolution | NetworkInNetwork, array: Array, options: Options
            ) -> tuple[str, Array]:
    """Return (name, array) of a convolution's weight in the library."""
    kernel = Kernel.of(layer)
    reading = options.reading(theirs, kernel)
    leaf, given = _written_as(peer, kernel, array, reading)
    readings = peer.read(given, leaf, kernel) if kernel.volume == 1 and reading is not None else {"": array}
    chosen = [readings[reading]] if reading in readings else list(readings.values())
    if len(chosen) != 1 or not np.array_equal(chosen[0].reshape(array.shape), array):    # convert would read others
        raise ShapeError(expected(f"to_peer: {theirs or 'weight'}", f"one_by_one={{module: reading}} of {peer.title}",
                                  repr(reading)))
    if kernel.volume == 1 and not kernel.is_strided and peer.name == "spconv2" and reading is None:
        raw, krsc = (peer.write(array, kernel, way) for way in ("raw", "krsc"))
        if not np.array_equal(raw, krsc):
            raise ShapeError(expected(f"to_peer: {theirs or 'weight'}", "one way to write a weight of size 1", "two",
                                      f"give one_by_one=: {READINGS['raw']}, {READINGS['krsc']}"))
    return leaf, given


def _written_as(peer: Peer, kernel: Kernel, array: Array, reading: str | None) -> tuple[str, Array]:
    if reading == "linear" and kernel.volume == 1:
        return "weight", array[0].T
    return peer.weight, peer.write(array, kernel, reading or "")


def _write(path: str, state: Mapping[str, Array]) -> None:
    from safetensors.numpy import save

    with new_file(path) as file:
        file.write(save(dict(state), metadata={"format": "pt"}))
