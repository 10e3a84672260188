"""The encoder that draws strokes on the grid."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, checked_integers, is_number
from spconv_cy.config import threads
from spconv_cy.data.characters import Characters
from spconv_cy.data.encoding import ENCODINGS, MOST_SLICED
from spconv_cy.errors import ShapeError, expected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from spconv_cy.types import Array, ArrayLike


@known_arguments
@dataclass(frozen=True)
class StrokeEncoder:
    """Draws characters as active sites with features: normalise, move, resample at even spacing, collect by site.

    The bounding box of a character is scaled to `scale` sites along its longer side, keeping the aspect ratio, and
    centred in the field. Axis 1 of the sites is x, axis 2 is y: a point p is at the site floor(p + size / 2). Each of
    the resampled steps has weight 1:

    - "pen": 1 plane, the number of resampled points in the site.
    - "octogram": 8 planes, the directions k * 45 degrees from x towards y (2 is down). A step counts at the site of its
      midpoint and is divided linearly between the two directions nearest to it.
    - "undirected": 4 planes, the same with opposite directions added.
    - "pen-octogram": 9 planes, 1 at every site of the pen, then the octogram.
    - "space-time": 1 plane over (x, y, t), the number of points. Time is the length of the pen's path; it stands still
      while the pen is up.
    - "vector-space-time": 3 planes, the number of steps, and the sums of x and of y of their unit vectors.

    A dot (a stroke shorter than half the spacing) divides the weight 1 equally among the planes of its first site.

    - "signature0" to "signature4" (1, 3, 7, 15, 31 planes): the signature of the part of the stroke within `window`
      sites along its path before and after the point at which it first visits the site.
    - "log-signature1" to "log-signature4" (2, 3, 5, 8 planes): its logarithm, see `log_signature`.
    - "time-signature1" and so on: the same for the paths (time, x, y).

    Args:
        encoding: one of those names.
        size: int, sites along each side of the field, 1 to 32768; with a time axis, which is as long, 1 to 1024.
        scale: float, sites along the longer side of a character, less than size; None: points are in sites from the
            centre of the field, and are not normalised.
        spacing: float, sites between resampled points, from 0.001 up.
        factors: one number for each plane, by which it is multiplied (`fit` finds them); None: 1.
        window: float, half the length of a signature's window in sites, from 0.01 up; None: scale / 5.
        pace: float, sites along the time axis for each site along the pen's path.

    Source: Graham 2013, arXiv:1308.0371; Graham 2014, arXiv:1409.6070. See also docs/handwriting.md.

    >>> sites, features = StrokeEncoder("pen", size=3, scale=2, spacing=0.5).sites([[[(0, 0), (9, 0)]]])
    >>> sites.tolist(), features.ravel().tolist()
    ([[0, 0, 1], [0, 1, 1], [0, 2, 1]], [1.0, 2.0, 2.0])
    """

    encoding: str = "octogram"
    size: int = 48
    scale: float | None = 16
    spacing: float = 0.1
    factors: tuple[float, ...] | None = None
    window: float | None = None
    pace: float = 0.2

    def __post_init__(self) -> None:
        who = "StrokeEncoder"
        if not isinstance(self.encoding, str) or self.encoding not in ENCODINGS:
            raise ValueError(expected(who, f"encoding to be one of {', '.join(ENCODINGS)}", f"{self.encoding!r}"))
        most = MOST_SLICED if self.dimension == 3 else 2**15
        if not is_number(self.size) or self.size != int(self.size) or not 1 <= self.size <= most:
            raise ValueError(expected(who, f"size to be a whole number from 1 to {most}", f"{self.size!r}"))
        if self.scale is not None and not (is_number(self.scale) and 0 < self.scale < self.size):
            raise ValueError(expected(who, f"scale to be a number above 0 and below the size {self.size}, or None",
                                      f"{self.scale!r}"))
        if not is_number(self.spacing, 0.001):
            raise ValueError(expected(who, "spacing to be a number from 0.001 up", f"{self.spacing!r}",
                                      "use 0.001 or more; finer spacing does not improve the features"))
        if self.window is not None and not is_number(self.window, 0.01):
            raise ValueError(expected(who, "window to be a number from 0.01 up, or None", f"{self.window!r}"))
        if self.window is None and self.scale is None and not ENCODINGS[self.encoding].drawn:
            raise ValueError(expected(who, "a scale or a window for signatures", "neither",
                                      "give window, half its length in sites"))
        if not is_number(self.pace, 0):
            raise ValueError(expected(who, "pace to be a number from 0 up", f"{self.pace!r}"))
        if self.factors is not None:
            factors: Array = as_array("StrokeEncoder: factors", self.factors)
            if factors.shape != (self.planes,) or factors.dtype.kind not in "iuf" or not (
                    np.abs(factors) <= np.finfo(np.float32).max).all():
                raise ShapeError(expected(who, f"factors to be {self.planes} finite numbers", f"{self.factors!r}"))
            object.__setattr__(self, "factors", tuple(float(factor) for factor in self.factors))

    @property
    def planes(self) -> int:
        """The number of features of a site."""
        return ENCODINGS[self.encoding].planes

    @property
    def dimension(self) -> int:
        """The number of axes of the field: 3 if one is time, else 2."""
        return ENCODINGS[self.encoding].dimension

    def fit(self, characters: Characters | Sequence[Sequence[ArrayLike]],
            max_characters: int = 10_000) -> StrokeEncoder:
        """Return this encoder with factors that scale the largest absolute value of each plane to 1.

        The maximum is over the first `max_characters` characters, without distortions. An empty plane gets the factor
        0.
        """
        checked_integers("StrokeEncoder.fit", 0, max_characters=max_characters)
        packed = Characters.pack(characters)
        largest = np.zeros(self.planes)
        for first in range(0, min(len(packed), max_characters), 1000):
            items = np.arange(first, min(first + 1000, len(packed), max_characters))
            features = replace(self, factors=None).sites(packed, items)[1]
            largest = np.maximum(largest, abs(features).max(axis=0, initial=0))
        factors = np.divide(1, largest, out=np.zeros(self.planes), where=largest > 0)
        return replace(self, factors=tuple(factors.tolist()))

    def sites(self, characters: Characters | Sequence[Sequence[ArrayLike]], items: ArrayLike | None = None, *,
              matrices: ArrayLike | None = None, shifts: ArrayLike | None = None,
              stroke_shifts: ArrayLike | None = None, time_shifts: ArrayLike | None = None,
              n_threads: int | None = None) -> tuple[Array, Array]:
        """Draw characters as one batch; return their sites and features.

        Args:
            characters: Characters, or a list of lists of (n, 2) arrays.
            items: (b,) int, indices of the characters to draw, in the order of the batch; None: all.
            matrices: (b, 2, 2), moves the centred points p to p @ matrix + shift; None: identity.
            shifts: (b, 2) in units of scale (in sites if scale is None); None: 0.
            stroke_shifts: (all strokes of characters, 2), in the same unit, applied before the matrix; None: 0.
            time_shifts: (b,), in the same unit, along the time axis; ignored if there is none.
            n_threads: int; None: as set by `set_threads`. The result is the same, bit for bit, for every number.

        Returns:
            sites (m, 3) int32 of (batch, x, y), or (m, 4) of (batch, x, y, t), distinct and in lexicographic order, and
            features (m, planes) float32.

        Raises:
            ShapeError, ValueError: as for Characters.pack; moves that do not match the items.
            GridError: points outside the field; the message names their number, the character and a sufficient size.
        """
        packed = Characters.pack(characters)
        at: Array = np.atleast_1d(as_array("StrokeEncoder.sites: items",
                                           np.arange(len(packed)) if items is None else items))
        if at.ndim != 1 or at.dtype.kind not in "iu" and at.size:
            raise ShapeError(expected("StrokeEncoder.sites", "items (b,) of whole numbers",
                                      f"shape {at.shape} of {at.dtype}"))
        if n_threads is not None:
            checked_integers("StrokeEncoder.sites", 1, 1024, n_threads=n_threads)
        moves = (_checked_move("matrices", matrices, (len(at), 2, 2)),
                 _checked_move("shifts", shifts, (len(at), 2)),
                 _checked_move("stroke_shifts", stroke_shifts, (len(packed.stroke_starts) - 1, 2)))
        times = _checked_move("time_shifts", time_shifts, (len(at),))
        sites, features = ENCODINGS[self.encoding].draw(
            packed, np.require(at, np.int64, ["C", "A"]), moves, times, size=int(self.size),
            scale=float(self.scale or 0), spacing=float(self.spacing), pace=float(self.pace),
            window=float(self.window or (self.scale or 0) / 5), n_threads=n_threads or threads())
        if self.factors is not None:
            features *= np.asarray(self.factors, np.float32)
        return sites, features

    def describe(self) -> dict[str, Any]:
        """Return {"class", "arguments"} as JSON values: StrokeEncoder(**arguments) is an equal encoder."""
        return {"class": "StrokeEncoder", "arguments": asdict(self)}


def _checked_move(name: str, move: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    if move is None:
        return None
    array: Array = as_array(f"StrokeEncoder.sites: {name}", move)
    if array.shape != shape:
        raise ShapeError(expected("StrokeEncoder.sites", f"{name} {shape}", f"shape {array.shape}"))
    if array.dtype.kind not in "iuf":
        raise ShapeError(expected("StrokeEncoder.sites", f"{name} to be numbers", f"dtype {array.dtype}"))
    return np.require(array, np.float64, ["C", "A"])
