"""Bent characters: a smooth deformation of the plane about each, and strokes whose ends and middles move."""

from dataclasses import replace

import numpy as np

KNOTS = 4                                           # control points along each side of a character's box


def bent(characters, controls=None, ends=None):
    """Return Characters whose points are moved, all at once.

    The box of a character is taken to the unit square, its aspect kept. Its point at (u, v) moves by the sum of
    B_i(u) B_j(v) controls[c, i, j], Bernstein polynomials of degree 3; the point of a stroke at the share s of its way
    moves by (1 - s) ends[k, 0] + s ends[k, 1] + 4 s (1 - s) ends[k, 2] besides.

    Args:
        characters: Characters.
        controls: (characters, 4, 4, 2), moves along x and y, in units of the longer side of the box; None: not.
        ends: (strokes, 3, 2), of begin, end and middle, in the same unit; None: not.

    Source: T. W. Sederberg, S. R. Parry, Free-form deformation of solid geometric models, 1986.

    >>> from spconv_cy.data.strokes import Characters
    >>> line = Characters.pack([[[(0, 0), (4, 0), (8, 0)]]])
    >>> bent(line, ends=np.array([[(0, 0), (0, 0), (0, 0.25)]])).points.tolist()
    [[0.0, 0.0], [4.0, 2.0], [8.0, 0.0]]
    """
    points = characters.points
    if not len(points) or controls is None and ends is None:
        return characters
    of_stroke = np.repeat(np.arange(len(characters.stroke_starts) - 1), np.diff(characters.stroke_starts))
    per_character = np.diff(characters.stroke_starts[characters.character_starts])
    of_character = np.repeat(np.arange(len(characters)), per_character)
    low, side = _boxes(characters, per_character)
    moves = np.zeros_like(points)
    if controls is not None:
        across, down = map(_bernstein, ((points - low[of_character]) / side[of_character, None]).T)
        for i in range(KNOTS):
            for j in range(KNOTS):
                moves += (across[i] * down[j])[:, None] * controls[of_character, i, j]
    if ends is not None:
        share = _shares(points, characters.stroke_starts, of_stroke)[:, None]
        for weight, k in ((1 - share, 0), (share, 1), (4 * share * (1 - share), 2)):
            moves += weight * ends[of_stroke, k]
    return replace(characters, points=points + side[of_character, None] * moves)


def _boxes(characters, per_character):
    # The lower corner of a square about the middle of each box, and its side; reduceat wants no empty parts.
    low, high = np.zeros((len(characters), 2)), np.ones((len(characters), 2))
    there = per_character > 0
    starts = characters.stroke_starts[characters.character_starts[:-1]][there]
    low[there], high[there] = (least.reduceat(characters.points, starts) for least in (np.minimum, np.maximum))
    side = np.maximum((high - low).max(1), 1e-4)
    return (low + high - side[:, None]) / 2, side


def _bernstein(u):
    return (1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u * u * (1 - u), u**3


def _shares(points, stroke_starts, of_stroke):
    # How far along its stroke each point lies, 0 to 1.
    way = np.zeros(len(points))
    np.hypot(*np.diff(points, axis=0).T, out=way[1:])
    way[stroke_starts[:-1]] = 0                                         # the pen is up on the way to a stroke
    way = np.cumsum(way)
    first, last = way[stroke_starts[:-1]], way[stroke_starts[1:] - 1]
    return (way - first[of_stroke]) / np.maximum(last - first, 1e-12)[of_stroke]
