"""Which taps of a box a window has: all, a cross, a ball, the nearest neighbours, or a list."""

import numpy as np

from spconv_cy.checks import is_one_of
from spconv_cy.errors import ShapeError
from spconv_cy.sites.lattice import INT32_MAX, is_whole

MOST_OFFSETS = 2**24
SHAPES = {"cubic": ("full", "cross", "ball"), "simplex": ("full", "nearest")}


def checked_shape(lattice, size, shape):
    """Raise ShapeError where a lattice has no such shape, or none of that size, or it has too many taps."""
    if not is_one_of(shape, SHAPES[lattice.kind]):
        hint = ": 'cross' has a site's nearest neighbours there" if is_one_of(shape, ("nearest",)) else ""
        raise ShapeError(f"Window: shape {shape!r} came on {lattice}; {' or '.join(map(repr, SHAPES[lattice.kind]))} "
                         f"fit there, or taps=[...]{hint}")
    if shape == "nearest" and set(size) != {3}:
        raise ShapeError(f"Window: size {size} came with shape='nearest'; 3 fits")
    volume = sum(size) - lattice.d + 1 if shape == "cross" else lattice.volume(size)
    if volume > MOST_OFFSETS:
        raise ShapeError(f"Window: size {size} has {volume} offsets; at most {MOST_OFFSETS} fit")
    if shape == "ball" and not _is_in_ball(np.array([[f // 2 for f in size]]), size).any():
        raise ShapeError(f"Window: no tap of a box of size {size} lies in its ball; a larger size, or 'full', fits")


def taps_of(lattice, size, shape):
    """Return the taps (k, d) int32 of a shape that has been checked, lexicographic, the last axis fastest."""
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
    steps = taps - middle                                                # differences of two of 0, e1, ..., ed
    return np.ascontiguousarray(taps[((steps == 1).sum(1) <= 1) & ((steps == -1).sum(1) <= 1)])


def checked_taps(lattice, taps, signed):
    """Return a list of taps as a tuple of tuples in lexicographic order.

    Raises:
        ShapeError: not d ints each, none, one twice, too many, beyond int32, or negative ones where not `signed`.
    """
    who = "Window taps"
    try:
        found = [tuple(tap) for tap in taps]
    except TypeError:
        raise ShapeError(f"{who}: {taps!r} came; a list of taps fits, {lattice.d} ints each") from None
    for tap in found:
        if len(tap) != lattice.d or not all(map(is_whole, tap)) or max(map(abs, map(int, tap))) > INT32_MAX:
            raise ShapeError(f"{who}: {tap!r} came; int32 numbers fit, {lattice.d} a tap, one an axis")
    found = sorted(tuple(map(int, tap)) for tap in found)
    if not 1 <= len(found) <= MOST_OFFSETS or len(set(found)) < len(found):
        raise ShapeError(f"{who}: {len(found)} taps came, {len(set(found))} of them different; 1 to {MOST_OFFSETS} "
                         "different ones fit")
    lowest = np.min(found, axis=0)
    if not signed and (lowest < 0).any():
        raise ShapeError(f"{who}: {tuple(lowest.tolist())} is the lowest corner of the taps; they count from 0: move "
                         "them there, and give padding= where windows may begin outside the field")
    return tuple(found)


def _is_in_ball(taps, size):
    # In units of half a tap, exact: distances from the middle of the box over its half-axes.
    squares = ((2 * taps.astype(np.int64) - np.array(size) + 1) / np.array(size)) ** 2
    return squares.sum(1) <= 1 + 1e-12
