"""Which layer of a network gets the arrays of which module of a checkpoint, and the arrays in our order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spconv_cy.checks import described, name_shown, shortened
from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.conversion import UNCHANGED, Match
from spconv_cy.io.modules import MEANS, STEPS, VARIANCES, Module, kind_of_layer, own_arrays
from spconv_cy.io.peers.known import PLACES, peer_of
from spconv_cy.io.peers.layout import Kernel, Peer, dense
from spconv_cy.layers import Convolution, Layer, NetworkInNetwork, PReLU
from spconv_cy.types import Array

ALIASES = {"running_mean": MEANS, "running_variance": VARIANCES, "running_steps": (STEPS,)}
MOST_STEPS = 2**24                                                       # that float32 counts exactly
LONG = 2**20                                                             # steps, as in Layer.load_state
LAYOUTS = ("krsc", "rskc", "kcrs")
READINGS = {
    "raw": "'raw' for the layers of size 1 of spconv itself", "krsc": "'krsc' for others, such as Custom1x1Subm3d",
    "matrix": "'matrix' for a NetworkInNetwork", "linear": "'linear' for a torch.nn.Linear",
    "kcrs": "'kcrs' for a torch.nn.Conv2d", "ckrs": "'ckrs' for a torch.nn.ConvTranspose2d",
}


@dataclass(eq=False, repr=False)
class Options:
    """What decides between the readings of one array: see `convert`."""

    one_by_one: str | Mapping[str, str] | None = None
    layout: str | None = None

    def reading(self, path: str, kernel: Kernel) -> str | None:
        """Return the reading that is wanted for a module; None if that is open."""
        if kernel.volume > 1:
            return self.layout
        return self.one_by_one if isinstance(self.one_by_one, str) else (self.one_by_one or {}).get(path)


def by_order(modules: Mapping[str, Module], layers: Mapping[str, Layer]) -> list[tuple[str, str]]:
    """Return (module, layer) paths: the first convolution goes to the first, the first normalisation to the first.

    Raises:
        ShapeError: the numbers of one kind differ.
    """
    firsts: dict[int, str] = {}
    for path, layer in layers.items():
        firsts.setdefault(id(layer), path)                               # a shared layer counts once
    pairs: list[tuple[str, str]] = []
    for kind, shown in (("kernel", "convolutions and linear layers"), ("norm", "batch normalisations"),
                        ("scale", "other layers with a row of weights")):
        theirs = [path for path, module in modules.items() if module.kind == kind]
        ours = [path for path in firsts.values() if kind_of_layer(layers[path]) == kind]
        if len(theirs) != len(ours):
            raise ShapeError(expected("convert", f"{len(ours)} {shown}, as the network has",
                                      f"a checkpoint with {len(theirs)} ({shortened(theirs) or 'none'})",
                                      "give names={module: layer}, or the prefix= of the modules"))
        pairs += zip(theirs, ours, strict=True)
    return pairs


def by_names(names: Mapping[str, str], modules: Mapping[str, Module], layers: Mapping[str, Layer]
             ) -> list[tuple[str, str]]:
    """Return (module, layer) paths of a table of names; raise ShapeError if a path is unknown or named twice."""
    for what, given, known in (("modules of the checkpoint", list(names), modules),
                               ("layers of the network", list(names.values()), layers)):
        unknown = [name for name in given if name not in known]
        if unknown:
            prefix = common_prefix(unknown, modules) if known is modules else ""
            raise ShapeError(expected("convert", f"names of {what}", f"others: {shortened(unknown)}",
                                      f"give prefix={prefix!r}" if prefix else f"there are {shortened(list(known))}"))
    twice = [name for name in set(names.values()) if list(names.values()).count(name) > 1]
    if twice:
        raise ShapeError(expected("convert", "names with each layer once", f"{shortened(twice)} twice"))
    return list(names.items())


def common_prefix(names: Sequence[str], modules: Mapping[str, Module]) -> str:
    """Return the prefix with which all names are those of modules, such as "model."; "" if there is none."""
    for path in modules:
        prefix = path.removesuffix(names[0])
        if path == f"{prefix}{names[0]}" and prefix.endswith(".") and all(f"{prefix}{n}" in modules for n in names):
            return prefix
    return ""


def matched(peer: Peer, module: Module, path: str, layer: Layer, options: Options
            ) -> tuple[dict[str, Array], list[Match]]:
    """Return ({array path: array}, matches) of one layer: the arrays of a module in our order, as views where possible.

    Raises:
        ShapeError: a shape does not fit the layer, or fits in two ways and no option decides.
    """
    found: dict[str, Array] = {}
    matches = []
    for name, like in own_arrays(layer).items():
        leaf = next((leaf for leaf in leaves(peer, name) if leaf in module.arrays), None)
        if leaf is None:
            continue
        given, full = np.asarray(module.arrays[leaf]), f"{path}.{name}" if path else name
        if like.dtype.kind == "f" and given.dtype.kind != "f" and name != "running_steps":
            raise ShapeError(expected(f"convert: {name_shown(module.names[leaf])}", "an array of floats", given.dtype,
                                      "multiply it by its scale if it is quantized, or convert it to float32"))
        if name == "weight" and isinstance(layer, (Convolution, NetworkInNetwork)):
            found[full], how = weight_of(peer, module, leaf, layer, options)
        else:
            shared = isinstance(layer, PReLU) and given.size == 1 < like.size     # torch's default: one slope for all
            rows = np.broadcast_to(given.reshape(-1), like.size) if shared else given
            found[full], how = row_of(module, leaf, rows, name, like), "repeated" if shared else "(1, c)"
        how = UNCHANGED if given.shape == like.shape and is_same(given, found[full]) else how
        matches.append(Match(module.names[leaf], given.shape, full, like.shape, how))
    return found, matches


def not_finite(module: Module, name: str) -> ShapeError:
    """Return the error for an array, by its name in the file, that holds numbers that are not finite."""
    given = next(np.asarray(array) for leaf, array in module.arrays.items() if module.names[leaf] == name)
    wrong = given[~np.isfinite(given)]
    return ShapeError(expected(f"convert: {name_shown(name)}", "finite numbers",
                               f"{wrong[0]}, {len(wrong)} of {given.size} are not finite",
                               "take an earlier checkpoint, or replace them in the dict that "
                               "sp.io.read_checkpoint(path) returns"))


def is_same(array: Array, view: Array) -> bool:
    """Return True if a view holds an array's numbers in order; its first axes may be several for one of the array's.

    Those of the same memory are not read, and others no further than the first tap that differs.
    """
    array = array.reshape(view.shape)
    return array.__array_interface__ == view.__array_interface__ or all(
        np.array_equal(array[tap], view[tap]) for tap in np.ndindex(view.shape[:-2]))


def leaves(peer: Peer, name: str) -> Sequence[str]:
    """Return the names that an array of ours can have in a module of a library."""
    return ALIASES.get(name, (peer.weight, "weight") if name == "weight" else (name,))


def weight_of(peer: Peer, module: Module, leaf: str, layer: Convolution | NetworkInNetwork, options: Options
              ) -> tuple[Array, str]:
    """Return (view of our weight as `copied` takes it, reading) of a convolution's array."""
    kernel, given, name = Kernel.of(layer), np.asarray(module.arrays[leaf]), name_shown(module.names[leaf])
    wanted, as_dense = options.reading(module.path, kernel), dense(given, leaf, kernel)
    readings = (as_dense if wanted in ("kcrs", "ckrs") else {}) or peer.read(given, leaf, kernel) or as_dense
    if not readings:
        others = [name for name in PLACES if name != peer.name and peer_of(name).read(given, leaf, kernel)]
        remedy = f"it fits source={' or '.join(map(repr, others))}" if others else "check source= and the layer's sizes"
        raise ShapeError(expected(f"convert: {name}", f"a weight of {peer.title} for {layer!r}", f"shape {given.shape}",
                                  remedy))
    if wanted in readings:
        return readings[wanted], wanted
    first, *rest = readings
    if rest and len({readings[way].reshape(kernel.shape).tobytes() for way in readings}) > 1:
        switch = "layout" if kernel.volume > 1 else "one_by_one"
        words = [READINGS[reading] if switch == "one_by_one" else repr(reading) for reading in readings]
        raise ShapeError(expected(f"convert: {name}", f"an array that can be read in one way as {layer!r}",
                                  f"shape {given.shape}, which can be read as {' or '.join(map(repr, readings))}",
                                  f"give {switch}=: {', '.join(words)}"))
    return readings[first], first


def row_of(module: Module, leaf: str, given: Array, name: str, like: Array) -> Array:
    """Return a row of channels (1, c), or the number of steps (1,), from an array of as many numbers."""
    who = f"convert: {name_shown(module.names[leaf])}"
    if given.size != like.size or len(given.squeeze().shape) > 1:
        raise ShapeError(expected(who, f"{like.size} numbers", f"shape {given.shape}"))
    if name == "running_variance" and given.dtype.kind == "f" and (given < 0).any():
        raise ShapeError(expected(who, "variances, numbers from 0 up", given.min()))
    if name == "running_steps":
        if given.dtype.kind not in "iu":
            raise ShapeError(expected(who, "a whole number", f"{given.dtype}"))
        return np.clip(given, 0, MOST_STEPS).astype(np.float32).reshape(like.shape)
    return given.reshape(like.shape)


def with_shared(found: Mapping[str, Array], layers: Mapping[str, Layer]) -> dict[str, Array]:
    """Return arrays by path, those of shared layers under all their paths, and the steps that a checkpoint lacks.

    Running statistics without a number of steps are taken for those of long training.
    """
    full = dict(found)
    paths: dict[int, str] = {}
    for path, layer in layers.items():
        begin = f"{path}." if path else ""
        names = own_arrays(layer)
        for other in paths.keys() & {id(layer)}:
            same = f"{paths[other]}." if paths[other] else ""
            full |= {f"{begin}{name}": full[f"{same}{name}"] for name in names if f"{same}{name}" in full}
        paths.setdefault(id(layer), path)
        steps = f"{begin}running_steps"
        if "running_steps" in names and f"{begin}running_mean" in full and steps not in full:
            full[steps] = np.full(1, LONG, np.float32)
    return full


def checked_options(who: str, one_by_one: Any, layout: Any = None) -> Options:
    """Return the Options of words; raise TypeError or ShapeError if one is unknown."""
    words = list(one_by_one.values()) if isinstance(one_by_one, Mapping) else [one_by_one]
    for name, values, known in (("one_by_one", words, READINGS), ("layout", [layout], LAYOUTS)):
        for value in values:
            if value is not None and not isinstance(value, str):
                raise TypeError(expected(who, f"{name} to be text or None", described(value)))
            if value is not None and value not in known:
                raise ShapeError(expected(who, f"{name} to be one of {', '.join(map(repr, known))}", repr(value)))
    return Options(one_by_one, layout)


def check_modules(who: str, one_by_one: str | Mapping[str, str] | None, modules: Iterable[str]) -> None:
    """Raise ShapeError if `one_by_one` names a module that is not there."""
    unknown = [] if one_by_one is None or isinstance(one_by_one, str) else sorted({*one_by_one}.difference(modules))
    if unknown:
        raise ShapeError(expected(who, "one_by_one={module: reading} for modules of the checkpoint",
                                  f"others: {shortened(unknown)}", f"there are {shortened(list(modules))}"))


def checked_names(who: str, names: Any) -> dict[str, str] | None:
    """Return a table of names; None if none is given, or the name of a family."""
    if names is None or isinstance(names, str):
        return None
    if not isinstance(names, Mapping) or not all(isinstance(path, str) for pair in names.items() for path in pair):
        raise TypeError(expected(who, "names to be a dict {module: layer} of text, or the name of a family",
                                 described(names)))
    return dict(names)
