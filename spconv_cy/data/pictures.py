"""Pictures to sites: what is not background is active, in the middle of a field as wide as the network asks."""

import numpy as np

from spconv_cy.checks import as_array, is_real
from spconv_cy.data.augment import Affine, Colour, from_name, stream
from spconv_cy.data.batch import Batches
from spconv_cy.data.strokes import Characters
from spconv_cy.errors import ShapeError
from spconv_cy.sites.lattice import INT32_MAX, is_whole
from spconv_cy.tensor import SparseTensor

MOST_CELLS = 2**30                                      # of the field, for the pictures of a batch
STEPS = 1024                                            # places in a picture are rounded to this part of a pixel


class PictureBatches(Batches):
    """Pictures in the middle of a field of `size` x `size`; in training each distorted anew. x is a SparseTensor.

    A pixel is active where one of its channels is above `threshold`. Axis 1 of the sites is x (right), axis 2 is y
    (down), as for strokes. Distorted pictures are read linearly between their pixels; what leaves the field is cut off.

    Args:
        pictures: (n, h, w) or (n, h, w, c), numbers; uint8 is divided by 255.
        labels: (n,) class numbers, or None.
        size: sites along each side of the field, at least the pictures' larger side plus twice the shift.
        batch: pictures in a batch.
        threshold: a number; -1 makes every pixel of a photograph active.
        background: a number that is taken off the pixels, so that it reads as the zero of inactive sites.
        shift: whole pixels that a picture moves at most along each axis in training.
        augment: an Affine or its name, in training; its shift is in larger sides of a picture. "cifar" is Graham's.
        flip: probability with which left and right change places in training.
        colour: a Colour, in training, or None.

    Raises:
        ShapeError: pictures of another shape or kind, a field that does not hold them.
        ValueError: a probability outside 0 to 1, an unknown augmentation.

    Source: for flips, colours and "cifar" the runs of Graham on CIFAR-10, 2015: `PictureBatches(pictures, labels, 94,
    threshold=-1, background=128, shift=16, augment="cifar", flip=0.5, colour=Colour())`.

    >>> x, labels = next(PictureBatches(np.eye(3)[None], [7], 9).epoch(0, training=False))
    >>> x.sites.tolist(), labels.tolist()
    ([[0, 3, 3], [0, 4, 4], [0, 5, 5]], [7])
    """

    def __init__(self, pictures, labels, size, *, batch=100, threshold=0, background=0, shift=0, augment="none",
                 flip=0.0, colour=None):
        pictures = as_array("PictureBatches: pictures", pictures)
        if pictures.ndim not in (3, 4) or pictures.dtype.kind not in "uif":
            raise ShapeError(f"PictureBatches: pictures {pictures.shape} of {pictures.dtype} came; numbers (n, h, w) "
                             "or (n, h, w, c) fit")
        super().__init__(len(pictures), labels, batch=batch)
        if not is_whole(shift) or shift < 0:
            raise ShapeError(f"PictureBatches: shift {shift!r} came; a whole number of pixels from 0 up fits")
        largest = max(pictures.shape[1:3])
        if not is_whole(size) or not largest + 2 * shift <= size <= INT32_MAX:
            raise ShapeError(f"PictureBatches: size {size!r} came for pictures {pictures.shape[1:3]} that move up to "
                             f"{shift} pixels; {largest + 2 * shift} or more fits")
        if not is_real(flip) or not 0 <= flip <= 1:
            raise ValueError(f"PictureBatches: flip {flip!r} came; a probability from 0 to 1 fits")
        for name, value in (("threshold", threshold), ("background", background)):
            if not is_real(value):
                raise ValueError(f"PictureBatches: expected {name} to be a number, got {value!r}")
        if colour is not None and not isinstance(colour, Colour):
            raise ValueError(f"PictureBatches: colour {colour!r} came; a Colour or None fits")
        self.pictures = pictures if pictures.ndim == 4 else pictures[..., None]
        self.size, self.threshold, self.background, self.shift = int(size), threshold, background, int(shift)
        self.augment, self.flip, self.colour = from_name(augment), float(flip), colour
        side = np.array(self.pictures.shape[2:0:-1])                     # x first
        self.margin, self.middle = (self.size - side) // 2, (side - 1) / 2

    def prepare(self, epoch, seed, training):
        """Draw the epoch's distortions; return the function of item numbers (b,) that gives a SparseTensor."""
        shifts, matrices, colours = np.zeros((self.n, 2)), None, None
        if training and self.shift:
            # An item's shift along y is drawn before that along x.
            shifts = stream(seed, epoch, "affine").integers(-self.shift, self.shift + 1, (self.n, 2))[:, ::-1]
        if training and (self.flip or self.augment != Affine(stretch=0, turn=0, shift=0)):
            matrices, moves = self.augment.draw(self.n, seed, epoch, "picture")
            flipped = stream(seed, epoch, "flip").random(self.n) < self.flip
            matrices[:, :, 0] *= np.where(flipped, -1, 1)[:, None]
            shifts = shifts + max(self.pictures.shape[1:3]) * moves
        if training and self.colour is not None:
            colours = self.colour.draw(self.n, self.pictures.shape[3], seed, epoch)

        def make(items):
            pictures, moves = self.pictures[items], shifts[items]
            if matrices is None:
                sample, y, x = ((pictures > self.threshold).any(-1)).nonzero()
                rows = pictures[sample, y, x]
                places = np.stack([x, y], 1) + (self.margin + moves[sample]).astype(np.int64)
            else:
                sample, places, rows = self._distorted(pictures, matrices[items], moves)
            rows = rows.astype(np.result_type(rows, np.float32)) - self.background
            rows = rows / np.float32(255) if pictures.dtype == np.uint8 else rows
            if colours is not None:
                offsets = places - (self.margin + self.middle) - moves[sample]
                rows = self.colour.apply(rows, offsets, colours[items][sample])
            sites = np.column_stack([sample, places]).astype(np.int32)
            return SparseTensor.from_sites(sites, rows, self.size, len(items))

        return make

    def _distorted(self, pictures, matrices, moves):
        """Read pictures at the sites of the field: (sample (m,), place (m, 2), row (m, c)) of those that are active."""
        # A site p sees what the picture has where p = q A + t: at q = (p - t) A^-1, both from the middle.
        cells = len(pictures) * self.size**2
        if cells > MOST_CELLS:
            raise ShapeError(f"PictureBatches: a batch of {len(pictures)} distorted pictures of size {self.size} asks "
                             f"for {cells} numbers; at most {MOST_CELLS} fit: use a smaller batch or field")
        inverse, (height, width, channels) = np.linalg.inv(matrices)[..., None, None], pictures.shape[1:]
        x, y = np.moveaxis(np.arange(self.size) - (self.margin + self.middle)[:, None] - moves[..., None], 1, 0)
        x, y = x[:, :, None], y[:, None, :]
        seen = (x * inverse[:, 0, axis] + y * inverse[:, 1, axis] for axis in (0, 1))
        x, y = (np.rint((part + at) * STEPS).astype(np.int32) for part, at in zip(seen, self.middle, strict=True))
        half = STEPS // 2
        sites = ((x >= -half) & (x <= width * STEPS - half) & (y >= -half) & (y <= height * STEPS - half)).nonzero()
        (x, right), (y, down) = (np.divmod(part[sites], STEPS) for part in (x, y))
        flat, rows = pictures.reshape(-1, channels), np.zeros((len(x), channels), np.float32)
        for column, share in ((x, STEPS - right), (x + 1, right)):
            for line, weight in ((y, STEPS - down), (y + 1, down)):
                # Beyond its edge a picture goes on as there.
                at = (sites[0] * height + np.clip(line, 0, height - 1)) * width + np.clip(column, 0, width - 1)
                rows += (share * weight).astype(np.float32)[:, None] * flat[at]
        rows /= STEPS * STEPS
        active = (rows > self.threshold).any(1)
        return sites[0][active], np.stack(sites[1:], 1)[active], rows[active]


def drawn(characters, side=28, box=20, width=2.5):
    """Draw characters as pictures: strokes of that width, their larger extent as long as the box in the middle.

    Args:
        characters: Characters, or a list of lists of (n, 2) arrays, x right and y down.
        side: of a picture, in pixels.
        box: pixels that the larger extent of a character takes.
        width: of a stroke, in pixels; its edge is one pixel of shades wide.

    Returns:
        (n, side, side) uint8, rows from the top down, 0 is background. A character without strokes is empty.

    >>> drawn([[[(0, 0), (0, 9)]]], side=5, box=4, width=1)[0].tolist()[2]
    [0, 0, 255, 0, 0]
    """
    packed = Characters.pack(characters)
    first, last, sample = _segments(packed)
    pictures = np.zeros((len(packed), side * side), np.uint8)
    if not len(sample):
        return pictures.reshape(-1, side, side)
    heads = np.flatnonzero(np.diff(sample, prepend=-1))                  # of the segments of each character
    low = np.minimum.reduceat(np.minimum(first, last), heads)
    high = np.maximum.reduceat(np.maximum(first, last), heads)
    extent = (high - low).max(1)
    scale = (box / np.where(extent > 0, extent, 1))[:, None]
    counts = np.diff(heads, append=len(sample))
    first, last = ((points - np.repeat((low + high) / 2, counts, 0)) * np.repeat(scale, counts, 0) + (side - 1) / 2
                   for points in (first, last))
    for begin in range(0, len(heads), 256):                              # distances of 256 characters at a time
        some = heads[begin:begin + 256]
        rows = slice(some[0], some[-1] + counts[begin:begin + 256][-1])
        squares = np.minimum.reduceat(_squared_distances(side, first[rows], last[rows]), some - some[0])
        shades = np.clip((width + 1) / 2 - np.sqrt(squares), 0, 1)
        pictures[sample[some]] = np.rint(255 * shades).reshape(len(some), -1)
    return pictures.reshape(-1, side, side)


def _segments(packed):
    """Return the ends (m, 2) and (m, 2) of all segments, a dot being one of no length, and their characters (m,)."""
    starts, ends = packed.stroke_starts[:-1], packed.stroke_starts[1:]
    begins = np.setdiff1d(np.arange(len(packed.points)), np.setdiff1d(ends - 1, starts))  # a last point begins none
    follows = np.where(np.isin(begins, ends - 1), begins, begins + 1)
    stroke = np.searchsorted(packed.stroke_starts, begins, "right") - 1
    sample = np.searchsorted(packed.character_starts, stroke, "right") - 1
    return packed.points[begins], packed.points[follows], sample


def _squared_distances(side, first, last):
    """Return those (m, y, x) of every pixel from every segment."""
    along = (last - first).astype(np.float32)
    length = (along * along).sum(1)
    unit = (along / np.where(length > 0, length, 1)[:, None])[:, :, None, None]
    along = along[:, :, None, None]
    offsets = np.arange(side, dtype=np.float32) - first.astype(np.float32)[:, :, None]
    x, y = offsets[:, 0, None, :], offsets[:, 1, :, None]
    at = np.clip(x * unit[:, 0] + y * unit[:, 1], 0, 1)
    dx, dy = x - at * along[:, 0], y - at * along[:, 1]
    return dx * dx + dy * dy
