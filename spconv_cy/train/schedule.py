"""Schedules: functions of the epoch (a fraction inside an epoch) that return a factor for the rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_numbers, is_number
from spconv_cy.errors import expected

Schedule: TypeAlias = Callable[[float], float]


@dataclass(frozen=True)
class Constant:
    """The factor 1 at every epoch."""

    def __call__(self, epoch: float) -> float:
        return 1.0


@known_arguments
@dataclass(frozen=True)
class Exponential:
    """The factor exp(-decay * epoch), as in Graham's networks.

    Args:
        decay: per epoch, a finite number.

    >>> round(Exponential(0.2)(5), 4)
    0.3679
    """

    decay: float

    def __post_init__(self) -> None:
        checked_numbers("Exponential", decay=self.decay)

    def __call__(self, epoch: float) -> float:
        checked_numbers("Exponential", epoch=epoch)
        return math.exp(-self.decay * epoch)


@known_arguments
@dataclass(frozen=True)
class Steps:
    """The factor 1 at first, multiplied by `factor` after every `every` epochs.

    Args:
        every: number of epochs, above 0; may be a fraction.
        factor: a number from 0 up.

    >>> Steps(10, 0.5)(25)
    0.25
    """

    every: float
    factor: float = 0.1

    def __post_init__(self) -> None:
        if not is_number(self.every) or self.every <= 0:
            raise ValueError(expected("Steps", "every to be a number above 0", f"{self.every!r}"))
        checked_numbers("Steps", 0, factor=self.factor)

    def __call__(self, epoch: float) -> float:
        checked_numbers("Steps", epoch=epoch)
        return self.factor ** math.floor(epoch / self.every)


@known_arguments
@dataclass(frozen=True)
class Cosine:
    """Half a cosine, from the factor 1 at the start to `lowest` after `epochs` epochs, and `lowest` from then on.

    Args:
        epochs: a number from 0 up.
        lowest: a number from 0 up.

    >>> round(Cosine(10)(5), 12)
    0.5

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """

    epochs: float
    lowest: float = 0.0

    def __post_init__(self) -> None:
        checked_numbers("Cosine", 0, epochs=self.epochs, lowest=self.lowest)

    def __call__(self, epoch: float) -> float:
        checked_numbers("Cosine", epoch=epoch)
        share = min(epoch / self.epochs, 1) if self.epochs else 1
        return self.lowest + (1 - self.lowest) * (1 + math.cos(math.pi * share)) / 2


@known_arguments
@dataclass(frozen=True)
class WarmUp:
    """The schedule `then`, multiplied by a factor that rises from 0 to 1 over the first `epochs` epochs.

    `then` gets the same epoch, so its first epochs coincide with the warm-up.

    Args:
        epochs: a number from 0 up.
        then: function of the epoch that returns a factor.

    >>> WarmUp(2, Constant())(0.5)
    0.25
    """

    epochs: float
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        checked_numbers("WarmUp", 0, epochs=self.epochs)
        if not callable(self.then):
            raise ValueError(expected("WarmUp", "then to be a function of the epoch, such as Cosine(20)",
                                      f"{self.then!r}"))

    def __call__(self, epoch: float) -> float:
        checked_numbers("WarmUp", epoch=epoch)
        return self.then(epoch) * (min(epoch / self.epochs, 1) if self.epochs else 1)


def from_name(schedule: Schedule | str | None, epochs: int) -> Schedule:
    """Return the schedule of a name; a function is returned unchanged.

    Args:
        schedule: "constant" or None, "cosine", "exponential" (down to e^-4 at the end), or a function of the epoch.
        epochs: of the training.

    Raises:
        ValueError: an unknown name, or an object that is no schedule.
    """
    if callable(schedule) and not isinstance(schedule, type):
        return schedule
    named: dict[object, Schedule] = {None: Constant(), "constant": Constant(), "cosine": Cosine(epochs),
                                     "exponential": Exponential(4 / max(1, epochs))}
    if not (schedule is None or isinstance(schedule, str)) or schedule not in named:
        raise ValueError(expected("fit", "schedule to be 'constant', 'cosine', 'exponential' or a function of the "
                                  "epoch that returns a factor", f"{schedule!r}"))
    return named[schedule]
