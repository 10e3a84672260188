"""Pictures to sites: what is not background is active, in the middle of a field as wide as the network asks."""

import numpy as np

from spconv_cy.data.augment import stream
from spconv_cy.data.batch import Batches
from spconv_cy.errors import ShapeError
from spconv_cy.sites.lattice import is_whole
from spconv_cy.tensor import SparseTensor


class PictureBatches(Batches):
    """Pictures in the middle of a field of `size` x `size`; in training each shifted at random. x is a SparseTensor.

    A pixel is active where one of its channels is above `threshold`. Axis 1 of the sites is x (right), axis 2 is y
    (down), as for strokes.

    Args:
        pictures: (n, h, w) or (n, h, w, c), numbers; uint8 is divided by 255.
        labels: (n,) class numbers, or None.
        size: sites along each side of the field, at least the pictures' larger side plus twice the shift.
        batch: pictures in a batch.
        threshold: a number.
        shift: pixels that a picture moves at most along each axis in training.

    Raises:
        ShapeError: pictures of another shape or kind, a field that does not hold them.

    >>> x, labels = next(PictureBatches(np.eye(3)[None], [7], 9).epoch(0, training=False))
    >>> x.sites.tolist(), labels.tolist()
    ([[0, 3, 3], [0, 4, 4], [0, 5, 5]], [7])
    """

    def __init__(self, pictures, labels, size, *, batch=100, threshold=0, shift=0):
        pictures = np.asarray(pictures)
        if pictures.ndim not in (3, 4) or pictures.dtype.kind not in "uif":
            raise ShapeError(f"PictureBatches: pictures {pictures.shape} of {pictures.dtype} came; numbers (n, h, w) "
                             "or (n, h, w, c) fit")
        super().__init__(len(pictures), labels, batch=batch)
        if not is_whole(shift) or shift < 0:
            raise ShapeError(f"PictureBatches: shift {shift!r} came; a whole number of pixels from 0 up fits")
        largest = max(pictures.shape[1:3])
        if not is_whole(size) or size < largest + 2 * shift:
            raise ShapeError(f"PictureBatches: size {size!r} came for pictures {pictures.shape[1:3]} that move up to "
                             f"{shift} pixels; {largest + 2 * shift} or more fits")
        self.pictures = pictures if pictures.ndim == 4 else pictures[..., None]
        self.size, self.threshold, self.shift = int(size), threshold, int(shift)
        self.margin = (self.size - np.array(self.pictures.shape[1:3])) // 2

    def prepare(self, epoch, seed, training):
        """Draw the epoch's shifts; return the function of item numbers (b,) that gives a SparseTensor."""
        shifts = np.zeros((self.n, 2), np.int64)
        if training and self.shift:
            shifts = stream(seed, epoch, "affine").integers(-self.shift, self.shift + 1, (self.n, 2))

        def make(items):
            pictures = self.pictures[items]
            sample, y, x = ((pictures > self.threshold).any(-1)).nonzero()
            rows = pictures[sample, y, x]
            rows = rows / np.float32(255) if rows.dtype == np.uint8 else rows
            moved = np.stack([y, x], 1) + self.margin + shifts[items][sample]
            sites = np.column_stack([sample, moved[:, ::-1]]).astype(np.int32)
            return SparseTensor.from_sites(sites, rows, self.size, len(items))

        return make
