"""A random landscape, scanned from above: hills, a lake, trees and houses, with a class for every point."""

import numpy as np

from spconv_cy.checks import generator, is_integer, is_number
from spconv_cy.errors import expected

MOST, MOST_SIDE = 10**8, 10**5
TERRAIN_CLASSES = ("other", "ground", "water")


def terrain(n=20_000, side=200.0, seed=0):
    """Return a scan as (points (n, 3) float64, labels (n,) int64): x, y and height in metres, and the class.

    The ground is a sum of waves. What lies below a level is a lake, which reflects a third of the beams. Trees (hit at
    any height; some beams pass to the ground) and houses (flat roofs) are class 0, "other"; ground is 1, water 2.
    Heights have an error of 5 cm (standard deviation).

    Args:
        n: number of points, from 0 up.
        side: of the square, in metres, above 0.
        seed: int >= 0.

    Raises:
        ValueError: an argument is out of range.

    >>> points, labels = terrain(1000)
    >>> points.shape, sorted(set(labels.tolist()))
    ((1000, 3), [0, 1, 2])
    """
    fits = is_integer(n) and 0 <= n <= MOST and is_number(side) and 0 < side <= MOST_SIDE
    if not fits or not is_integer(seed) or seed < 0:
        raise ValueError(expected("terrain", f"integers n from 0 to {MOST} and seed from 0 up, and a side above 0 and "
                                  f"at most {MOST_SIDE}", f"n {n!r}, side {side!r} and seed {seed!r}"))
    rng = generator("terrain", seed, "seed")
    waves = rng.normal(0, 2 * np.pi / 80, (12, 2))
    phases, heights = rng.uniform(0, 2 * np.pi, 12), rng.uniform(0.5, 2, 12)
    level = np.quantile(_ground(rng.uniform(0, side, (2000, 2)), waves, phases, heights), 0.2)
    places = rng.uniform(0, side, (2 * n + 100, 2))                      # two thirds of the lake's are dropped
    ground = _ground(places, waves, phases, heights)
    kept = np.flatnonzero((ground > level) | (rng.random(len(places)) < 1 / 3))[:n]
    places, ground = places[kept], ground[kept]
    labels = np.where(ground > level, 1, 2)
    height = np.maximum(ground, level)
    area = side * side
    trees, houses = rng.uniform(0, side, (int(area / 100), 2)), rng.uniform(0, side, (int(area / 1500), 2))
    reach, tall = rng.uniform(2, 6, len(trees)), rng.uniform(4, 20, len(trees))
    for centres, hit, top in (
            (trees, lambda near, at: (np.hypot(*near.T) < reach[at]) & (rng.random(len(at)) < 0.85),
             lambda at: tall[at] * np.sqrt(rng.uniform(0.01, 1, len(at)))),
            (houses, lambda near, at: (np.abs(near) < 5).all(1), lambda at: np.full(len(at), 5.0))):
        if not len(centres):
            continue
        near, at = _nearest(places, centres)
        struck = hit(near, at) & (labels == 1)
        height = np.where(struck, ground + top(at), height)
        labels = np.where(struck, 0, labels)
    points = np.column_stack([places, height + rng.normal(0, 0.05, len(height))])
    return points, labels.astype(np.int64)


def _ground(places, waves, phases, heights):
    return np.sin(places @ waves.T + phases) @ heights


def _nearest(places, centres):
    """Return for each place the vector (n, 2) from its nearest centre, and the index (n,) of that centre."""
    from scipy.spatial import cKDTree

    at = cKDTree(centres).query(places)[1]
    return places - centres[at], at
