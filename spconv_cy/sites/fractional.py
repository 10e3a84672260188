"""Bounds drawn at random: the sequences of fractional max-pooling, and the steps of a random stride.

The numbers of a sample are drawn one after the other, so that a batch in two parts draws the same numbers.
Source: Graham 2014, arXiv:1412.6071, section 2; SparseConvNet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.even import Even, EvenRegions
from spconv_cy.sites.regions import Regions, check_bounds
from spconv_cy.sites.regions import drawn as compiled

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice

MANY_BOUNDS = 2**22                                                      # above this, EvenRegions is used
SEQUENCES = ("random", "pseudorandom")
OVERLAPS = ("disjoint", "fixed", "shared")


def in_size(out_size: int, ratio: float) -> int:
    """Return the field of `out_size` regions on an axis: floor(out_size * ratio + 1/2), but at least out_size + 1.

    A ratio of 1 keeps the axis.

    >>> [in_size(n, 2**0.5) for n in (1, 3, 6, 10, 16, 24)]
    [2, 4, 8, 14, 23, 34]
    """
    if ratio == 1:
        return out_size
    return max(out_size + 1, int(np.floor(out_size * ratio + 0.5)))


def out_size(size: int, ratio: float) -> int:
    """Return the largest number of regions whose field is at most `size`; 0 if there is none."""
    if ratio == 1:
        return size
    n = max(0, int(size / ratio) - 2)                                    # not above the result, as in_size rises with n
    while in_size(n + 1, ratio) <= size:
        n += 1
    return n


def draw(rng: np.random.Generator, lattice: Lattice, samples: int, size: Sequence[int], out_size: Sequence[int],
         sequence: str, overlap: str) -> Regions:
    """Return regions of a fractional pooling, drawn for each sample and axis.

    Args:
        rng: numpy Generator.
        lattice: Lattice.
        samples: number of samples.
        size, out_size: d ints each; out_size < size <= 2 * out_size, or equal: that axis is kept.
        sequence: "random": steps between regions in random order; "pseudorandom": starts at ceil(ratio * (i + u)).
        overlap: "disjoint": regions of 1 or 2 sites, side by side; "fixed": of 2 sites, 1 or 2 sites apart;
            "shared": disjoint regions and the first site of the next one.
    """
    if sequence == "pseudorandom" and samples * sum(size) > MANY_BOUNDS:
        return EvenRegions(lattice, size, _evens(rng, samples, size, out_size, overlap))
    check_bounds("fractional pooling", samples, size)
    if compiled:
        return Regions.trusted(lattice, size, _sides(rng, samples, size, out_size, sequence, overlap))
    sequences = [_sequence(n, m, sequence, overlap) for n, m in zip(size, out_size, strict=True)]
    low, high = [], []
    for n, m, (starts_of, _), own in zip(size, out_size, sequences, _drawn(rng, samples, [k for _, k in sequences]),
                                         strict=True):
        starts = starts_of(own)
        low.append(starts[:, :m])
        if n == m or overlap != "fixed":
            high.append(starts[:, 1:] + (n > m and overlap == "shared"))
        else:
            high.append(starts + 2)
    return Regions(lattice, size, low, high)


def _sides(rng: np.random.Generator, samples: int, size: Sequence[int], out_size: Sequence[int], sequence: str,
           overlap: str) -> list[tuple[Any, Any, int]]:
    """Return (low, high, longest) for each axis, from the same random numbers as without the compiled core."""
    rooms = [(0, 0) if n == m else _room(n, m, overlap) for n, m in zip(size, out_size, strict=True)]
    counts = [0 if n == m else 1 if sequence == "pseudorandom" else steps
              for n, m, (_, steps) in zip(size, out_size, rooms, strict=True)]
    own, column, sides = np.ascontiguousarray(rng.random((samples, sum(counts))), np.float64), 0, []
    for n, m, (room, steps), count in zip(size, out_size, rooms, counts, strict=True):
        width, more = 2 * (overlap == "fixed"), int(overlap == "shared")
        if n == m:
            low = np.tile(np.arange(m, dtype=np.int32), (samples, 1))
            sides.append((low, low + np.int32(1), 1))
        elif sequence == "pseudorandom":
            sides.append(compiled.even(own, column, m, room, steps, width, more))
        else:
            order = np.argsort(own[:, column:column + count], axis=1)
            sides.append(compiled.shuffled(order, m, room - steps, width, more))
        column += count
    return sides


def draw_steps(rng: np.random.Generator, lattice: Lattice, samples: int, size: Sequence[int], out_size: Sequence[int],
               window: Sequence[int], stride: Sequence[int]) -> Regions:
    """Return windows of a random stride: `window` sites wide, stride - 1, stride or stride + 1 sites apart.

    The last window ends at the end of the field. Of the out_size - 1 steps, a third (rounded down) is shorter by 1 and
    a third longer by 1, in an order drawn for each sample and axis. An axis of stride 1 is regular. Sizes are d ints.
    """
    check_bounds("random stride", samples, size)
    low = []
    for n, s, own in zip(out_size, stride, _drawn(rng, samples, out_size), strict=True):
        steps = np.full(n - 1, s)
        if s > 1:
            steps[:n // 3], steps[n // 3:2 * (n // 3)] = s - 1, s + 1
        low.append(_summed(steps[np.argsort(own[:, 1:], axis=1)]))
    return Regions(lattice, size, low, [a + f for a, f in zip(low, window, strict=True)])


def _drawn(rng: np.random.Generator, samples: int, counts: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return an array (samples, count) for each axis, drawn sample by sample."""
    return np.split(rng.random((samples, sum(counts))), np.cumsum(counts)[:-1], axis=1)


def _sequence(n: int, m: int, sequence: str, overlap: str) -> tuple[Callable[[NDArray[np.float64]], Any], int]:
    """Return a function from numbers (samples, draws) to starts (samples, m or m + 1), and the number of draws."""
    if m == n:
        return lambda own: np.tile(np.arange(m + 1), (len(own), 1)), 0
    room, steps = _room(n, m, overlap)
    if sequence == "pseudorandom":
        return lambda own: _even(own, room, steps), 1
    return lambda own: _shuffled(own, room - steps), steps


def _room(n: int, m: int, overlap: str) -> tuple[int, int]:
    """Return (room, steps): the last start of m regions of n sites, and the number of steps to it."""
    if not 1 <= m < n <= 2 * m:
        raise ShapeError(expected("fractional pooling", f"{m + 1} to {2 * m} sites for {m} regions", n))
    return {"disjoint": (n, m), "fixed": (n - 2, m - 1), "shared": (n - 1, m)}[overlap]


def _evens(rng: np.random.Generator, samples: int, size: Sequence[int], out_size: Sequence[int],
           overlap: str) -> list[Even]:
    """Return an Even for each axis, from the same random numbers as `draw`."""
    found, drawn = [], _drawn(rng, samples, [int(m < n) for n, m in zip(size, out_size, strict=True)])
    for n, m, own in zip(size, out_size, drawn, strict=True):
        if m == n:
            found.append(Even(m, 1, 1, 1, 0, np.zeros(samples, np.int64)))
            continue
        room, steps = _room(n, m, overlap)
        found.append(Even(m, room, steps, 2 if overlap == "fixed" else None, int(overlap == "shared"),
                          (own[:, 0] * room).astype(np.int64)))
    return found


def _even(own: NDArray[np.float64], room: int, steps: int) -> NDArray[np.int64]:
    # floor((j + u) room / steps) - floor(u room / steps) in whole numbers, which floor(u room) is enough for.
    if steps == 0:
        return np.zeros((len(own), 1), np.int64)
    starts: NDArray[np.int64] = (np.arange(steps + 1) * room + (own * room).astype(np.int64)) // steps
    return starts - starts[:, :1]


def _shuffled(own: NDArray[np.float64], twos: int) -> NDArray[np.int64]:
    steps = np.ones(own.shape, np.int64)
    np.put_along_axis(steps, np.argsort(own, axis=1)[:, :twos], 2, axis=1)
    return _summed(steps)


def _summed(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros((len(steps), 1), np.int64), np.cumsum(steps, axis=1)], axis=1)
