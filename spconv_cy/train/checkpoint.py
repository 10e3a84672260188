"""Everything that a training run must remember to go on as if it had never stopped: one .safetensors file."""

import os
from dataclasses import asdict

import numpy as np

from spconv_cy.archive import BROKEN, read, write
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.state import checked_like, checked_names
from spconv_cy.train.history import History, check_history, is_count
from spconv_cy.train.loss_scale import checked_state
from spconv_cy.train.random_state import check_random_state, plain

KIND = "spconv_cy checkpoint"


def write_checkpoint(path, net, optimizer, history, seed, best=None, scale=None):
    """Write network, optimiser, random states, history, best weights so far and loss scale; at once, or not at all."""
    arrays = {f"net.{name}": array for name, array in net.state().items()}
    arrays.update({f"optimizer.{name}": array for name, array in optimizer.state().items()})
    arrays.update({f"best.{name}": array for name, array in (best or {}).items()})
    generators = {name: plain(generator.bit_generator.state) for name, generator in net.generators().items()}
    write(path, KIND, arrays, {"optimizer": type(optimizer).__name__, "generators": generators, "seed": seed,
                               "history": asdict(history), "loss_scale": scale and scale.state()})


def read_checkpoint(path, net, optimizer, seed=None, scale=None):
    """Put a checkpoint into a network, an optimiser and a LossScale; return (history, seed, best weights or None).

    Returns None where there is no such file.

    Raises:
        FileError: it is damaged, or of another network or optimiser; what was there is untouched.
    """
    if not os.path.exists(path):
        return None
    arrays, text = read(path, KIND)
    remedy = "start anew with another path, or build what the checkpoint was made with"
    fits = set(text) - {"loss_scale"} == {"optimizer", "generators", "seed", "history"}
    if not fits or not isinstance(text["generators"], dict):
        raise FileError(f"{path}: a checkpoint with {sorted(text)} came; {remedy}")
    if text["optimizer"] != type(optimizer).__name__:
        raise FileError(f"{path}: a checkpoint of {text['optimizer']} came, for {type(optimizer).__name__}; {remedy}")
    if not is_count(text["seed"]):
        raise FileError(f"{path}: expected a seed, a whole number from 0 up, got {text['seed']!r:.60}; {remedy}")
    if seed is not None and seed != text["seed"]:
        raise FileError(f"{path}: a checkpoint of the seed {text['seed']} came, for {seed}; {remedy}")
    generators = net.generators()
    if set(generators) != set(text["generators"]):
        raise FileError(f"{path}: a checkpoint with random states {sorted(text['generators'])} came, for a network "
                        f"with {sorted(generators)}; {remedy}")
    try:
        check_history(text["history"])
        history, best = History(**text["history"]), _part(arrays, "best.") or None
        _check_arrays(arrays, net, best, history)
        for name, generator in generators.items():
            check_random_state(name, text["generators"][name], generator.bit_generator)
        if text.get("loss_scale") is not None:                           # those of before it had none
            checked_state(text["loss_scale"])
        _take(arrays, text, net, optimizer, scale)
    except BROKEN as error:
        raise FileError(f"{path}: a checkpoint of another network or optimiser came ({error}); {remedy}") from error
    return history, text["seed"], best


def _check_arrays(arrays, net, best, history):
    for name, array in arrays.items():
        part = name.partition(".")[0]
        if part not in ("net", "best", "optimizer"):
            raise ShapeError(f"the array {name} is of no part of a checkpoint")
        # A second moment may have become infinite in a run that went on; a NaN would have ended it, as in the network
        # every other number than a finite one.
        if array.dtype.kind == "f" and not (~np.isnan(array) if part == "optimizer" else np.isfinite(array)).all():
            raise ValueError(f"{name} is NaN or infinite")
    if (best is None) != (history.best is None):
        raise ValueError(f"the history tells the best epoch {history.best}, and there are "
                         f"{'no' if best is None else 'the'} best weights")
    if best is not None:
        mine = net.state()
        checked_names("the best weights", best, mine)
        for name, array in best.items():
            checked_like("the best weights", name, array, mine[name])


def _take(arrays, text, net, optimizer, scale):
    """Load all that was checked; where something refuses it still, put everything back."""
    generators, states = net.generators(), text["generators"]
    before = {name: array.copy() for name, array in net.state().items()}
    drawn = {name: generator.bit_generator.state for name, generator in generators.items()}
    steps, scaled = optimizer.state(), scale and scale.state()
    try:
        net.load_state(_part(arrays, "net."))
        optimizer.load_state(_part(arrays, "optimizer."))
        for name, generator in generators.items():
            generator.bit_generator.state = states[name]
        for name, generator in generators.items():                       # after all: two names may share one
            if plain(generator.bit_generator.state) != states[name]:
                raise ValueError(f"random state {name}: numbers that {type(generator.bit_generator).__name__} does not "
                                 "hold")
        if scale is not None and text.get("loss_scale") is not None:
            scale.load_state(text["loss_scale"])
    except BaseException:
        net.load_state(before)
        optimizer.load_state(steps)
        for name, generator in generators.items():
            generator.bit_generator.state = drawn[name]
        if scale is not None:
            scale.load_state(scaled)
        raise


def _part(arrays, prefix):
    return {name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)}
