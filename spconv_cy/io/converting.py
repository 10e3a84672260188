"""Takes networks over from checkpoints of other libraries of sparse convolutions, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, checked_flags, checked_path, described, kind_of, name_shown, shortened
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.initial import zero_weights
from spconv_cy.io.conversion import Conversion
from spconv_cy.io.matching import (
    Options,
    by_names,
    by_order,
    check_modules,
    checked_names,
    checked_options,
    matched,
    not_finite,
    with_shared,
)
from spconv_cy.io.modules import layers_of, modules_of, numbers_in
from spconv_cy.io.networks.known import PLACES, checked_family, family_of
from spconv_cy.io.peers.known import checked_peer
from spconv_cy.io.peers.layout import all_finite, copied
from spconv_cy.io.pth import read_checkpoint
from spconv_cy.io.pth_storage import Releasing
from spconv_cy.layers import Layer
from spconv_cy.layers.attributes import arrays
from spconv_cy.types import Array, PathLike

if TYPE_CHECKING:
    from spconv_cy.io.conversion import Match
    from spconv_cy.io.modules import Module
    from spconv_cy.io.networks.family import Family
    from spconv_cy.io.peers.layout import Peer


@known_arguments
def convert(path_or_state: PathLike | Mapping[str, Array], network: Layer | str, source: str = "spconv2", *,
            names: Mapping[str, str] | str | None = None, one_by_one: str | Mapping[str, str] | None = None,
            layout: str | None = None, prefix: str | None = None, strict: bool = True) -> tuple[Layer, Conversion]:
    """Return (network, report): a network with the arrays of a checkpoint that a different library wrote.

    Args:
        path_or_state: path of a file that `read_checkpoint` reads, or a dict of arrays by name.
        network: Layer, into which the arrays are copied, all or none; or the name of a family, whose network is built
            with the sizes in the checkpoint: "second", "second_mmdet3d", "centerpoint", "centerpoint_mmdet3d",
            "voxelnext", "spunet", "minkunet", "minkunet_mmdet3d", "spvcnn", "spvcnn_mmdet3d", "ptv3", "minkfpn",
            "fcgf", "pcgc_encoder", "pcgc_decoder", "unet", "open3d_unet", "pointgroup".
        source: library that wrote the checkpoint: "spconv2", "spconv1" (also mmcv), "minkowski", "torchsparse",
            "sparseconvnet", "paddle", "open3d", "fvdb", "warpconvnet".
        names: {module of the checkpoint: layer of the network}, such as {"conv1.0": "layers.3"}; or the name of a
            family, whose table is used. None: by order, the first convolution to the first convolution and so on.
        one_by_one: how weights of size 1 are read where their shape does not tell, for all or by module. spconv 2:
            "raw" for spconv's own layers, "krsc" for look-alikes such as Custom1x1Subm3d. SparseConvNet: "matrix" for
            a NetworkInNetwork, "linear" for a torch.nn.Linear. torch: "kcrs" for a Conv2d, "ckrs" for a
            ConvTranspose2d.
        layout: how weights of spconv 2 with as many output channels as taps an axis are read: "krsc", or "rskc" of
            spconv 2.0 and 2.1 with ConvAlgo.Native. "kcrs": an array with the shape of a dense convolution of
            torch is read as one, also where it could be one of the library.
        prefix: of the names that belong to the network, such as "backbone_3d."; other arrays are not used. None: that
            under which a family's first layer is found, else "".
        strict: False: arrays that only one side has are no error. Of a "ptv3" checkpoint the rest is never one.

    Returns:
        The network, in the mode that it had, and a Conversion, which prints as a table.

    Raises:
        FileNotFoundError, FileError: as `read_checkpoint`.
        ShapeError: a shape does not fit, or can be read in two ways; an array has no counterpart; a name is unknown.

    >>> import numpy as np
    >>> from spconv_cy.layers import SubmanifoldConvolution
    >>> state = {"conv.weight": np.ones((2, 3, 3, 3, 4), np.float32)}
    >>> net, report = convert(state, SubmanifoldConvolution(3, 4, 2, bias=False))
    >>> print(report)
    from spconv 2.x  shape      to      shape   read as
    conv.weight      2x3x3x3x4  weight  27x4x2  krsc
    1 arrays matched, 1 of them reshaped
    """
    peer = checked_peer("convert", source)
    checked_flags("convert", strict=strict)
    options, table = checked_options("convert", one_by_one, layout), checked_names("convert", names)
    if prefix is not None and not isinstance(prefix, str):
        raise TypeError(expected("convert", "prefix to be text or None", described(prefix)))
    if not isinstance(network, (Layer, str)):
        raise TypeError(expected("convert", "a Layer or the name of a family", kind_of(network)))
    word = network if isinstance(network, str) else names
    family = checked_family("convert", word, peer.name) if isinstance(word, str) else None
    state = _checked_state(path_or_state)
    asked = _Asked(state, not isinstance(path_or_state, Mapping), one_by_one, options, prefix, strict)
    try:
        net, found, report = _planned(asked, network, family, peer, table)
    except ShapeError as error:
        fitting = _fitting(asked, family, peer) if family and isinstance(network, str) else ""
        if not fitting:
            raise
        raise ShapeError(expected("convert", f"{network} with the weights of {peer.title}", "others",
                                  f"it fits {fitting}")) from error
    held = dict(arrays(net))
    if any(array is not held[path] for path, array in found.items()):
        net.load_state({**net.state(), **found})
    return net, report


@dataclass(eq=False, repr=False)
class _Asked:
    """What is to be converted, and how: arguments of `convert`; whether it was read from a file for that."""

    state: Mapping[str, Array]
    read: bool
    one_by_one: str | Mapping[str, str] | None
    options: Options
    prefix: str | None
    strict: bool


def _planned(asked: _Asked, network: Layer | str, family: Family | None, peer: Peer, table: Mapping[str, str] | None
             ) -> tuple[Layer, dict[str, Array], Conversion]:
    """Return (network, {array path: array}, report); a network that was given has the arrays not yet, see `_found`."""
    prefix = asked.prefix
    if prefix is None:
        prefix = family.prefix(asked.state, peer.name) if family else ""
    modules, skipped, outside = modules_of(asked.state, peer, prefix)
    if not modules:
        named = f"arrays whose names begin with {prefix!r}" if prefix else "arrays of layers"
        raise ShapeError(expected("convert", named, shortened(list(asked.state)) or "none"))
    if family:
        for path in [path for path in modules if path.startswith(family.unused)]:
            skipped += modules.pop(path).names.values()
    check_modules("convert", asked.one_by_one, modules)
    net, found, matches = _filled(network, family, modules, peer, table, asked)
    report = _report(peer, modules, net, found, matches, skipped, outside)
    if asked.strict and (report.missing or report.left_over and not (family and family.part)):
        raise ShapeError(_unmatched(report))
    return net, found, report


def _filled(network: Layer | str, family: Family | None, modules: Mapping[str, Module], peer: Peer,
            table: Mapping[str, str] | None, asked: _Asked) -> tuple[Layer, dict[str, Array], list[Match]]:
    """Return (network, {array path: array}, matches); a network that was given has the arrays not yet, see `_found`."""
    net, options = _network(network, family, modules, peer), asked.options
    if family and table is None:
        table = {family.synonyms[name] if name not in modules and family.synonyms.get(name) in modules else name: ours
                 for name, ours in family.names(net, peer.name).items()}
        missing = [name for name in table if name not in modules]
        if missing:
            raise ShapeError(expected("convert", f"the modules of {family.name}", f"none named {shortened(missing)}",
                                      "check the name of the family, or give a Layer and names={module: layer}"))
        options = Options(family.readings(table, options.one_by_one), options.layout)
    return net, *_found(peer, modules, net, table, options, asked.read, net is not network)


def _fitting(asked: _Asked, family: Family, peer: Peer) -> str:
    """Return the other source with which a checkpoint fits a family, or other families; "" if there are none."""
    found: list[tuple[str, str]] = []
    for other in (family, *map(family_of, PLACES)):
        for source in other.first if not found else ():
            given = (other.name, source) == (family.name, peer.name)
            if not given and _fits(asked, other, checked_peer("convert", source)):
                found.append((other.name, source))
    return " or ".join(f"source={source!r}" if name == family.name else f"network={name!r} with source={source!r}"
                       for name, source in found)


def _fits(asked: _Asked, family: Family, peer: Peer) -> bool:
    try:
        _planned(asked, family.name, family, peer, None)
    except ShapeError:
        return False
    return True


def _network(network: Layer | str, family: Family | None, modules: Mapping[str, Module], peer: Peer) -> Layer:
    if isinstance(network, Layer):
        return network
    assert family
    most = numbers_in(array for module in modules.values() for array in module.arrays.values())
    with zero_weights(2 * most):                                         # so that a missing array is named
        return family.built(modules, peer.name)


def _found(peer: Peer, modules: Mapping[str, Module], net: Layer, table: Mapping[str, str] | None, options: Options,
           read: bool, built: bool) -> tuple[dict[str, Array], list[Match]]:
    """Return ({array path: array}, matches in the order of the network).

    A network that was built for this has its arrays afterwards, and memory of the file is given back layer by layer.
    """
    layers, own = layers_of(net), dict(arrays(net)) if built else {}
    pairs = by_order(modules, layers) if table is None else by_names(table, modules, layers)
    place = {path: i for i, path in enumerate(layers)}
    found: dict[str, Array] = {}
    matches: list[Match] = []
    releasing = Releasing()
    for theirs, ours in sorted(pairs, key=lambda pair: place[pair[1]]):
        views, rows = matched(peer, modules[theirs], ours, layers[ours], options)
        for (path, view), row in zip(views.items(), rows, strict=True):
            keeps = not read and not built and view.shape == row.new_shape
            found[path], finite = (view, all_finite(view)) if keeps else _copied(view, row.new_shape, own.get(path))
            if not finite:
                raise not_finite(modules[theirs], row.name)
        matches += rows
        if read:                                                         # pages of what is copied are no longer needed
            releasing.copied(*map(np.asarray, modules[theirs].arrays.values()))
    return with_shared(found, layers), matches


def _copied(view: Array, shape: tuple[int, ...], into: Any) -> tuple[Array, bool]:
    """Return (copy, whether it is finite) of an array of a checkpoint in our shape.

    The copy is `into`, if that is an array of numpy of the same type.
    """
    if not isinstance(into, np.ndarray) or (into.shape, into.dtype) != (shape, view.dtype):
        into = np.empty(shape, view.dtype)
    return into, copied(view, into)


def _report(peer: Peer, modules: Mapping[str, Module], net: Layer, found: Mapping[str, Array], matches: list[Match],
            skipped: list[str], outside: list[str]) -> Conversion:
    used = {match.name for match in matches}
    missing = [path for path in net.state() if path not in found]
    left = [name for module in modules.values() for name in module.names.values()
            if name not in used and name not in skipped]
    return Conversion(peer.title, tuple(matches), tuple(missing), tuple(left),
                      tuple(name for name in skipped if name not in used), tuple(outside))


def _unmatched(report: Conversion) -> str:
    parts = [f"{len(names)} {what} ({shortened(names)})" for what, names in
             (("missing", report.missing), ("left over", report.left_over)) if names]
    return expected("convert", "a counterpart for each array of the checkpoint and of the network", " and ".join(parts),
                    "give names={module: layer}, the prefix= of the modules, or strict=False")


def _checked_state(value: Any) -> dict[str, Array]:
    """Return the arrays of a checkpoint by name, read from a file if a path is given."""
    if not isinstance(value, (Mapping, str, bytes, os.PathLike)):
        raise TypeError(expected("convert", "the path of a checkpoint or a dict {name: array}", kind_of(value)))
    if not isinstance(value, Mapping):
        return read_checkpoint(checked_path("convert", value))
    for name, array in value.items():
        if not isinstance(name, str):
            raise TypeError(expected("convert", "names that are text", described(name)))
        if not hasattr(array, "dtype") or not hasattr(array, "shape"):
            raise TypeError(expected(f"convert: {name_shown(name)}", "an array", kind_of(array),
                                     "give the dict that holds the arrays alone, such as file['state_dict']"))
    return {name: as_array(f"convert: {name_shown(name)}", array) for name, array in value.items()}
