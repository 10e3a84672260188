"""The history of a training run, epoch by epoch."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, fields
from typing import Any, TypeGuard

from spconv_cy.arguments import known_arguments
from spconv_cy.errors import expected


@known_arguments
@dataclass
class History:
    """The history of a training run: lists with one entry for each epoch.

    Errors are fractions from 0 to 1, and None where the labels are not class numbers.

    Attributes:
        losses, errors: means over the training batches, each taken before its step.
        validation_losses, validation_errors: of the validation data, after the epoch.
        rates: the optimiser's rate at the end of the epoch.
        seconds: the time that training took, without the validation.
        best: the epoch, from 0, with the best validation; None without one.
    """

    losses: list[float] = field(default_factory=list)
    errors: list[float | None] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    validation_errors: list[float | None] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: int | None = None

    def __len__(self) -> int:
        return len(self.losses)


def check_history(found: object) -> None:
    """Raise an error if a JSON value does not hold the fields of a History.

    It must hold all fields and no others. The lists must fit each other in length, and hold numbers that a training
    run can give.

    Raises:
        TypeError: a field is missing or unknown, or not a list.
        ValueError: the lists do not fit each other, or hold other values.
    """
    names = [entry.name for entry in fields(History)]
    if not isinstance(found, dict) or set(found) != set(names):
        got = sorted(map(str, found)) if isinstance(found, dict) else f"{found!r:.60}"
        raise TypeError(expected("history", f"{names}", got))
    for name in names[:-1]:
        if not isinstance(found[name], list):
            raise TypeError(expected("history", f"a list for {name}", f"{found[name]!r:.60}"))
    _check_lengths(found)
    _check_values(found)
    epochs, tested, best = len(found["losses"]), len(found["validation_losses"]), found["best"]
    if best is None and tested or best is not None and not (tested and is_count(best) and best < epochs):
        what = f"an epoch from 0 to {epochs - 1}" if tested else "None"
        raise ValueError(expected("history", f"best to be {what}", f"{best!r:.60}"))


def _check_lengths(found: dict[str, Any]) -> None:
    epochs, tested = len(found["losses"]), len(found["validation_losses"])
    for name, n in (("errors", epochs), ("rates", epochs), ("seconds", epochs), ("validation_errors", tested)):
        if len(found[name]) != n:
            raise ValueError(expected("history", f"{n} {name}, one for each loss", len(found[name])))
    if tested > epochs:
        raise ValueError(expected("history", f"at most {epochs} validation_losses, as many as epochs", tested))


def _check_values(found: dict[str, Any]) -> None:
    for name, fits, what in (("losses", math.isfinite, "finite numbers"),
                             ("rates", math.isfinite, "finite numbers"),
                             ("seconds", lambda x: math.isfinite(x) and x >= 0, "finite numbers from 0 up"),
                             ("errors", _is_share, "numbers from 0 to 1 or None"),
                             ("validation_losses", lambda x: True, "numbers"),
                             ("validation_errors", _is_share, "numbers from 0 to 1 or None")):
        for value in found[name]:
            if not (_is_number(value) or value is None and "errors" in name) or not fits(value):
                raise ValueError(expected("history", f"{what} for {name}", f"{value!r:.60}"))


def is_count(value: object) -> TypeGuard[int]:
    """Return True if a JSON value is a whole number from 0 up."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)
                                        and abs(value) <= sys.float_info.max)


def _is_share(value: float | None) -> bool:
    return value is None or 0 <= value <= 1
