"""Saves networks to .safetensors files and loads them: layers as JSON in the metadata, and no code in a file."""

import inspect
import json
from collections.abc import Callable, Iterable
from typing import Any

from spconv_cy import deploy, models
from spconv_cy import layers as library
from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_list, checked_path, kind_of
from spconv_cy.errors import FileError, ShapeError, expected
from spconv_cy.functional.initial import shapes_only, zero_weights
from spconv_cy.io.archive import BROKEN, Opened, write
from spconv_cy.io.pth_storage import cut
from spconv_cy.layers import Layer
from spconv_cy.layers.attributes import fill
from spconv_cy.sites.lattice import Lattice
from spconv_cy.types import Array, PathLike

KIND = "spconv_cy"


@known_arguments
def save(path: PathLike, net: Layer, extra: object = None) -> None:
    """Write a network to one .safetensors file: its layers, parameters and running statistics.

    Args:
        path: of the file. An existing file is replaced completely or not at all; the new one has the mode that the
            umask gives. A symbolic link stays, and its target is replaced; a pipe or a device is written into.
        net: Layer whose constructor arguments are numbers, text, None, lists, lattices and layers.
        extra: JSON values to keep in the file; `load_with_extra` returns them.

    Raises:
        TypeError: net is no Layer, has a constructor argument that cannot be saved, or is a network that `load` could
            not rebuild, because an attribute was changed after construction. Nothing is written.
        OSError: the file cannot be written, or nobody reads the pipe within 10 seconds.
    """
    if not isinstance(net, Layer):
        raise TypeError(expected("save", "a Layer", kind_of(net)))
    path = checked_path("save", path)
    _check_extra(extra)
    state, description = net.state(), net.describe()
    _check_comes_back(net, state, description)
    write(path, KIND, state, {"network": description, "extra": extra})


@known_arguments
def load(path: PathLike, layers: Iterable[type[Layer]] | type[Layer] = ()) -> Layer:
    """Return the network of a file that `save` wrote, its arrays on the current backend.

    Args:
        path: of the file.
        layers: your own layer classes that the network contains; the library's are known.

    Returns:
        Layer, in training mode as every new one; call `eval()` to use it.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged, of another format or a newer version, or names a layer that is not known.
    """
    return load_with_extra(path, layers)[0]


def load_with_extra(path: PathLike, layers: Iterable[type[Layer]] | type[Layer] = ()) -> tuple[Layer, object]:
    """Return (network, extra): what `load` returns, and the JSON values that `save` was given."""
    own = {layer.__name__: layer for layer in _checked_classes(layers)}
    path = checked_path("load", path)
    file = Opened(path, KIND)
    text = file.text()
    try:
        with zero_weights(sum(array.size for array in file.arrays.values())):
            net = _built(text["network"], lambda name: own.get(name) or library_layer(name), path)
        extra = text["extra"]
        _load_arrays(net, file)
    except FileError:
        file.check()                                                     # damage is a better reason
        raise
    except BROKEN as error:
        file.check()
        told = cut(" ".join(str(error).split()))                         # a network is shown on several lines
        raise FileError(expected(path, "the description of a network", f"one that cannot be built ({told})",
                                 "the file is damaged, or its layers have changed since: fetch it or save it "
                                 "again")) from error
    file.check()
    return net, extra


def library_layer(name: str) -> type[Layer] | None:
    """Return the library's layer class of that name, or None if there is none."""
    for module in (library, models, deploy):
        found = getattr(module, name) if name in module.__all__ else None
        if isinstance(found, type) and issubclass(found, Layer) and found is not Layer:
            return found
    return None


def _checked_classes(layers: Iterable[type[Layer]] | type[Layer]) -> list[type[Layer]]:
    found = as_list("load", [layers] if isinstance(layers, type) else layers, "layers, a list of classes")
    for layer in found:
        if not (isinstance(layer, type) and issubclass(layer, Layer)):
            raise TypeError(expected("load", "layers with Layer as their base", repr(layer)))
    return found


def _check_extra(extra: object) -> None:
    try:
        json.dumps(extra)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(expected("save", "extra of numbers, text, None, True, False, lists and dicts",
                                 f"something else ({error})", "use array.tolist() for arrays")) from None


def _check_comes_back(net: Layer, state: dict[str, Array], description: object) -> None:
    """Raise TypeError if `load` would not rebuild this network.

    A copy is built from the description. Its weights have shapes only, so that it takes neither memory nor time.
    """
    layers = _within(net)
    classes: dict[str, type[Layer]] = {type(layer).__name__: type(layer) for layer in layers}
    try:
        with shapes_only():
            copy = _built(description, classes.get, "save")
        copies, copied = _within(copy), copy.state()
    except BROKEN as error:
        raise TypeError(expected("save", "layers that can be built from their constructor arguments",
                                 f"{net!r}, where this fails ({error})", "a constructor must accept the arguments that "
                                 "it was given, also as lists and Python numbers")) from error
    kinds = set(map(type, layers))
    arguments = {kind: inspect.signature(kind.__init__).parameters for kind in kinds}  # type: ignore[misc]
    for layer, other in zip(layers, copies, strict=False):
        _check_attributes(layer, other, arguments[type(layer)])
    shapes, others = ({name: array.shape for name, array in s.items()} for s in (state, copied))
    if shapes != others:
        names = ", ".join(sorted(n for n in shapes.keys() | others if shapes.get(n) != others.get(n)))
        raise TypeError(expected("save", "the parameters, layers and state that the constructors make",
                                 f"{names}, which load would not restore",
                                 "put a new layer in place of the changed one, or write a Layer whose constructor "
                                 "makes them"))


def _check_attributes(layer: Layer, copy: Layer, names: Iterable[str]) -> None:
    for name in names:
        mine, theirs = getattr(layer, name, None), getattr(copy, name, None)
        if isinstance(mine, (bool, int, float, str)) and mine != theirs:
            raise TypeError(expected("save", f"{layer!r} with {name}={theirs!r}, as it was constructed",
                                     f"{name}={mine!r}", f"put a new {type(layer).__name__} in its place"))


def _within(net: Layer) -> list[Layer]:
    return [*(layer for child in net.children() for layer in _within(child)), net]


def _built(value: Any, class_of: Callable[[Any], type[Layer] | None], path: str) -> Any:
    """Return what a description, a value of JSON, stands for: a layer, a lattice, a tuple or the value itself."""
    if isinstance(value, list):
        return tuple(_built(item, class_of, path) for item in value)
    if not isinstance(value, dict):
        return value
    if "lattice" in value:
        return Lattice(value["d"], value["lattice"])
    name = value["class"]
    found = class_of(name)
    if found is None:
        raise FileError(expected(path, "layers that are known", repr(name),
                                 f"give its class: load(path, layers=[{name}])"))
    options = {key: _built(item, class_of, path) for key, item in value["options"].items()}
    return found(*_built(value["arguments"], class_of, path), **options)


def _load_arrays(net: Any, file: Opened) -> None:
    if not isinstance(net, Layer):
        raise TypeError(expected("load", "the description of a Layer", kind_of(net)))
    arrays = dict(file.arrays)
    for name, array in net.state().items():
        found = arrays.get(name)
        if found is not None and found.dtype.kind != array.dtype.kind:
            raise ShapeError(expected(name, f"{array.dtype}", found.dtype))
    if isinstance(net, deploy.Frozen):
        net.fill(arrays, file.copied)
    else:
        fill(net, arrays, file.copied)
        net.load_state(arrays)
