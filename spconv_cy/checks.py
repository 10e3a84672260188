"""What arguments are: seeds, words, flags, numbers; asked without a comparison that an array could break."""

import math
from numbers import Integral, Real

import numpy as np

from spconv_cy.errors import ShapeError

SOURCES = (np.random.BitGenerator, np.random.SeedSequence, np.random.RandomState)


def generator(who, rng, name="rng"):
    """Return the numpy Generator of a seed; a Generator comes back as it is.

    Args:
        who, name: are named in the error.
        rng: a whole number from 0 up or several, a Generator, a BitGenerator, a SeedSequence or RandomState, or None:
            another each time.

    Raises:
        ValueError: something else.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    numbers = rng.tolist() if isinstance(rng, np.ndarray) else rng
    numbers = numbers if isinstance(numbers, (list, tuple)) else [numbers]
    seeds = bool(numbers) and all(isinstance(n, Integral) and n >= 0 for n in numbers)
    if not (rng is None or isinstance(rng, SOURCES) or seeds):
        raise ValueError(f"{who}: expected {name} to be a seed (a whole number from 0 up), a numpy Generator or None, "
                         f"got {rng!r}")
    return np.random.default_rng(rng)


def checked_seed(who, **seeds):
    """Raise ValueError where a number that draws depend on is not whole and at least 0."""
    for name, value in seeds.items():
        if not is_integer(value) or value < 0:
            raise ValueError(f"{who}: expected {name} to be a whole number from 0 up, got {value!r}")


def checked_flags(who, **flags):
    """Raise ShapeError where an option is neither True nor False."""
    for name, value in flags.items():
        if not isinstance(value, (bool, np.bool_)):
            raise ShapeError(f"{who}: expected {name} to be True or False, got {value!r}")


def is_one_of(value, choices):
    """Tell whether a value is one of some words, or None where that is among them; an array is none of them."""
    return (value is None or isinstance(value, str)) and value in choices


def is_integer(value):
    """Tell whether a value is a whole number and no bool."""
    return isinstance(value, Integral) and not isinstance(value, (bool, np.bool_))


def is_number(value, lowest=-math.inf, below=math.inf):
    """Tell whether a value is one finite real number, no bool, from `lowest` up and less than `below`."""
    real = isinstance(value, Real) and not isinstance(value, (bool, np.bool_, np.timedelta64))
    return real and lowest <= value < below and -math.inf < value


def checked_function(who, function, what):
    """Raise TypeError where what is to be called cannot be; `what` says what fits."""
    if not callable(function) or isinstance(function, type):
        got = f"the class {function.__name__}" if isinstance(function, type) else f"a {type(function).__name__}"
        raise TypeError(f"{who}: expected {what}, got {got}")
