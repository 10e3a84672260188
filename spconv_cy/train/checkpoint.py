"""Everything that a training run must remember to go on as if it had never stopped: one .safetensors file."""

import os
from dataclasses import asdict, dataclass, field

import numpy as np

from spconv_cy.archive import BROKEN, read, write
from spconv_cy.errors import FileError

KIND = "spconv_cy checkpoint"


@dataclass
class History:
    """What happened, an entry for each epoch; errors are shares, None where labels are no class numbers.

    Attributes: losses, errors: of the training batches as they were met; validation_losses, validation_errors: after
    the epoch; rates: at its end; seconds: of its training; best: the epoch, from 0, that did best in the validation.
    """

    losses: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    validation_losses: list = field(default_factory=list)
    validation_errors: list = field(default_factory=list)
    rates: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    best: int | None = None

    def __len__(self):
        return len(self.losses)


def write_checkpoint(path, net, optimizer, history, seed, best=None, scale=None):
    """Write network, optimiser, random states, history, best weights so far and loss scale; at once, or not at all."""
    arrays = {f"net.{name}": array for name, array in net.state().items()}
    arrays.update({f"optimizer.{name}": array for name, array in optimizer.state().items()})
    arrays.update({f"best.{name}": array for name, array in (best or {}).items()})
    generators = {name: _plain(generator.bit_generator.state) for name, generator in net.generators().items()}
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
    if seed is not None and seed != text["seed"]:
        raise FileError(f"{path}: a checkpoint of the seed {text['seed']} came, for {seed}; {remedy}")
    generators = net.generators()
    if set(generators) != set(text["generators"]):
        raise FileError(f"{path}: a checkpoint with random states {sorted(text['generators'])} came, for a network "
                        f"with {sorted(generators)}; {remedy}")
    before = {name: array.copy() for name, array in net.state().items()}
    drawn = {name: generator.bit_generator.state for name, generator in generators.items()}
    try:
        net.load_state(_part(arrays, "net."))
        optimizer.load_state(_part(arrays, "optimizer."))
        for name, generator in generators.items():
            generator.bit_generator.state = text["generators"][name]
        history = History(**text["history"])
        if scale is not None and text.get("loss_scale"):                 # those of before it had none
            scale.load_state(text["loss_scale"])
    except BROKEN as error:
        net.load_state(before)
        for name, generator in generators.items():
            generator.bit_generator.state = drawn[name]
        raise FileError(f"{path}: a checkpoint of another network or optimiser came ({error}); {remedy}") from error
    return history, text["seed"], _part(arrays, "best.") or None


def _part(arrays, prefix):
    return {name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)}


def _plain(state):
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
