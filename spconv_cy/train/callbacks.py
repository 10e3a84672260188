"""Callbacks of `fit`: functions and objects that follow a training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import kind_of
from spconv_cy.errors import expected
from spconv_cy.layers.layer import Layer
from spconv_cy.train.history import History

if TYPE_CHECKING:
    from spconv_cy.train.optim import OptimizerLike

METHODS = ("on_begin", "on_step", "on_epoch", "on_end")


@known_arguments
@dataclass
class Training:
    """The state of a training run, which `fit` gives to callbacks.

    Attributes:
        net: the network.
        optimizer: the optimiser; `rate` is that of the last step.
        history: History of the epochs that are complete.
        epochs: number of epochs of the run.
        epoch: number of the running epoch, from 0; during `on_epoch` that of the epoch that has just ended.
        step: number of the steps of this call.
        loss: the loss of the last batch.
    """

    net: Layer
    optimizer: OptimizerLike
    history: History
    epochs: int
    epoch: int = 0
    step: int = 0
    loss: float = float("nan")


Callback: TypeAlias = Callable[[History], object] | Any


class Callbacks:
    """The callbacks of one run, called in their order.

    Args:
        who: named in errors.
        given: None, one callback, or a list of them: functions of the History, called after each epoch; or objects with
            some of the methods on_begin, on_step, on_epoch and on_end, which take a Training. A run ends after an epoch
            for which a callback returns True.
        training: Training.
        active: whether they are called; of several ranks only the first calls them.

    Raises:
        TypeError: something else.
    """

    def __init__(self, who: str, given: Callback | Sequence[Callback] | None, training: Training,
                 active: bool = True) -> None:
        self.training = training
        listed = callbacks_of(given)
        for callback in listed:
            if isinstance(callback, type) or not (callable(callback) or _has_methods(callback)):
                raise TypeError(expected(who, "callbacks to be functions of the History, or objects with some of the "
                                         f"methods {', '.join(METHODS)}", kind_of(callback)))
        self.given = listed if active else []

    def call(self, name: str) -> bool:
        """Call a method of all callbacks; return whether one of them returned True."""
        stops = False
        for callback in self.given:
            method = getattr(callback, name, None)
            if method is not None:
                stops |= method(self.training) is True
            elif name == "on_epoch" and not _has_methods(callback):
                stops |= callback(self.training.history) is True
        return stops


def callbacks_of(given: Any) -> list[Any]:
    """Return None, one callback or several as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _has_methods(callback: object) -> bool:
    return any(hasattr(callback, name) for name in METHODS)
