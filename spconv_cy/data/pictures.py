"""Pictures to sites: pixels that are not background are active sites, centred in a field of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, is_integer, is_real
from spconv_cy.data.augment import Affine, Colour, from_name, stream
from spconv_cy.data.batch import Batches
from spconv_cy.data.characters import Characters
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites.lattice import INT32_MAX
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spconv_cy.types import Array, ArrayLike

MOST_CELLS = 2**30                                      # sites of the fields of a batch
STEPS = 1024                                            # positions in a picture are rounded to 1 / STEPS pixel


@known_arguments
class PictureBatches(Batches):
    """Batches of pictures centred in a field of `size` x `size`, distorted in training: x is a SparseTensor.

    A pixel is active if one of its channels is above `threshold`. Axis 1 of the sites is x (right), axis 2 is y (down),
    as for strokes. Distorted pictures are interpolated linearly between pixels and cut off at the edge of the field.

    Args:
        pictures: (n, h, w) or (n, h, w, c), numbers; uint8 is divided by 255.
        labels: (n,) class numbers, or None.
        size: sites along each side of the field, at least the pictures' larger side plus twice the shift.
        batch: pictures in a batch.
        threshold: a number; -1 makes every pixel of a photograph active.
        background: a number, subtracted from the pixels so that the background equals the zero of inactive sites.
        shift: largest shift of a picture along each axis in training, in whole pixels.
        augment: an Affine or its name, for training; its shift is relative to the larger side of a picture. "cifar" is
            Graham's.
        flip: probability of exchanging left and right in training.
        colour: a Colour for training, or None.

    Raises:
        ShapeError: pictures of another shape or dtype, or a field that is too small for them.
        ValueError: a probability outside 0 to 1, an unknown augmentation.

    Source: for flips, colours and "cifar" the runs of Graham on CIFAR-10, 2015: `PictureBatches(pictures, labels, 94,
    threshold=-1, background=128, shift=16, augment="cifar", flip=0.5, colour=Colour())`.

    >>> x, labels = next(PictureBatches(np.eye(3)[None], [7], 9).epoch(0, training=False))
    >>> x.sites.tolist(), labels.tolist()
    ([[0, 3, 3], [0, 4, 4], [0, 5, 5]], [7])
    """

    def __init__(self, pictures: ArrayLike, labels: ArrayLike | None, size: int, *, batch: int = 100,
                 threshold: float = 0, background: float = 0, shift: int = 0, augment: str | Affine = "none",
                 flip: float = 0.0, colour: Colour | None = None) -> None:
        who = "PictureBatches"
        found: Array = as_array("PictureBatches: pictures", pictures)
        if found.ndim not in (3, 4) or found.dtype.kind not in "uif":
            raise ShapeError(expected(who, "pictures (n, h, w) or (n, h, w, c), numbers",
                                      f"shape {found.shape} of {found.dtype}"))
        super().__init__(len(found), labels, batch=batch)
        if not is_integer(shift) or shift < 0:
            raise ShapeError(expected(who, "shift to be a whole number of pixels from 0 up", f"{shift!r}"))
        least = max(found.shape[1:3]) + 2 * shift
        if not is_integer(size) or not least <= size <= INT32_MAX:
            raise ShapeError(expected(who, f"size to be {least} or more for pictures {found.shape[1:3]} and shifts up "
                                      f"to {shift} pixels", f"{size!r}"))
        if not is_real(flip) or not 0 <= flip <= 1:
            raise ValueError(expected(who, "flip to be a probability from 0 to 1", f"{flip!r}"))
        for name, value in (("threshold", threshold), ("background", background)):
            if not is_real(value):
                raise ValueError(expected(who, f"{name} to be a number", f"{value!r}"))
        if colour is not None and not isinstance(colour, Colour):
            raise ValueError(expected(who, "colour to be a Colour or None", f"{colour!r}"))
        self.pictures = found if found.ndim == 4 else found[..., None]
        self.size, self.threshold, self.background, self.shift = int(size), threshold, background, int(shift)
        self.augment, self.flip, self.colour = from_name(augment), float(flip), colour
        side = np.array(self.pictures.shape[2:0:-1])                     # x first
        self.margin, self.centre = (self.size - side) // 2, (side - 1) / 2

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], SparseTensor]:
        """Draw the epoch's distortions; return a function from item indices (b,) to a SparseTensor."""
        shifts: Array = np.zeros((self.n, 2))
        matrices = colours = None
        colour = self.colour if training else None
        if training and self.shift:
            # The column order keeps earlier results: an item's shift along y is drawn before that along x.
            shifts = stream(seed, epoch, "affine").integers(-self.shift, self.shift + 1, (self.n, 2))[:, ::-1]
        if training and (self.flip or self.augment != Affine(stretch=0, turn=0, shift=0)):
            matrices, moves = self.augment.draw(self.n, seed, epoch, "picture")
            flipped = stream(seed, epoch, "flip").random(self.n) < self.flip
            matrices[:, :, 0] *= np.where(flipped, -1, 1)[:, None]
            shifts = shifts + max(self.pictures.shape[1:3]) * moves
        if colour is not None:
            colours = colour.draw(self.n, self.pictures.shape[3], seed, epoch)

        def make(items: Array) -> SparseTensor:
            pictures, moves = self.pictures[items], shifts[items]
            if matrices is None:
                sample, y, x = np.nonzero((pictures > self.threshold).any(-1))
                rows = pictures[sample, y, x]
                places = np.stack([x, y], 1) + (self.margin + moves[sample]).astype(np.int64)
            else:
                sample, places, rows = self._distorted(pictures, matrices[items], moves)
            rows = rows.astype(np.result_type(rows, np.float32)) - self.background
            rows = rows / np.float32(255) if pictures.dtype == np.uint8 else rows
            if colour is not None and colours is not None:
                offsets = places - (self.margin + self.centre) - moves[sample]
                rows = colour.apply(rows, offsets, colours[items][sample])
            sites = np.column_stack([sample, places]).astype(np.int32)
            return SparseTensor.from_sites(sites, rows, self.size, len(items))

        return make

    def _distorted(self, pictures: Array, matrices: Array, moves: Array) -> tuple[Array, Array, Array]:
        """Return sample (m,), place (m, 2) and row (m, c) of the active sites of distorted pictures."""
        # The picture's point q is at the site p = q A + t, so the site p shows q = (p - t) A^-1, both from the centre.
        cells = len(pictures) * self.size**2
        if cells > MOST_CELLS:
            raise ShapeError(expected("PictureBatches", f"at most {MOST_CELLS} sites in the fields of a batch",
                                      f"{cells} for {len(pictures)} distorted pictures of size {self.size}",
                                      "use a smaller batch or field"))
        inverse, (height, width, channels) = np.linalg.inv(matrices)[..., None, None], pictures.shape[1:]
        x, y = np.moveaxis(np.arange(self.size) - (self.margin + self.centre)[:, None] - moves[..., None], 1, 0)
        x, y = x[:, :, None], y[:, None, :]
        seen = (x * inverse[:, 0, axis] + y * inverse[:, 1, axis] for axis in (0, 1))
        x, y = (np.rint((part + at) * STEPS).astype(np.int32) for part, at in zip(seen, self.centre, strict=True))
        half = STEPS // 2
        sites = ((x >= -half) & (x <= width * STEPS - half) & (y >= -half) & (y <= height * STEPS - half)).nonzero()
        (x, right), (y, down) = (np.divmod(part[sites], STEPS) for part in (x, y))
        flat, rows = pictures.reshape(-1, channels), np.zeros((len(x), channels), np.float32)
        for column, share in ((x, STEPS - right), (x + 1, right)):
            for line, weight in ((y, STEPS - down), (y + 1, down)):
                # Outside a picture its edge continues.
                at = (sites[0] * height + np.clip(line, 0, height - 1)) * width + np.clip(column, 0, width - 1)
                rows += (share * weight).astype(np.float32)[:, None] * flat[at]
        rows /= STEPS * STEPS
        active = (rows > self.threshold).any(1)
        return sites[0][active], np.stack(sites[1:], 1)[active], rows[active]


def drawn(characters: Characters | Sequence[Sequence[ArrayLike]], side: int = 28, box: float = 20,
          width: float = 2.5) -> Array:
    """Return pictures of characters, centred, with the larger extent of each scaled to `box` pixels.

    Args:
        characters: Characters, or a list of lists of (n, 2) arrays, x right and y down.
        side: of a picture, in pixels.
        box: the larger extent of a character, in pixels.
        width: of a stroke, in pixels; edges are smoothed over one pixel.

    Returns:
        (n, side, side) uint8, rows from the top down, background 0. A character without strokes is an empty picture.

    >>> drawn([[[(0, 0), (0, 9)]]], side=5, box=4, width=1)[0].tolist()[2]
    [0, 0, 255, 0, 0]
    """
    packed = Characters.pack(characters)
    first, last, sample = _segments(packed)
    pictures = np.zeros((len(packed), side * side), np.uint8)
    if not len(sample):
        return pictures.reshape(-1, side, side)
    heads = np.flatnonzero(np.diff(sample, prepend=-1))                  # the first segment of each character
    low = np.minimum.reduceat(np.minimum(first, last), heads)
    high = np.maximum.reduceat(np.maximum(first, last), heads)
    extent = (high - low).max(1)
    scale = (box / np.where(extent > 0, extent, 1))[:, None]
    counts = np.diff(heads, append=len(sample))
    first, last = ((points - np.repeat((low + high) / 2, counts, 0)) * np.repeat(scale, counts, 0) + (side - 1) / 2
                   for points in (first, last))
    for begin in range(0, len(heads), 256):                              # 256 characters at a time, to limit memory
        some = heads[begin:begin + 256]
        rows = slice(some[0], some[-1] + counts[begin:begin + 256][-1])
        squares = np.minimum.reduceat(_squared_distances(side, first[rows], last[rows]), some - some[0])
        shades = np.clip((width + 1) / 2 - np.sqrt(squares), 0, 1)
        pictures[sample[some]] = np.rint(255 * shades).reshape(len(some), -1)
    return pictures.reshape(-1, side, side)


def _segments(packed: Characters) -> tuple[Array, Array, Array]:
    """Return the ends (m, 2) and (m, 2) of all segments, of length 0 for a dot, and their characters (m,)."""
    starts, ends = packed.stroke_starts[:-1], packed.stroke_starts[1:]
    begins = np.setdiff1d(np.arange(len(packed.points)), np.setdiff1d(ends - 1, starts))  # not a last point
    follows = np.where(np.isin(begins, ends - 1), begins, begins + 1)
    stroke = np.searchsorted(packed.stroke_starts, begins, "right") - 1
    sample = np.searchsorted(packed.character_starts, stroke, "right") - 1
    return packed.points[begins], packed.points[follows], sample


def _squared_distances(side: int, first: Array, last: Array) -> Array:
    """Return the squared distances (m, y, x) of all pixels from all segments."""
    along = (last - first).astype(np.float32)
    length = (along * along).sum(1)
    unit = (along / np.where(length > 0, length, 1)[:, None])[:, :, None, None]
    along = along[:, :, None, None]
    offsets = np.arange(side, dtype=np.float32) - first.astype(np.float32)[:, :, None]
    x, y = offsets[:, 0, None, :], offsets[:, 1, :, None]
    at = np.clip(x * unit[:, 0] + y * unit[:, 1], 0, 1)
    dx, dy = x - at * along[:, 0], y - at * along[:, 1]
    squares: Array = dx * dx + dy * dy
    return squares
