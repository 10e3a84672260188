"""What arguments are: seeds, words, flags, numbers; asked without a comparison that an array could break."""

import math
import os
import sys
from numbers import Integral, Real

import numpy as np

from spconv_cy.dlpack import is_cupy, without_mask
from spconv_cy.errors import ShapeError

MOST, LARGEST = 2**31 - 1, sys.float_info.max


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
    sources = np.random.BitGenerator, np.random.SeedSequence, np.random.RandomState
    numbers = rng if isinstance(rng, (list, tuple)) else [rng]
    if isinstance(rng, np.ndarray):
        numbers = rng.reshape(-1).tolist() if rng.dtype.kind in "iu" and rng.ndim < 2 else []
    seeds = bool(numbers) and all(isinstance(n, Integral) and not isinstance(n, np.timedelta64) and n >= 0
                                  for n in numbers)
    if rng is None or isinstance(rng, sources) or seeds:
        try:
            return np.random.default_rng(numbers[0] if isinstance(rng, np.ndarray) and not rng.ndim else rng)
        except TypeError:                                                # a RandomState, in older versions of numpy
            pass
    raise ValueError(f"{who}: expected {name} to be a seed (a whole number from 0 up), a numpy Generator or None, got "
                     f"{rng!r}")


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


def checked_numbers(who, lowest=-math.inf, below=math.inf, /, **numbers):
    """Raise ValueError where an argument is not one finite real number, from `lowest` up and less than `below`."""
    for name, value in numbers.items():
        if not is_number(value, lowest, below):
            limits = "" if lowest == -math.inf else f" from {lowest} up" + ("" if below == math.inf else f" to {below}")
            raise ValueError(f"{who}: expected {name} to be a number{limits}, got {value!r}")


def checked_integers(who, lowest, most=MOST, /, **numbers):
    """Raise ShapeError where an argument is not a whole number from `lowest` to `most`."""
    for name, value in numbers.items():
        if not is_integer(value) or not lowest <= value <= most:
            raise ShapeError(f"{who}: expected {name} to be a whole number from {lowest} to {most}, got {value!r}")


def as_array(who, value, dtype=None):
    """Return what nested lists, a Tensor or an array of any library hold, as a numpy array.

    Args:
        who: is named in the error.
        value: numbers; those in a GPU's memory are copied from there.
        dtype: of the result; None: the value's own.

    Raises:
        ShapeError: lists of unequal length, a masked array, or what cannot be read as an array.
    """
    if hasattr(value, "requires_grad") and hasattr(value, "numpy") and hasattr(value, "data"):
        value = value.data
    if is_cupy(value):
        value = value.get()
    without_mask(value, who)
    try:
        return np.asarray(value, dtype)
    except ValueError:
        raise ShapeError(f"{who}: expected one array, got {described(value)}") from None
    except TypeError as error:                                           # a device's, as its library says
        raise ShapeError(f"{who}: expected one array, got {described(value)} ({error})") from None


def as_list(who, value, what):
    """Return a list of what a list, tuple, generator or array holds; raise TypeError where it holds nothing."""
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{who}: expected {what}, got {described(value)}") from None


def checked_path(who, path):
    """Return a path as text; raise TypeError where it is none."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"{who}: expected the path of a file, got {described(path)}")
    return os.fsdecode(path)


def checked_function(who, function, what):
    """Raise TypeError where what is to be called cannot be; `what` says what fits."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{who}: expected {what}, got {described(function)}")


def is_one_of(value, choices):
    """Tell whether a value is one of some words, or None where that is among them; an array is none of them."""
    return (value is None or isinstance(value, str)) and value in choices


def is_integer(value):
    """Tell whether a value is a whole number and no bool; numpy counts its time spans as whole numbers, too."""
    return type(value) is int or isinstance(value, Integral) and not isinstance(
        value, (bool, np.bool_, np.timedelta64))


def is_real(value):
    """Tell whether a value is a real number, NaN and infinity among them, and no bool."""
    return type(value) in (float, int) or isinstance(value, Real) and not isinstance(
        value, (bool, np.bool_, np.timedelta64))


def is_number(value, lowest=-math.inf, below=math.inf):
    """Tell whether a value is one finite real number, no bool, from `lowest` up and less than `below`."""
    return is_real(value) and lowest <= value < below and abs(value) <= LARGEST


def kind_of(value):
    """Return the type of a value with its article, for an error message: "a list", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def described(value):
    """Return what a value is, for an error message: a number or text itself, otherwise its type or shape."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    if isinstance(value, (list, tuple)):
        return "lists of unequal length" if any(isinstance(v, (list, tuple)) for v in value) else repr(value)[:80]
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)[:80]
    return f"a {type(value).__name__}"
