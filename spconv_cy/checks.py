"""Checks of arguments: seeds, words, flags, numbers, paths. The checks also work for arguments that are arrays."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from spconv_cy.dlpack import is_cupy, without_mask
from spconv_cy.errors import ShapeError, expected, printable
from spconv_cy.types import Array, Seed

MOST, LARGEST = 2**31 - 1, sys.float_info.max
LONGEST_NAME = 160


def generator(who: str, rng: Seed, name: str = "rng") -> np.random.Generator:
    """Return the numpy Generator of a seed; a Generator is returned unchanged.

    Args:
        who, name: the function and its argument, for the error.
        rng: a whole number from 0 up or a sequence of them, a Generator, BitGenerator, SeedSequence or RandomState;
            None gives a different Generator each time.

    Raises:
        ValueError: rng is none of these.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    sources = np.random.BitGenerator, np.random.SeedSequence, np.random.RandomState
    numbers: list[Any] = list(rng) if isinstance(rng, (list, tuple)) else [rng]
    if isinstance(rng, np.ndarray):
        numbers = rng.reshape(-1).tolist() if rng.dtype.kind in "iu" and rng.ndim < 2 else []
    seeds = bool(numbers) and all(isinstance(n, Integral) and not isinstance(n, np.timedelta64) and int(n) >= 0
                                  for n in numbers)
    if rng is None or isinstance(rng, sources) or seeds:
        try:
            return np.random.default_rng(numbers[0] if isinstance(rng, np.ndarray) and not rng.ndim else rng)
        except TypeError:                                                # a RandomState, in older versions of numpy
            pass
    raise ValueError(expected(who, f"{name} to be a seed (a whole number from 0 up), a numpy Generator or None",
                              repr(rng)))


def checked_seed(who: str, **seeds: object) -> None:
    """Raise ValueError if a number that seeds random draws is not a whole number from 0 up."""
    for name, value in seeds.items():
        if not is_integer(value) or value < 0:
            raise ValueError(expected(who, f"{name} to be a whole number from 0 up", repr(value)))


def checked_flags(who: str, **flags: object) -> None:
    """Raise ShapeError if an option is neither True nor False."""
    for name, value in flags.items():
        if not isinstance(value, (bool, np.bool_)):
            raise ShapeError(expected(who, f"{name} to be True or False", repr(value)))


def checked_numbers(who: str, lowest: float = -math.inf, below: float = math.inf, /, **numbers: object) -> None:
    """Raise ValueError if an argument is not one finite real number with lowest <= number < below."""
    for name, value in numbers.items():
        if not is_number(value, lowest, below):
            limits = "" if lowest == -math.inf else f" from {lowest} up" + ("" if below == math.inf else f" to {below}")
            raise ValueError(expected(who, f"{name} to be a number{limits}", repr(value)))


def checked_integers(who: str, lowest: int, most: int = MOST, /, **numbers: object) -> None:
    """Raise ShapeError if an argument is not a whole number from `lowest` to `most`, inclusive."""
    for name, value in numbers.items():
        if not is_integer(value) or not lowest <= value <= most:
            raise ShapeError(expected(who, f"{name} to be a whole number from {lowest} to {most}", repr(value)))


def as_array(who: str, value: object, dtype: npt.DTypeLike | None = None) -> Array:
    """Return nested lists, a Tensor or an array of any library as a numpy array.

    Args:
        who: the function, for the error.
        value: numbers; those in a GPU's memory are copied to the CPU.
        dtype: of the result; None keeps the value's own.

    Raises:
        ShapeError: lists of unequal length, a masked array, or a value that is no array.
    """
    if hasattr(value, "requires_grad") and hasattr(value, "numpy") and hasattr(value, "data"):
        value = value.data
    if is_cupy(value):
        value = value.get()                                              # type: ignore[attr-defined]
    without_mask(value, who)
    try:
        return np.asarray(value, dtype)
    except ValueError:
        raise ShapeError(expected(who, "one array", described(value))) from None
    except TypeError as error:                                           # a device's, as its library says
        raise ShapeError(expected(who, "one array", f"{described(value)} ({error})")) from None


def as_list(who: str, value: Any, what: str) -> list[Any]:
    """Return the entries of a list, tuple, generator or array as a list.

    Raises:
        TypeError: the value has no entries; `what` says in the error what is expected.
    """
    try:
        return list(value)
    except TypeError:
        raise TypeError(expected(who, what, described(value))) from None


def checked_path(who: str, path: object) -> str:
    """Return a path as text; raise TypeError if it is no path."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(expected(who, "the path of a file", described(path)))
    return os.fsdecode(path)


def checked_function(who: str, function: object, what: str) -> None:
    """Raise TypeError if an argument is not a function; `what` says in the error what is expected."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(expected(who, what, described(function)))


def is_one_of(value: object, choices: Iterable[object]) -> bool:
    """Return True if a value is one of the choices, which are text or None; False for an array."""
    return (value is None or isinstance(value, str)) and value in choices


def is_integer(value: object) -> TypeGuard[int]:
    """Return True if a value is a whole number, but no bool and no time span of numpy."""
    return type(value) is int or isinstance(value, Integral) and not isinstance(
        value, (bool, np.bool_, np.timedelta64))


def is_real(value: object) -> TypeGuard[float]:
    """Return True if a value is a real number, also NaN and infinity, but no bool."""
    return type(value) in (float, int) or isinstance(value, Real) and not isinstance(
        value, (bool, np.bool_, np.timedelta64))


def is_number(value: object, lowest: float = -math.inf, below: float = math.inf) -> TypeGuard[float]:
    """Return True if a value is one finite real number, no bool, with lowest <= value < below."""
    return is_real(value) and lowest <= value < below and abs(value) <= LARGEST


def kind_of(value: object) -> str:
    """Return the type of a value with its article, for an error message: "a list", "an int", "None", "the class X"."""
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' or name == 'ndarray' else 'a'} {name}"


def described(value: object) -> str:
    """Return a value as text for an error message: numbers and text unchanged, the type or shape of other values."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
        shapes = ", ".join(str(getattr(v, "shape", kind_of(v))) for v in value[:4])
        return f"a {type(value).__name__} of arrays of shapes {shapes}{', ...' * (len(value) > 4)}"
    if isinstance(value, (list, tuple)):
        return "lists of unequal length" if any(isinstance(v, (list, tuple)) for v in value) else repr(value)[:80]
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)[:80]
    return kind_of(value)


def shortened(names: Sequence[str], most: int = 5) -> str:
    """Return names in a row for an error message, at most some of them and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(name_shown, names[:most])) + more


def name_shown(name: str) -> str:
    """Return a name of a file on one line and of limited length, for a message or a table."""
    if not name:
        return "''"
    cut = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME // 2]}...{name[-LONGEST_NAME // 2:]}"
    return printable(cut).replace("\n", "\\n")
