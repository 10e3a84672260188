"""Handwriting to sites: characters packed once and checked, and the encoder that draws them on the grid."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from spconv_cy.checks import as_array, as_list, checked_integers, is_number
from spconv_cy.config import threads
from spconv_cy.data.encoding import ENCODINGS, MOST_SLICED
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Characters:
    """Characters as three arrays; `Characters.pack` makes and checks them, `characters[i]` gives the strokes of one.

    Stroke j is points[stroke_starts[j]:stroke_starts[j + 1]], character i the strokes character_starts[i] up to
    character_starts[i + 1]. Points are (p, 2) float64, x right and y down; the starts are int64.
    """

    points: np.ndarray
    stroke_starts: np.ndarray
    character_starts: np.ndarray

    @classmethod
    def pack(cls, characters):
        """Pack a list of characters, each a list of (n, 2) arrays of pen positions, x right and y down.

        A character without strokes is allowed: it becomes a sample without sites. A stroke of one point is a dot.

        Args:
            characters: a list of lists of arrays of integers or floats, or Characters, which come back as they are.

        Raises:
            ShapeError: a stroke is not an (n, 2) array of numbers with n >= 1.
            ValueError: a stroke holds NaN or infinity.

        >>> len(Characters.pack([[[(0, 0), (3, 4)]], []]))
        2
        """
        if isinstance(characters, Characters):
            return characters
        if not hasattr(characters, "__iter__"):
            raise ShapeError(f"characters: {type(characters).__name__} came; a list of characters fits, each a list of "
                             "(n, 2) arrays, one a stroke")
        if isinstance(characters, np.ndarray):                           # of a list, each stroke is asked by its number
            without_mask(characters, "characters")
        strokes, counts = [], []
        if isinstance(characters, np.ndarray) and not characters.ndim:
            raise ShapeError("characters: one number came; a list of characters fits, each a list of (n, 2) arrays")
        for c, character in enumerate(as_list("characters", characters, "a list of characters")):
            found = _checked_strokes(character, c)
            strokes += found
            counts.append(len(found))
        packed = cls(np.concatenate(strokes) if strokes else np.empty((0, 2)),
                     starts_of([len(stroke) for stroke in strokes]), starts_of(counts))
        packed._check_finite()
        for array in (packed.points, packed.stroke_starts, packed.character_starts):
            array.flags.writeable = False
        return packed

    def __len__(self):
        return len(self.character_starts) - 1

    def __getitem__(self, i):
        i = range(len(self))[i]
        strokes = range(self.character_starts[i], self.character_starts[i + 1])
        return [self.points[self.stroke_starts[j]:self.stroke_starts[j + 1]] for j in strokes]

    def take(self, items):
        """Return (Characters, strokes): the characters `items`, (b,) numbers, and the numbers of their strokes here."""
        items = as_array("Characters.take: items", items)
        if items.ndim != 1 or items.size and items.dtype.kind not in "iub":
            raise ShapeError(f"Characters.take: items {items.shape} of {items.dtype} came; (b,) whole numbers fit")
        if items.dtype == bool and items.shape != (len(self),):
            raise ShapeError(f"Characters.take: a mask {items.shape} came; ({len(self)},) fits")
        items = items if items.dtype == bool else items.astype(np.int64)
        if items.dtype != bool and items.size and not -len(self) <= items.min() <= items.max() < len(self):
            raise ShapeError(f"Characters.take: items {items.min()} to {items.max()} came; 0 to {len(self) - 1} fit")
        starts, ends = self.character_starts[:-1][items], self.character_starts[1:][items]
        strokes = ranges(starts, ends)
        first, last = self.stroke_starts[strokes], self.stroke_starts[1:][strokes]
        return Characters(self.points[ranges(first, last)], starts_of(last - first), starts_of(ends - starts)), strokes

    def _check_finite(self):
        bad = np.flatnonzero(~np.isfinite(self.points).all(axis=1))
        if len(bad):
            stroke = np.searchsorted(self.stroke_starts, bad[0], "right") - 1
            c = np.searchsorted(self.character_starts, stroke, "right") - 1
            raise ValueError(
                f"character {c}, stroke {stroke - self.character_starts[c]}: point "
                f"{bad[0] - self.stroke_starts[stroke]} is {tuple(self.points[bad[0]].tolist())}; finite numbers fit: "
                f"drop or mend the {len(bad)} such points")


def _checked_strokes(character, c):
    if isinstance(character, np.ndarray):
        without_mask(character, f"character {c}")
    if isinstance(character, np.ndarray) and character.ndim == 2:
        raise ShapeError(f"character {c}: one array of shape {character.shape} came; a list of (n, 2) arrays, one a "
                         "stroke, fits: put a single stroke into a list")
    if not hasattr(character, "__iter__"):
        raise ShapeError(f"character {c}: {type(character).__name__} came; a list of (n, 2) arrays, one a stroke, fits")
    return [_checked_stroke(stroke, c, s) for s, stroke in enumerate(character)]


def _checked_stroke(stroke, c, s):
    without_mask(stroke, f"character {c}, stroke {s}")
    try:
        points = np.asarray(stroke)
    except ValueError:
        raise ShapeError(f"character {c}, stroke {s}: points of unequal length came; an (n, 2) array fits") from None
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"character {c}, stroke {s}: shape {points.shape} came; (n, 2) with n >= 1 fits, one row a "
                         "pen position x, y" + ("; drop strokes without points" if not points.size else ""))
    if points.dtype.kind not in "iuf":
        raise ShapeError(f"character {c}, stroke {s}: dtype {points.dtype} came; integers or floats fit")
    return points.astype(np.float64, copy=False)


@dataclass(frozen=True)
class StrokeEncoder:
    """Draws characters as active sites with features: normalise, move, resample at even spacing, collect by site.

    The box of a character, its aspect kept, is brought to `scale` sites in the middle of the field. Axis 1 of the sites
    is x, axis 2 is y: the site of a point p is floor(p + size / 2). Each of the resampled steps gives weight 1:

    - "pen": 1 plane, the number of resampled points in the site;
    - "octogram": 8 planes, the directions k * 45 degrees from x towards y (2 is down); a step, at the site of its
      midpoint, is shared linearly between the two directions nearest to it;
    - "undirected": 4 planes, the same with opposite directions taken together.

    - "pen-octogram": 9 planes, 1 at every site of the pen and then the octogram;
    - "space-time": 1 plane over (x, y, t), the number of points; time passes with the pen's way, and stands while it is
      up; "vector-space-time": 3 planes, steps, and the sums of their unit vectors' x and y.

    A dot (a stroke shorter than half the spacing) shares the weight 1 equally among the planes of its first site.

    "signature0" to "signature4" (1, 3, 7, 15, 31 planes): the signature of the stroke within `window` sites of its way
    before and after the point of the first visit to the site. "log-signature1" to "log-signature4" (2, 3, 5, 8): its
    logarithm, see `log_signature`. With "time-" before them: of the paths (time, x, y).

    Args:
        encoding: one of those names.
        size: int, sites along each side of the field, 1 to 32768 (1 to 1024 with a time axis, which is as long).
        scale: float, sites along the longer side of a character, less than size; None: the points are in sites,
            measured from the middle of the field, and stay where they are.
        spacing: float, sites between resampled points, from 0.001 up.
        factors: one number for each plane that multiplies it (`fit` finds them); None: 1.
        window: float, half of a signature's window in sites, 0.01 or more; None: scale / 5.
        pace: float, sites along the time axis for each site of the pen's way.

    Source: Graham 2013, arXiv:1308.0371; Graham 2014, arXiv:1409.6070. docs/handwriting.md has more.

    >>> sites, features = StrokeEncoder("pen", size=3, scale=2, spacing=0.5).sites([[[(0, 0), (9, 0)]]])
    >>> sites.tolist(), features.ravel().tolist()
    ([[0, 0, 1], [0, 1, 1], [0, 2, 1]], [1.0, 2.0, 2.0])
    """

    encoding: str = "octogram"
    size: int = 48
    scale: float | None = 16
    spacing: float = 0.1
    factors: tuple | None = None
    window: float | None = None
    pace: float = 0.2

    def __post_init__(self):
        if not isinstance(self.encoding, str) or self.encoding not in ENCODINGS:
            raise ValueError(f"StrokeEncoder: encoding {self.encoding!r} came; one of {', '.join(ENCODINGS)} fits")
        most = MOST_SLICED if self.dimension == 3 else 2**15
        if not is_number(self.size) or self.size != int(self.size) or not 1 <= self.size <= most:
            raise ValueError(f"StrokeEncoder: size {self.size!r} came; a whole number from 1 to {most} fits")
        if self.scale is not None and not (is_number(self.scale) and 0 < self.scale < self.size):
            raise ValueError(f"StrokeEncoder: scale {self.scale!r} came; a number above 0 and below the size "
                             f"{self.size}, or None, fits")
        if not is_number(self.spacing, 0.001):
            raise ValueError(f"StrokeEncoder: spacing {self.spacing!r} came; a number from 0.001 up fits: a "
                             "thousand points a site are as good as more")
        if self.window is not None and not is_number(self.window, 0.01):
            raise ValueError(f"StrokeEncoder: window {self.window!r} came; a number from 0.01 up, or None, fits")
        if self.window is None and self.scale is None and not ENCODINGS[self.encoding].drawn:
            raise ValueError("StrokeEncoder: neither a scale nor a window came; a signature needs one of them: give "
                             "window, half of its length in sites")
        if not is_number(self.pace, 0):
            raise ValueError(f"StrokeEncoder: pace {self.pace!r} came; a number from 0 up fits")
        if self.factors is not None:
            factors = as_array("StrokeEncoder: factors", self.factors)
            if factors.shape != (self.planes,) or factors.dtype.kind not in "iuf" or not (
                    np.abs(factors) <= np.finfo(np.float32).max).all():
                raise ShapeError(f"StrokeEncoder: factors {self.factors!r} came; {self.planes} finite numbers fit")
            object.__setattr__(self, "factors", tuple(float(factor) for factor in self.factors))

    @property
    def planes(self):
        """The number of features of a site."""
        return ENCODINGS[self.encoding].planes

    @property
    def dimension(self):
        """The number of axes of the field: 3 where time is one, else 2."""
        return ENCODINGS[self.encoding].dimension

    def fit(self, characters, most=10_000):
        """Return this encoder with factors that bring the largest absolute value of each plane to 1.

        It is taken over the first `most` characters, not augmented; an empty plane gets the factor 0.
        """
        checked_integers("StrokeEncoder.fit", 0, most=most)
        packed = Characters.pack(characters)
        largest = np.zeros(self.planes)
        for first in range(0, min(len(packed), most), 1000):
            items = np.arange(first, min(first + 1000, len(packed), most))
            features = replace(self, factors=None).sites(packed, items)[1]
            largest = np.maximum(largest, abs(features).max(axis=0, initial=0))
        factors = np.divide(1, largest, out=np.zeros(self.planes), where=largest > 0)
        return replace(self, factors=tuple(factors.tolist()))

    def sites(self, characters, items=None, *, matrices=None, shifts=None, stroke_shifts=None, time_shifts=None,
              n_threads=None):
        """Draw characters as one batch.

        Args:
            characters: Characters, or a list of lists of (n, 2) arrays.
            items: (b,) int, which characters, in the order of the batch; None: all.
            matrices: (b, 2, 2), moves the centred points p to p @ matrix + shift; None: not.
            shifts: (b, 2) in units of scale (of sites where scale is None).
            stroke_shifts: (all strokes of characters, 2), as shifts, before the matrix.
            time_shifts: (b,), as shifts, along the time axis where there is one; otherwise ignored.
            n_threads: int; None: `threads()`. The bits do not depend on it.

        Returns:
            sites (m, 3) int32 of (batch, x, y), or (m, 4) of (batch, x, y, t), different and in
            lexicographic order, and features (m, planes) float32.

        Raises:
            ShapeError, ValueError: see Characters.pack; the moves do not fit the items.
            GridError: points outside the field; says how many, of which character, and which size would hold them.
        """
        packed = Characters.pack(characters)
        items = as_array("StrokeEncoder.sites: items", np.arange(len(packed)) if items is None else items)
        items = np.atleast_1d(items)
        if items.ndim != 1 or items.dtype.kind not in "iu" and items.size:
            raise ShapeError(f"StrokeEncoder.sites: items {items.shape} {items.dtype} came; (b,) integers fit")
        if n_threads is not None:
            checked_integers("StrokeEncoder.sites", 1, 1024, n_threads=n_threads)
        moves = (_checked_move("matrices", matrices, (len(items), 2, 2)),
                 _checked_move("shifts", shifts, (len(items), 2)),
                 _checked_move("stroke_shifts", stroke_shifts, (len(packed.stroke_starts) - 1, 2)))
        sites, features = ENCODINGS[self.encoding].draw(
            packed, np.require(items, np.int64, "CA"), moves, _checked_move("time_shifts", time_shifts, (len(items),)),
            size=int(self.size), scale=float(self.scale or 0), spacing=float(self.spacing), pace=float(self.pace),
            window=float(self.window or (self.scale or 0) / 5), n_threads=n_threads or threads())
        if self.factors is not None:
            features *= np.asarray(self.factors, np.float32)
        return sites, features

    def describe(self):
        """Return {"class", "arguments"} of JSON values: StrokeEncoder(**arguments) is this encoder again."""
        return {"class": "StrokeEncoder", "arguments": asdict(self)}


def _checked_move(name, move, shape):
    if move is None:
        return None
    move = as_array(f"StrokeEncoder.sites: {name}", move)
    if move.shape != shape:
        raise ShapeError(f"StrokeEncoder.sites: {name} {move.shape} came; {shape} fits")
    if move.dtype.kind not in "iuf":
        raise ShapeError(f"StrokeEncoder.sites: {name} of {move.dtype} came; numbers fit")
    return np.require(move, np.float64, "CA")
