"""The taps that a window has of its box: all, a cross, a ball, the nearest neighbours, or a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spconv_cy.checks import is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.lattice import INT32_MAX, is_whole

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice

MOST_OFFSETS = 2**24
SHAPES = {"cubic": ("full", "cross", "ball"), "simplex": ("full", "nearest")}


def checked_shape(lattice: Lattice, size: tuple[int, ...], shape: str) -> None:
    """Raise ShapeError if the lattice has no such shape, or not of this size, or if it has too many taps."""
    if not is_one_of(shape, SHAPES[lattice.kind]):
        nearest = is_one_of(shape, ("nearest",))
        hint = "use 'cross', which has the nearest neighbours" if nearest else "or give taps=[...]"
        raise ShapeError(expected("Window", f"shape {' or '.join(map(repr, SHAPES[lattice.kind]))} on {lattice}",
                                  repr(shape), hint))
    if shape == "nearest" and set(size) != {3}:
        raise ShapeError(expected("Window", "size 3 with shape='nearest'", size))
    volume = sum(size) - lattice.d + 1 if shape == "cross" else lattice.volume(size)
    if volume > MOST_OFFSETS:
        raise ShapeError(expected("Window", f"at most {MOST_OFFSETS} offsets", f"{volume} for size {size}"))
    if shape == "ball" and not _is_in_ball(np.array([[f // 2 for f in size]]), size).any():
        raise ShapeError(expected("Window", "a ball that has a tap", f"none for size {size}",
                                  "use a larger size, or shape='full'"))


def taps_of(lattice: Lattice, size: tuple[int, ...], shape: str) -> NDArray[np.int32]:
    """Return the taps (k, d) of a shape that has been checked, lexicographic, the last axis fastest."""
    if shape == "full":
        return lattice.taps(size)
    middle = np.array([f // 2 for f in size], np.int32)
    if shape == "cross":
        arms = [np.arange(f, dtype=np.int32) for f in size]
        taps = np.repeat(middle[None], sum(size), 0)
        taps[np.arange(len(taps)), np.repeat(np.arange(len(size)), size)] = np.concatenate(arms)
        return np.unique(taps, axis=0)
    taps = np.ascontiguousarray(np.indices(size, np.int32).reshape(len(size), -1).T)
    if shape == "ball":
        return np.ascontiguousarray(taps[_is_in_ball(taps, size)])
    steps = taps - middle                                                # differences between 0, e1, ..., ed
    return np.ascontiguousarray(taps[((steps == 1).sum(1) <= 1) & ((steps == -1).sum(1) <= 1)])


def checked_taps(lattice: Lattice, taps: Any, signed: bool) -> tuple[tuple[int, ...], ...]:
    """Return a list of taps as a tuple of tuples in lexicographic order.

    Raises:
        ShapeError: not d ints each, none, one twice, too many, beyond int32, or negative numbers unless `signed`.
    """
    who = "Window"
    try:
        found = [tuple(tap) for tap in taps]
    except TypeError:
        raise ShapeError(expected(who, f"a list of taps, {lattice.d} ints each", repr(taps))) from None
    for tap in found:
        if len(tap) != lattice.d or not all(map(is_whole, tap)) or max(map(abs, map(int, tap))) > INT32_MAX:
            raise ShapeError(expected(who, f"taps of {lattice.d} int32 numbers, one for each axis", repr(tap)))
    found = sorted(tuple(map(int, tap)) for tap in found)
    if not 1 <= len(found) <= MOST_OFFSETS or len(set(found)) < len(found):
        raise ShapeError(expected(who, f"1 to {MOST_OFFSETS} different taps",
                                  f"{len(found)} taps, {len(set(found))} of them different"))
    lowest = np.min(found, axis=0)
    if not signed and (lowest < 0).any():
        raise ShapeError(expected(who, "taps that count from 0", f"taps from {tuple(lowest.tolist())} on",
                                  "move them to 0, and give padding= if windows may begin outside the field"))
    return tuple(found)


def _is_in_ball(taps: NDArray[np.integer[Any]], size: tuple[int, ...]) -> NDArray[np.bool_]:
    # Distances from the middle of the box over its half-axes, in units of half a tap, which are exact.
    squares = ((2 * taps.astype(np.int64) - np.array(size) + 1) / np.array(size)) ** 2
    return squares.sum(1) <= 1 + 1e-12
