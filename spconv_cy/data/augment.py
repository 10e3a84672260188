"""Random distortions of characters: a matrix and a shift for each, drawn anew each epoch."""

from dataclasses import asdict, dataclass

import numpy as np

from spconv_cy.checks import checked_integers, checked_seed, is_number, is_one_of
from spconv_cy.data.bend import KNOTS


@dataclass(frozen=True)
class Affine:
    """Stretch each axis, then turn or shear, then shift; optionally bend the character and its strokes first.

    Row vectors: p becomes p @ A + t, where A is diag(1 + a, 1 + b) times one of three, each with probability 1/3: a
    turn by u radians, y += u x, or x += u y. a and b are uniform on ±stretch, u on ±turn, t on ±shift along each axis,
    in units of the character's scale. Every draw depends on (seed, epoch, item) alone.

    Args:
        stretch: 0 <= stretch < 1.
        turn: >= 0, in radians (of the shear: its slope).
        shift: >= 0, in scales.
        jitter: >= 0, the shift of each stroke by itself, in scales (Graham 2013: 1/64).
        warp: >= 0, the moves of 16 control points about the character, which bend the plane smoothly, in scales.
        ends: >= 0, the moves of begin, end and middle of each stroke, in scales; see `bend.bent` for both.
        time: >= 0, the shift along the time axis, where the encoding has one, uniform on ±time, in scales.

    Source: the distributions of Graham's 2015 pen digits and CASIA runs; with jitter, of his runs of 2013.
    """

    stretch: float = 0.3
    turn: float = 0.3
    shift: float = 0.1875
    jitter: float = 0.0
    time: float = 0.0
    warp: float = 0.0
    ends: float = 0.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if not is_number(value, 0, 1 if name == "stretch" else np.inf):
                fits = "0 up to but not 1" if name == "stretch" else "a number from 0 up"
                raise ValueError(f"Affine: {name} {value!r} came; {fits} fits")

    def draw(self, n, seed, epoch, purpose="affine"):
        """Return matrices (n, 2, 2) and shifts (n, 2) for the items 0 to n - 1 of one epoch.

        Item i's draw is the same for every n > i. Draws of another of the PURPOSES have nothing to do with it.

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

    def draw_strokes(self, n_strokes, seed, epoch):
        """Return the jitter (n_strokes, 2) of every stroke of all items in order, or None where jitter is 0."""
        checked_integers("Affine.draw_strokes", 0, n_strokes=n_strokes)
        if not self.jitter:
            return None
        return self.jitter * stream(seed, epoch, "jitter").uniform(-1, 1, (n_strokes, 2))

    def draw_times(self, n, seed, epoch):
        """Return the shift (n,) along the time axis of the items 0 to n - 1, or None where time is 0."""
        checked_integers("Affine.draw_times", 0, n=n)
        return self.time * stream(seed, epoch, "time").uniform(-1, 1, n) if self.time else None

    def draw_bends(self, n, n_strokes, seed, epoch):
        """Return (n, 4, 4, 2) moves of control points and (n_strokes, 3, 2) of strokes; None for what does not move."""
        checked_integers("Affine.draw_bends", 0, n=n, n_strokes=n_strokes)
        asked = ((self.warp, "warp", (n, KNOTS, KNOTS, 2)), (self.ends, "ends", (n_strokes, 3, 2)))
        return tuple(most * stream(seed, epoch, purpose).uniform(-1, 1, shape) if most else None
                     for most, purpose, shape in asked)

    def describe(self):
        """Return {"class", "arguments"} of JSON values: Affine(**arguments) is this distribution again."""
        return {"class": "Affine", "arguments": asdict(self)}


@dataclass(frozen=True)
class Colour:
    """Random colours of a picture, each channel by itself: v becomes (1 + b) v + a + e x + f y.

    x and y are a pixel's offsets from the picture's middle, v is its value less the background. All four are normal
    around 0. Inactive sites keep the background. Every draw depends on (seed, epoch, item) alone.

    Args:
        offset: standard deviation of a, >= 0; of values from 0 to 1.
        contrast: of b.
        slope: of e and f, a pixel.

    Source: Graham's CIFAR-10 runs of 2015: 25.5, 0.15 and 2.4 of values from 0 to 255.
    """

    offset: float = 0.1
    contrast: float = 0.15
    slope: float = 2.4 / 255

    def __post_init__(self):
        for name, value in vars(self).items():
            if not is_number(value, 0):
                raise ValueError(f"Colour: {name} {value!r} came; a number from 0 up fits")

    def draw(self, n, channels, seed, epoch):
        """Return (n, 4, channels): a, b, e and f of the items 0 to n - 1 of one epoch; the same for every larger n."""
        checked_integers("Colour.draw", 0, n=n, channels=channels)
        sizes = np.array([self.offset, self.contrast, self.slope, self.slope])[:, None]
        return sizes * stream(seed, epoch, "colour").standard_normal((n, 4, channels))

    def apply(self, rows, offsets, drawn):
        """Return rows (m, c) with the draws (m, 4, c) of their pictures, at offsets (m, 2) from the middle."""
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


def from_name(name):
    """Return the distribution of a name; an Affine comes back as it is.

    "affine" is Graham's of 2015, "translation" its shift alone, "mild" about half of it, for digits, which differ by
    slant and length; "space-time" is "affine" with a shift in time. "assamese", "casia" and "uji" are those of his runs
    of 2013 on these sets, with jitter of strokes; "rigid" (turn or shear, no stretch) that of his later example;
    "cifar" that of his pictures of 2015, which moved by whole pixels besides.

    >>> from_name("translation").shift
    0.1875
    """
    if isinstance(name, Affine):
        return name
    if not isinstance(name, str) or name not in NAMED:
        raise ValueError(f"augment: {name!r} came; one of {', '.join(NAMED)}, or an Affine, fits")
    return NAMED[name]


PURPOSES = ("order", "affine", "jitter", "time", "picture", "flip", "colour", "warp", "ends", "turn", "scale")


def stream(seed, epoch, purpose):
    """Return the Generator of one of the PURPOSES of one epoch."""
    checked_seed("draws", seed=seed, epoch=epoch)
    if not is_one_of(purpose, PURPOSES):
        raise ValueError(f"draws: expected purpose to be one of {', '.join(PURPOSES)}, got {purpose!r}")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch, PURPOSES.index(purpose)))))
