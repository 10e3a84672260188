"""What happened in a training, epoch by epoch."""

import math
import sys
from dataclasses import dataclass, field, fields


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


def check_history(found):
    """Raise TypeError or ValueError where a JSON value is not the fields of a History.

    Fields must be there, and no others; lists fit each other in length, and hold numbers that a training gives.
    """
    names = [entry.name for entry in fields(History)]
    if not isinstance(found, dict) or set(found) != set(names):
        got = sorted(map(str, found)) if isinstance(found, dict) else f"{found!r:.60}"
        raise TypeError(f"history: expected {names}, got {got}")
    for name in names[:-1]:
        if not isinstance(found[name], list):
            raise TypeError(f"history: expected a list for {name}, got {found[name]!r:.60}")
    epochs, tested, best = len(found["losses"]), len(found["validation_losses"]), found["best"]
    for name, n in (("errors", epochs), ("rates", epochs), ("seconds", epochs), ("validation_errors", tested)):
        if len(found[name]) != n:
            raise ValueError(f"history: expected {n} {name}, one for each loss, got {len(found[name])}")
    if tested > epochs:
        raise ValueError(f"history: expected at most {epochs} validation_losses, as many as epochs, got {tested}")
    for name, fits, expected in (("losses", math.isfinite, "finite numbers"),
                                 ("rates", math.isfinite, "finite numbers"),
                                 ("seconds", lambda x: math.isfinite(x) and x >= 0, "finite numbers from 0 up"),
                                 ("errors", _is_share, "shares from 0 to 1 or None"),
                                 ("validation_losses", lambda x: True, "numbers"),
                                 ("validation_errors", _is_share, "shares from 0 to 1 or None")):
        for value in found[name]:
            if not (_is_number(value) or value is None and "errors" in name) or not fits(value):
                raise ValueError(f"history: expected {expected} for {name}, got {value!r:.60}")
    if best is None and tested or best is not None and not (tested and is_count(best) and best < epochs):
        raise ValueError(f"history: expected best to be {f'an epoch from 0 to {epochs - 1}' if tested else None}, got "
                         f"{best!r:.60}")


def is_count(value):
    """Whether a JSON value is a whole number from 0 up."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value):
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)
                                        and abs(value) <= sys.float_info.max)


def _is_share(value):
    return value is None or 0 <= value <= 1
