"""Schedules: what the rate is multiplied by at an epoch, which may be a fraction. Any such function is one."""

import math
from dataclasses import dataclass

from spconv_cy.checks import checked_numbers, is_number


@dataclass(frozen=True)
class Constant:
    """Always 1."""

    def __call__(self, epoch):
        return 1.0


@dataclass(frozen=True)
class Exponential:
    """exp(-decay * epoch), as Graham's networks have it.

    >>> round(Exponential(0.2)(5), 4)
    0.3679
    """

    decay: float

    def __post_init__(self):
        _check("Exponential", "decay", self.decay, -math.inf)

    def __call__(self, epoch):
        checked_numbers("Exponential", epoch=epoch)
        return math.exp(-self.decay * epoch)


@dataclass(frozen=True)
class Steps:
    """Multiply by `factor` after every `every` epochs.

    >>> Steps(10, 0.5)(25)
    0.25
    """

    every: float
    factor: float = 0.1

    def __post_init__(self):
        if not is_number(self.every) or self.every <= 0:
            raise ValueError(f"Steps: every {self.every!r} came; a number above 0 fits")
        _check("Steps", "factor", self.factor, 0)

    def __call__(self, epoch):
        checked_numbers("Steps", epoch=epoch)
        return self.factor ** math.floor(epoch / self.every)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 at the start to `lowest` after `epochs` epochs, and that from then on.

    >>> round(Cosine(10)(5), 12)
    0.5

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """

    epochs: float
    lowest: float = 0.0

    def __post_init__(self):
        _check("Cosine", "epochs", self.epochs, 0)
        _check("Cosine", "lowest", self.lowest, 0)

    def __call__(self, epoch):
        checked_numbers("Cosine", epoch=epoch)
        share = min(epoch / self.epochs, 1) if self.epochs else 1
        return self.lowest + (1 - self.lowest) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class WarmUp:
    """Rise in a straight line over the first `epochs` epochs to `then`, which counts its epochs from the start.

    >>> WarmUp(2, Constant())(0.5)
    0.25
    """

    epochs: float
    then: object = Constant()

    def __post_init__(self):
        _check("WarmUp", "epochs", self.epochs, 0)
        if not callable(self.then):
            raise ValueError(f"WarmUp: then {self.then!r} came; a function of the epoch fits, such as Cosine(20)")

    def __call__(self, epoch):
        checked_numbers("WarmUp", epoch=epoch)
        return self.then(epoch) * (min(epoch / self.epochs, 1) if self.epochs else 1)


def from_name(schedule, epochs):
    """Return the schedule called "constant", "cosine" or "exponential" (to e^-4 at the end), or a function as it is.

    Raises:
        ValueError: neither a name nor a function.
    """
    if callable(schedule) and not isinstance(schedule, type):
        return schedule
    named = {None: Constant(), "constant": Constant(), "cosine": Cosine(epochs),
             "exponential": Exponential(4 / max(1, epochs))}
    if not (schedule is None or isinstance(schedule, str)) or schedule not in named:
        raise ValueError(f"schedule: {schedule!r} came; 'constant', 'cosine', 'exponential', or a function of the "
                         "epoch that gives a factor, fits")
    return named[schedule]


def _check(who, name, value, lowest):
    if not is_number(value, lowest):
        raise ValueError(f"{who}: {name} {value!r} came; a number{'' if lowest == -math.inf else ' from 0 up'} fits")
