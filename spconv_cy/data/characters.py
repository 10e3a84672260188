"""Characters: the strokes of handwriting, packed into three arrays and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, as_list, kind_of
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spconv_cy.types import Array, ArrayLike

LIST = "a list of characters, each a list of (n, 2) arrays, one for each stroke"


@known_arguments
@dataclass(frozen=True, eq=False)
class Characters:
    """Characters as three arrays; `Characters.pack` makes and checks them, `characters[i]` returns the strokes of one.

    Stroke j is points[stroke_starts[j]:stroke_starts[j + 1]], and character i is the strokes character_starts[i] to
    character_starts[i + 1] - 1.

    Attributes:
        points: (p, 2) float64, x right and y down.
        stroke_starts: (strokes + 1,) int64.
        character_starts: (characters + 1,) int64.
    """

    points: Array
    stroke_starts: Array
    character_starts: Array

    @classmethod
    def pack(cls, characters: Characters | Iterable[Iterable[ArrayLike]]) -> Characters:
        """Return Characters made of a list of characters, each a list of (n, 2) arrays of pen positions.

        A character without strokes is allowed: it becomes a sample without sites. A stroke of one point is a dot.

        Args:
            characters: a list of lists of arrays of integers or floats, x right and y down; or Characters, which are
                returned unchanged.

        Raises:
            ShapeError: a stroke is not an (n, 2) array of numbers with n >= 1.
            ValueError: a stroke holds NaN or infinity.

        >>> len(Characters.pack([[[(0, 0), (3, 4)]], []]))
        2
        """
        if isinstance(characters, Characters):
            return characters
        if isinstance(characters, np.ndarray):                           # in lists, each stroke is checked itself
            without_mask(characters, "characters")
        if not hasattr(characters, "__iter__") or isinstance(characters, np.ndarray) and not characters.ndim:
            raise ShapeError(expected("Characters.pack", LIST, kind_of(characters)))
        strokes: list[Array] = []
        counts = []
        for c, character in enumerate(as_list("characters", characters, LIST)):
            found = _checked_strokes(character, c)
            strokes += found
            counts.append(len(found))
        packed = cls(np.concatenate(strokes) if strokes else np.empty((0, 2)),
                     starts_of([len(stroke) for stroke in strokes]), starts_of(counts))
        packed._check_finite()
        for array in (packed.points, packed.stroke_starts, packed.character_starts):
            array.flags.writeable = False
        return packed

    def __len__(self) -> int:
        return len(self.character_starts) - 1

    def __getitem__(self, i: int) -> list[Array]:
        i = range(len(self))[i]
        strokes = range(self.character_starts[i], self.character_starts[i + 1])
        return [self.points[self.stroke_starts[j]:self.stroke_starts[j + 1]] for j in strokes]

    def take(self, items: ArrayLike) -> tuple[Characters, Array]:
        """Return (Characters, strokes): some characters, and the indices of their strokes among all strokes.

        Args:
            items: indices (b,), or a mask (n,).

        Raises:
            ShapeError: items are neither whole numbers in range nor a mask of length n.
        """
        at: Array = as_array("Characters.take: items", items)
        n = len(self)
        if at.ndim != 1 or at.size and at.dtype.kind not in "iub" or at.dtype == bool and at.shape != (n,):
            raise ShapeError(expected("Characters.take", f"items (b,) of whole numbers, or a mask ({n},)",
                                      f"shape {at.shape} of {at.dtype}"))
        if at.dtype != bool:
            at = at.astype(np.int64)
            if at.size and not -n <= at.min() <= at.max() < n:
                raise ShapeError(expected("Characters.take", f"items from 0 to {n - 1}", f"{at.min()} to {at.max()}"))
        starts, ends = self.character_starts[:-1][at], self.character_starts[1:][at]
        strokes = ranges(starts, ends)
        first, last = self.stroke_starts[strokes], self.stroke_starts[1:][strokes]
        return Characters(self.points[ranges(first, last)], starts_of(last - first), starts_of(ends - starts)), strokes

    def _check_finite(self) -> None:
        bad = np.flatnonzero(~np.isfinite(self.points).all(axis=1))
        if len(bad):
            stroke = np.searchsorted(self.stroke_starts, bad[0], "right") - 1
            c = np.searchsorted(self.character_starts, stroke, "right") - 1
            point = tuple(self.points[bad[0]].tolist())
            raise ValueError(expected(
                f"character {c}, stroke {stroke - self.character_starts[c]}", "finite numbers",
                f"{point} at point {bad[0] - self.stroke_starts[stroke]}",
                f"drop or correct the {len(bad)} such points"))


def _checked_strokes(character: Iterable[ArrayLike], c: int) -> list[Array]:
    what = "a list of (n, 2) arrays, one for each stroke"
    if isinstance(character, np.ndarray):
        without_mask(character, f"character {c}")
        if character.ndim < 3 and character.dtype != object:
            raise ShapeError(expected(f"character {c}", what, f"one array of shape {character.shape}",
                                      "put a single stroke into a list" if character.ndim == 2 else
                                      "give strokes, not a row of features or single points"))
    if not hasattr(character, "__iter__") or isinstance(character, (str, bytes, dict)):
        raise ShapeError(expected(f"character {c}", what, kind_of(character)))
    return [_checked_stroke(stroke, f"character {c}, stroke {s}") for s, stroke in enumerate(character)]


def _checked_stroke(stroke: ArrayLike, who: str) -> Array:
    what = "an (n, 2) array of points x, y, n >= 1"
    without_mask(stroke, who)
    try:
        points = np.asarray(stroke)
    except ValueError:
        raise ShapeError(expected(who, what, "points of unequal length")) from None
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        remedy = "put a single stroke into a list" if points.shape == (2,) else ""
        if points.ndim == 2 and len(points):
            remedy = ("transpose it" if len(points) == 2 and points.shape[1] > 3 else
                      "leave out what follows x and y: stroke[:, :2]" if points.shape[1] > 2 else "")
        raise ShapeError(expected(who, what, f"shape {points.shape}",
                                  remedy if points.size else "drop strokes without points"))
    if points.dtype.kind not in "iuf":
        raise ShapeError(expected(who, "integers or floats", f"dtype {points.dtype}"))
    return points.astype(np.float64, copy=False)
