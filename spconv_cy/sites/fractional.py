"""Bounds drawn at random: fractional max-pooling's sequences, and the walks of a random stride.

All numbers of a sample come one after the other from the generator, so a batch that is cut into two draws the same.
Source: Graham 2014, arXiv:1412.6071, section 2; SparseConvNet.
"""

import numpy as np

from spconv_cy.errors import ShapeError
from spconv_cy.sites.even import Even, EvenRegions
from spconv_cy.sites.regions import Regions, check_bounds

MANY_BOUNDS = 2**22                                                      # beyond, pseudorandom ones come by formula
SEQUENCES = ("random", "pseudorandom")
OVERLAPS = ("disjoint", "fixed", "shared")


def in_size(out_size, ratio):
    """Return the field of `out_size` regions an axis, both ints: floor(out_size * ratio + 1/2), but larger than it.

    A ratio of 1 keeps the axis.

    >>> [in_size(n, 2**0.5) for n in (1, 3, 6, 10, 16, 24)]
    [2, 4, 8, 14, 23, 34]
    """
    if ratio == 1:
        return out_size
    return max(out_size + 1, int(np.floor(out_size * ratio + 0.5)))


def out_size(size, ratio):
    """Return the largest number of regions whose field is `size` or less, both ints; 0 where there is none."""
    if ratio == 1:
        return size
    n = max(0, int(size / ratio) - 2)                                    # at or below it: in_size rises with n
    while in_size(n + 1, ratio) <= size:
        n += 1
    return n


def draw(rng, lattice, samples, size, out_size, sequence, overlap):
    """Draw the regions of a fractional pooling, new ones for each sample and axis.

    Args:
        rng: numpy Generator.
        lattice: Lattice.
        samples: number of samples.
        size, out_size: d ints each; out_size < size <= 2 * out_size, or equal: that axis stays as it is.
        sequence: "random": the steps from one region to the next in any order; "pseudorandom": ceil(ratio * (i + u)).
        overlap: "disjoint": regions of 1 or 2 sites side by side; "fixed": of 2 sites, a step of 1 or 2 apart;
            "shared": as disjoint ones with the next region's first site besides.
    """
    if sequence == "pseudorandom" and samples * sum(size) > MANY_BOUNDS:
        return EvenRegions(lattice, size, _evens(rng, samples, size, out_size, overlap))
    check_bounds("fractional pooling", samples, size)
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


def draw_steps(rng, lattice, samples, size, out_size, window, stride):
    """Draw the windows of a random stride: of `window` sites, stride - 1, stride or stride + 1 apart, the last flush.

    Of the out_size - 1 steps a third each (rounded down) is shorter and longer by 1, in an order drawn for each sample
    and axis; an axis of stride 1 stays regular. All sizes are d ints.
    """
    check_bounds("random stride", samples, size)
    low = []
    for n, s, own in zip(out_size, stride, _drawn(rng, samples, out_size), strict=True):
        steps = np.full(n - 1, s)
        if s > 1:
            steps[:n // 3], steps[n // 3:2 * (n // 3)] = s - 1, s + 1
        low.append(_summed(steps[np.argsort(own[:, 1:], axis=1)]))
    return Regions(lattice, size, low, [a + f for a, f in zip(low, window, strict=True)])


def _drawn(rng, samples, counts):
    """Return an array (samples, count) an axis, drawn sample by sample."""
    return np.split(rng.random((samples, sum(counts))), np.cumsum(counts)[:-1], axis=1)


def _sequence(n, m, sequence, overlap):
    """Return a function of numbers (samples, draws) that gives starts (samples, m or m + 1), and the draws it needs."""
    if m == n:
        return lambda own: np.tile(np.arange(m + 1), (len(own), 1)), 0
    room, steps = _room(n, m, overlap)
    if sequence == "pseudorandom":
        return lambda own: _even(own, room, steps), 1
    return lambda own: _shuffled(own, room - steps), steps


def _room(n, m, overlap):
    """Return (room, steps): how far the starts of m regions of n sites reach, and in how many steps."""
    if not 1 <= m < n <= 2 * m:
        raise ShapeError(f"fractional pooling: {n} sites came for {m} regions; from {m + 1} to {2 * m} fit")
    return {"disjoint": (n, m), "fixed": (n - 2, m - 1), "shared": (n - 1, m)}[overlap]


def _evens(rng, samples, size, out_size, overlap):
    """Return an Even an axis, of the numbers that `draw` would draw too."""
    found, drawn = [], _drawn(rng, samples, [int(m < n) for n, m in zip(size, out_size, strict=True)])
    for n, m, own in zip(size, out_size, drawn, strict=True):
        if m == n:
            found.append(Even(m, 1, 1, 1, 0, np.zeros(samples, np.int64)))
            continue
        room, steps = _room(n, m, overlap)
        found.append(Even(m, room, steps, 2 if overlap == "fixed" else None, int(overlap == "shared"),
                          (own[:, 0] * room).astype(np.int64)))
    return found


def _even(own, room, steps):
    # floor((j + u) room / steps) - floor(u room / steps), in whole numbers: j room + floor(u room) tells all of it.
    if steps == 0:
        return np.zeros((len(own), 1), np.int64)
    starts = (np.arange(steps + 1) * room + (own * room).astype(np.int64)) // steps
    return starts - starts[:, :1]


def _shuffled(own, twos):
    steps = np.ones(own.shape, np.int64)
    np.put_along_axis(steps, np.argsort(own, axis=1)[:, :twos], 2, axis=1)
    return _summed(steps)


def _summed(steps):
    return np.concatenate([np.zeros((len(steps), 1), np.int64), np.cumsum(steps, axis=1)], axis=1)
