"""The encodings of handwriting by name: how many planes each has, and how it is drawn on the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.compiled.strokes import draw_signatures, rasterise
from spconv_cy.data.signatures import lyndon_words, places_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spconv_cy.data.characters import Characters
    from spconv_cy.types import Array

    Moves = tuple[Array | None, Array | None, Array | None]             # matrices, shifts, stroke_shifts


@dataclass(frozen=True)
class Encoding:
    """An encoding of characters as features: directions of steps, or the signature of a window along the stroke.

    Attributes:
        planes: the number of features of a site.
        dimension: 2, or 3 if time is an axis.
        drawn: planes that the rasteriser draws (1 points, 3 vectors, 4 undirected, 8 octogram); 0: signatures.
        level, timed, logarithm: options of a signature.
    """

    planes: int
    dimension: int = 2
    drawn: int = 0
    level: int = 0
    timed: bool = False
    logarithm: bool = False

    @property
    def picked(self) -> Array | None:
        """The indices of the planes in the signature's logarithm; None: the whole signature."""
        letters = 2 + self.timed
        return places_of(lyndon_words(letters, self.level), letters) if self.logarithm else None

    def draw(self, packed: Characters, items: Array, moves: Moves, time_shifts: Array | None, *, size: int,
             scale: float, spacing: float, window: float, pace: float, n_threads: int) -> tuple[Array, Array]:
        """Return sites and features of some items of packed characters, moved by (matrices, shifts, stroke_shifts)."""
        arrays = packed.points, packed.stroke_starts, packed.character_starts, items, *moves
        if not self.drawn:
            return draw_signatures(*arrays, self.picked, level=self.level, timed=self.timed, size=size, scale=scale,
                                   window=window, n_threads=n_threads)
        sites, features = rasterise(
            *arrays, time_shifts, planes=self.drawn, size=size, scale=scale, spacing=spacing,
            slices=size if self.dimension == 3 else 1, pace=pace, n_threads=n_threads)
        if self.planes > self.drawn:
            features = np.concatenate([np.ones((len(features), 1), np.float32), features], 1)
        return sites, features


def _signatures() -> Iterator[tuple[str, Encoding]]:
    for timed in (False, True):
        letters, prefix = 2 + timed, "time-" * timed
        for level in range(5):
            yield f"{prefix}signature{level}", Encoding(
                sum(letters**k for k in range(level + 1)), level=level, timed=timed)
        for level in range(1, 5):
            yield f"{prefix}log-signature{level}", Encoding(
                len(lyndon_words(letters, level)), level=level, timed=timed, logarithm=True)


ENCODINGS = {
    "pen": Encoding(1, drawn=1),
    "undirected": Encoding(4, drawn=4),
    "octogram": Encoding(8, drawn=8),
    "pen-octogram": Encoding(9, drawn=8),
    "space-time": Encoding(1, 3, drawn=1),
    "vector-space-time": Encoding(3, 3, drawn=3),
    **dict(_signatures()),
}
del ENCODINGS["time-signature0"]                                        # equals signature0
MOST_SLICED = 1024                                                      # sites along each axis if one is time
