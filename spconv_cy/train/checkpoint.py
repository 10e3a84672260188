"""Checkpoints: all that a training run needs to continue with the same bits, in one .safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.errors import FileError, ShapeError, expected
from spconv_cy.io.archive import BROKEN, read, write
from spconv_cy.state import checked_like, checked_names
from spconv_cy.train.history import History, check_history, is_count
from spconv_cy.train.loss_scale import checked_state
from spconv_cy.train.random_state import check_random_state, plain

if TYPE_CHECKING:
    from spconv_cy.layers.layer import Layer
    from spconv_cy.train.loss_scale import LossScale
    from spconv_cy.train.optim import OptimizerLike
    from spconv_cy.types import Array

KIND = "spconv_cy checkpoint"
REMEDY = "give another path to start a new run, or use the network, optimiser and seed of the checkpoint"


def write_checkpoint(path: str, net: Layer, optimizer: OptimizerLike, history: History, seed: int,
                     best: dict[str, Array] | None = None, scale: LossScale | None = None) -> None:
    """Write a checkpoint: either the whole file is written, or an older one stays unchanged.

    Args:
        path: of the file.
        net: Layer, whose parameters, running statistics and random states are written.
        optimizer: whose state is written.
        history: History of the epochs so far.
        seed: of the run.
        best: state of the network after the best epoch; None without validation.
        scale: LossScale, whose state is written.
    """
    arrays = {f"net.{name}": array for name, array in net.state().items()}
    arrays.update({f"optimizer.{name}": array for name, array in optimizer.state().items()})
    arrays.update({f"best.{name}": array for name, array in (best or {}).items()})
    generators = {name: plain(generator.bit_generator.state) for name, generator in net.generators().items()}
    write(path, KIND, arrays, {"optimizer": _kind(optimizer), "generators": generators, "seed": seed,
                               "history": asdict(history), "loss_scale": scale and scale.state()})


def read_checkpoint(path: str, net: Layer, optimizer: OptimizerLike, seed: int | None = None,
                    scale: LossScale | None = None) -> tuple[History, int, dict[str, Array] | None] | None:
    """Load a checkpoint into a network, an optimiser and a LossScale; return (history, seed, best weights or None).

    Returns None if there is no such file.

    Raises:
        FileError: the file is damaged, or was made with another network, optimiser or seed. Network and optimiser then
            stay unchanged.
    """
    if not os.path.exists(path):
        return None
    arrays, text = read(path, KIND)
    generators = net.generators()
    _check_text(path, text, optimizer, seed, generators)
    try:
        check_history(text["history"])
        history, best = History(**text["history"]), _part(arrays, "best.") or None
        _check_arrays(arrays, net, best, history)
        for name, generator in generators.items():
            check_random_state(name, text["generators"][name], generator.bit_generator)
        if text.get("loss_scale") is not None:                           # older checkpoints have none
            checked_state(text["loss_scale"])
        _take(arrays, text, net, optimizer, scale)
    except BROKEN as error:
        raise FileError(expected(path, "a checkpoint of this network and optimiser", f"another one ({error})",
                                 REMEDY)) from error
    return history, text["seed"], best


def _check_text(path: str, text: dict[str, Any], optimizer: OptimizerLike, seed: int | None,
                generators: Mapping[str, object]) -> None:
    """Raise FileError if the entries of a checkpoint do not fit the run."""
    names = {"optimizer", "generators", "seed", "history"}
    if set(text) - {"loss_scale"} != names or not isinstance(text["generators"], dict):
        raise FileError(expected(path, f"a checkpoint with the entries {sorted(names)}", sorted(text), REMEDY))
    kind = _kind(optimizer)
    if text["optimizer"] != kind:
        raise FileError(expected(path, f"a checkpoint of the optimiser {kind}", f"one of {text['optimizer']}", REMEDY))
    if not is_count(text["seed"]):
        raise FileError(expected(path, "a seed, a whole number from 0 up", f"{text['seed']!r:.60}", REMEDY))
    if seed is not None and seed != text["seed"]:
        raise FileError(expected(path, f"a checkpoint of the seed {seed}", f"one of the seed {text['seed']}", REMEDY))
    if set(generators) != set(text["generators"]):
        raise FileError(expected(path, f"a checkpoint with the random states {sorted(generators)}",
                                 sorted(text["generators"]), REMEDY))


def _kind(optimizer: OptimizerLike) -> str:
    """Return the name of an optimiser's class; a wrapped optimiser's own, so that a run goes on without the wrapper."""
    return type(getattr(optimizer, "optimizer", optimizer)).__name__


def _check_arrays(arrays: dict[str, Array], net: Layer, best: dict[str, Array] | None, history: History) -> None:
    for name, array in arrays.items():
        part = name.partition(".")[0]
        if part not in ("net", "best", "optimizer"):
            raise ShapeError(expected("checkpoint", "arrays of net, best and optimizer", f"the array {name}"))
        # NaN, or infinity in the network, ends a run. Infinity in a second moment of the optimiser does not.
        if array.dtype.kind == "f" and not (~np.isnan(array) if part == "optimizer" else np.isfinite(array)).all():
            what = "no NaN" if part == "optimizer" else "finite numbers"
            raise ValueError(expected("checkpoint", f"{what} in {name}",
                                      "NaN" if what == "no NaN" else "NaN or infinity"))
    if (best is None) != (history.best is None):
        what = "no best weights" if history.best is None else f"the best weights of epoch {history.best}"
        raise ValueError(expected("checkpoint", what, "none" if best is None else "best weights"))
    if best is not None:
        mine = net.state()
        checked_names("the best weights", best, mine)
        for name, array in best.items():
            checked_like("the best weights", name, array, mine[name])


def _take(arrays: dict[str, Array], text: dict[str, Any], net: Layer, optimizer: OptimizerLike,
          scale: LossScale | None) -> None:
    """Load the checked values; if one is refused after all, restore everything."""
    generators, states = net.generators(), text["generators"]
    before = {name: array.copy() for name, array in net.state().items()}
    drawn = {name: generator.bit_generator.state for name, generator in generators.items()}
    steps, scaled = optimizer.state(), None if scale is None else scale.state()
    try:
        net.load_state(_part(arrays, "net."))
        optimizer.load_state(_part(arrays, "optimizer."))
        for name, generator in generators.items():
            generator.bit_generator.state = states[name]
        for name, generator in generators.items():                       # in a second loop: two names may share one
            if plain(generator.bit_generator.state) != states[name]:
                kind = type(generator.bit_generator).__name__
                raise ValueError(expected(f"random state {name}", f"a state of {kind}", "numbers outside its range"))
        if scale is not None and text.get("loss_scale") is not None:
            scale.load_state(text["loss_scale"])
    except BaseException:
        net.load_state(before)
        optimizer.load_state(steps)
        for name, generator in generators.items():
            generator.bit_generator.state = drawn[name]
        if scale is not None and scaled is not None:
            scale.load_state(scaled)
        raise


def _part(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)}
