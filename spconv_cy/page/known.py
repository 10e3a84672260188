"""Whether a drawing is like any digit that is known: the distance to the nearest of 8 points along the stroke."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.pen_digits import as_digit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spconv_cy.types import Array, ArrayLike

FILE = Path(__file__).with_name("known_digits.npz")
# Of the 3498 digits of UCI's 14 test writers, none of whom is among the known ones, 0.46 % are farther away; with the
# doubts of the network 0.57 %. Of Omniglot's characters 7 in 10 are farther, of crosses and level lines all
# (tests/test_page_known.py). Chosen on one half of the test digits for 0.5 % there, the distance is 45.5 or 41.7, and
# 0.34 % or 0.97 % of the other half are doubted.
FARTHEST = 44.0


class KnownDigits:
    """Digits of 30 writers and others drawn for them, thinned out: none is left that is near another.

    Args:
        path: of an .npz with points (n, 8, 2), uint8, that experiments/known_digits.py wrote.
    """

    def __init__(self, path: Path = FILE) -> None:
        with np.load(path) as file:
            points = centred(file["points"].astype(np.float32))
        self.points = np.concatenate([points, points[:, ::-1]]).reshape(-1, 16)          # from either end

    def distance(self, character: Sequence[ArrayLike]) -> float:
        """Return the distance of a drawing to the nearest known digit; the longer side of a digit is 100."""
        points = np.asarray(as_digit(character, aspect=True)[0], np.float32)
        if not np.ptp(points):
            return float("inf")                                          # a dot
        return float(np.sqrt(((self.points - centred(points[None]).reshape(16)) ** 2).sum(1).min()))

    def is_unlike(self, character: Sequence[ArrayLike]) -> bool:
        """Return True if a drawing is farther from every known digit than nearly all digits of other writers are."""
        return self.distance(character) > FARTHEST


def centred(points: Array) -> Array:
    """Return points (n, 8, 2) with the middle of their box at 0."""
    return points - (points.max(1, keepdims=True) + points.min(1, keepdims=True)) / 2
