"""Random distortions of characters and pictures, drawn anew each epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_integers, checked_numbers, checked_seed, is_one_of
from spconv_cy.data.bend import KNOTS
from spconv_cy.errors import expected

if TYPE_CHECKING:
    from typing import Any

    from spconv_cy.types import Array


@known_arguments
@dataclass(frozen=True)
class Affine:
    """Random affine maps of characters: stretch each axis, then turn or shear, then shift; optionally bend first.

    A point p, a row vector, becomes p @ A + t, where A is diag(1 + a, 1 + b) times one of three, each with probability
    1/3: a rotation by u radians, y += u x, or x += u y. a and b are uniform on ±stretch, u on ±turn, t on ±shift along
    each axis, in units of the character's scale. Every draw depends only on (seed, epoch, item).

    Args:
        stretch: 0 <= stretch < 1.
        turn: >= 0, in radians (for a shear, its slope).
        shift: >= 0, in scales.
        jitter: >= 0, an extra shift of each stroke, in scales (Graham 2013: 1/64).
        time: >= 0, the shift along the time axis, if the encoding has one, uniform on ±time, in scales.
        warp: >= 0, the moves of 16 control points around the character, which bend the plane smoothly, in scales.
        ends: >= 0, the moves of the beginning, end and middle of each stroke, in scales; for both see `bend.bent`.

    Source: the distributions of Graham's 2015 pen digits and CASIA runs; with jitter, of his runs of 2013.
    """

    stretch: float = 0.3
    turn: float = 0.3
    shift: float = 0.1875
    jitter: float = 0.0
    time: float = 0.0
    warp: float = 0.0
    ends: float = 0.0

    def __post_init__(self) -> None:
        checked_numbers("Affine", 0, 1, stretch=self.stretch)
        checked_numbers("Affine", 0, turn=self.turn, shift=self.shift, jitter=self.jitter, time=self.time,
                        warp=self.warp, ends=self.ends)

    def draw(self, n: int, seed: int, epoch: int, purpose: str = "affine") -> tuple[Array, Array]:
        """Return matrices (n, 2, 2) and shifts (n, 2) for the items 0 to n - 1 of one epoch.

        Item i's draw is the same for every n > i, and independent of its draws for other PURPOSES.

        >>> matrices, shifts = Affine().draw(100, seed=0, epoch=3)
        >>> bool(np.all(abs(shifts) <= 0.1875))
        True
        """
        checked_integers("Affine.draw", 0, n=n)
        uniform = stream(seed, epoch, purpose).uniform(-1, 1, (n, 6))
        stretch = 1 + self.stretch * uniform[:, :2]
        angle, choice = self.turn * uniform[:, 2], np.floor(1.5 * (uniform[:, 3] + 1))
        turned = choice == 0
        matrices = np.empty((n, 2, 2))
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.where(turned, np.cos(angle), 1)
        matrices[:, 0, 1] = np.where(turned, np.sin(angle), angle * (choice == 1))
        matrices[:, 1, 0] = np.where(turned, -np.sin(angle), angle * (choice == 2))
        return stretch[:, :, None] * matrices, self.shift * uniform[:, 4:]

    def draw_strokes(self, n_strokes: int, seed: int, epoch: int) -> Array | None:
        """Return the jitter (n_strokes, 2) of the strokes of all items in order, or None if jitter is 0."""
        checked_integers("Affine.draw_strokes", 0, n_strokes=n_strokes)
        if not self.jitter:
            return None
        return self.jitter * stream(seed, epoch, "jitter").uniform(-1, 1, (n_strokes, 2))

    def draw_times(self, n: int, seed: int, epoch: int) -> Array | None:
        """Return the shift (n,) along the time axis for the items 0 to n - 1, or None if time is 0."""
        checked_integers("Affine.draw_times", 0, n=n)
        return self.time * stream(seed, epoch, "time").uniform(-1, 1, n) if self.time else None

    def draw_bends(self, n: int, n_strokes: int, seed: int, epoch: int) -> tuple[Array | None, Array | None]:
        """Return the moves (n, 4, 4, 2) of control points and (n_strokes, 3, 2) of strokes; None for a size of 0."""
        checked_integers("Affine.draw_bends", 0, n=n, n_strokes=n_strokes)
        controls = self.warp * stream(seed, epoch, "warp").uniform(-1, 1, (n, KNOTS, KNOTS, 2)) if self.warp else None
        ends = self.ends * stream(seed, epoch, "ends").uniform(-1, 1, (n_strokes, 3, 2)) if self.ends else None
        return controls, ends

    def describe(self) -> dict[str, Any]:
        """Return {"class", "arguments"} as JSON values: Affine(**arguments) is an equal distribution."""
        return {"class": "Affine", "arguments": asdict(self)}


@known_arguments
@dataclass(frozen=True)
class Colour:
    """Random colours of a picture, independent for each channel: v becomes (1 + b) v + a + e x + f y.

    x and y are a pixel's offsets from the picture's centre, and v is its value minus the background. a, b, e and f are
    normal with mean 0. Inactive sites keep the background. Every draw depends only on (seed, epoch, item).

    Args:
        offset: >= 0, the standard deviation of a, for values from 0 to 1.
        contrast: >= 0, that of b.
        slope: >= 0, that of e and f, per pixel.

    Source: Graham's CIFAR-10 runs of 2015: 25.5, 0.15 and 2.4 for values from 0 to 255.
    """

    offset: float = 0.1
    contrast: float = 0.15
    slope: float = 2.4 / 255

    def __post_init__(self) -> None:
        checked_numbers("Colour", 0, offset=self.offset, contrast=self.contrast, slope=self.slope)

    def draw(self, n: int, channels: int, seed: int, epoch: int) -> Array:
        """Return a, b, e and f as (n, 4, channels) for the items 0 to n - 1 of one epoch.

        Item i's draw is the same for every n > i.
        """
        checked_integers("Colour.draw", 0, n=n, channels=channels)
        sizes = np.array([self.offset, self.contrast, self.slope, self.slope])[:, None]
        drawn: Array = sizes * stream(seed, epoch, "colour").standard_normal((n, 4, channels))
        return drawn

    def apply(self, rows: Array, offsets: Array, drawn: Array) -> Array:
        """Return rows (m, c) changed by the draws (m, 4, c) of their pictures, at offsets (m, 2) from the centre."""
        a, b, e, f = np.moveaxis(drawn, 1, 0)
        return ((1 + b) * rows + a + e * offsets[:, :1] + f * offsets[:, 1:]).astype(rows.dtype)


NAMED = {
    "none": Affine(stretch=0, turn=0, shift=0),
    "translation": Affine(stretch=0, turn=0),
    "mild": Affine(stretch=0.15, turn=0.15, shift=0.1),
    "affine": Affine(),
    "assamese": Affine(jitter=1 / 64),
    "casia": Affine(shift=10 / 64, jitter=1 / 64),
    "uji": Affine(shift=8 / 16, jitter=1 / 16),
    "space-time": Affine(time=0.1),
    "rigid": Affine(stretch=0, turn=0.2, shift=8 / 63),
    "cifar": Affine(stretch=0.2, turn=0.2, shift=0),
}


def from_name(name: str | Affine) -> Affine:
    """Return the distribution of a name; an Affine is returned unchanged.

    - "none": no distortion.
    - "affine": Graham's of 2015; "translation": only its shift; "mild": about half of it, for digits, which differ by
      slant and length; "space-time": "affine" with a shift in time.
    - "assamese", "casia", "uji": those of his runs of 2013 on these sets, with jitter of strokes.
    - "rigid" (turn or shear, no stretch): that of his later example.
    - "cifar": that of his pictures of 2015, which were also shifted by whole pixels.

    Raises:
        ValueError: an unknown name.

    >>> from_name("translation").shift
    0.1875
    """
    if isinstance(name, Affine):
        return name
    if not isinstance(name, str) or name not in NAMED:
        raise ValueError(expected("augment", f"one of {', '.join(NAMED)}, or an Affine", f"{name!r}"))
    return NAMED[name]


PURPOSES = ("order", "affine", "jitter", "time", "picture", "flip", "colour", "warp", "ends", "turn", "scale")


def stream(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """Return the Generator for one of the PURPOSES in one epoch."""
    checked_seed("stream", seed=seed, epoch=epoch)
    if not is_one_of(purpose, PURPOSES):
        raise ValueError(expected("stream", f"purpose to be one of {', '.join(PURPOSES)}", f"{purpose!r}"))
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch, PURPOSES.index(purpose)))))
