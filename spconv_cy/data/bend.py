"""Bent characters: a smooth deformation of the plane around each, and strokes whose ends and middles move."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spconv_cy.data.characters import Characters
    from spconv_cy.types import Array

KNOTS = 4                                           # control points along each side of a character's box


def bent(characters: Characters, controls: Array | None = None, ends: Array | None = None) -> Characters:
    """Return Characters with moved points.

    The bounding box of a character is mapped into the unit square without changing its aspect ratio. A point at (u, v)
    moves by the sum of B_i(u) B_j(v) controls[c, i, j], with Bernstein polynomials of degree 3. A point at the fraction
    s of its stroke's length also moves by (1 - s) ends[k, 0] + s ends[k, 1] + 4 s (1 - s) ends[k, 2].

    Args:
        characters: Characters.
        controls: (characters, 4, 4, 2), moves along x and y, in units of the longer side of the box; None: no moves.
        ends: (strokes, 3, 2), moves of beginning, end and middle, in the same unit; None: no moves.

    Source: T. W. Sederberg, S. R. Parry, Free-form deformation of solid geometric models, 1986.

    >>> from spconv_cy.data.characters import Characters
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


def _boxes(characters: Characters, per_character: Array) -> tuple[Array, Array]:
    """Return the lower corner (n, 2) of a square around the centre of each character's box, and its side (n,)."""
    low, high = np.zeros((len(characters), 2)), np.ones((len(characters), 2))
    there = per_character > 0
    starts = characters.stroke_starts[characters.character_starts[:-1]][there]              # reduceat: no empty parts
    low[there], high[there] = (least.reduceat(characters.points, starts) for least in (np.minimum, np.maximum))
    side = np.maximum((high - low).max(1), 1e-4)
    corner: Array = (low + high - side[:, None]) / 2
    return corner, side


def _bernstein(u: Array) -> tuple[Array, Array, Array, Array]:
    return (1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u * u * (1 - u), u**3


def _shares(points: Array, stroke_starts: Array, of_stroke: Array) -> Array:
    """Return the position of each point along its stroke, from 0 to 1."""
    way = np.zeros(len(points))
    steps = np.diff(points, axis=0)
    np.hypot(steps[:, 0], steps[:, 1], out=way[1:])
    way[stroke_starts[:-1]] = 0                                         # the pen is up between strokes
    way = np.cumsum(way)
    first, last = way[stroke_starts[:-1]], way[stroke_starts[1:] - 1]
    return (way - first[of_stroke]) / np.maximum(last - first, 1e-12)[of_stroke]
