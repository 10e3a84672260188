"""What a grid takes: sites as int32 arrays, inside its field, and numbers of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import GridError, ShapeError, expected
from spconv_cy.sites.lattice import Lattice, is_whole

MANY_SAMPLES = 2**20
MOST_SAMPLES = 2**24
INT32 = np.iinfo(np.int32)
SITES_FIT = "shape (n, 1+d), the batch index and d coordinates"


def as_sites(sites: ArrayLike) -> NDArray[np.int32]:
    """Return sites (n, 1+d) as a C-contiguous int32 array.

    Raises:
        ShapeError: not whole numbers, or another shape.
        GridError: numbers that int32 cannot hold.
    """
    sites = as_numpy(sites, "sites")
    try:
        array = np.asarray(sites)
    except ValueError:
        raise ShapeError(expected("sites", SITES_FIT, "rows of unequal length")) from None
    if array.size == 0 and array.ndim in (1, 2) and not isinstance(sites, np.ndarray):
        array = array.astype(np.int32)
    if array.dtype == object:
        odd = [v for v in array.flat if not is_whole(v) or not INT32.min <= v <= INT32.max] or [array]
        raise ShapeError(expected("sites", "an integer dtype with values in the range of int32",
                                  f"Python objects, among them {odd[0]!r:.40}"))
    if array.dtype.kind not in "iu":
        raise ShapeError(expected("sites", "an integer dtype", array.dtype, "floor real points with "
                                  "SparseTensor.from_points(points, features, cell=...)"))
    if array.ndim != 2 or array.shape[1] < 2:
        raise ShapeError(expected("sites", SITES_FIT, f"shape {array.shape}"))
    if array.dtype != np.int32 and array.size and (array.min() < INT32.min or array.max() > INT32.max):
        raise GridError(expected("sites", f"values from {INT32.min} to {INT32.max}, which int32 holds",
                                 f"{array.min()} to {array.max()}"))
    return np.require(array, np.int32, ["C", "A"])


def check_samples(who: str, samples: int) -> None:
    """Raise GridError if a batch has more samples than a grid can have."""
    if samples > MOST_SAMPLES:
        raise GridError(expected(who, f"at most {MOST_SAMPLES} samples", samples, "use a smaller batch"))


def checked_samples(n: int, lowest: int, highest: int, samples: int | None) -> int:
    """Return the number of samples of n sites with these batch indices; raise GridError if they do not fit."""
    if lowest < 0:
        raise GridError(expected("Grid", "batch indices from 0 up in column 0 of sites", lowest,
                                 "give batch=0 for points of one sample without a batch index"))
    if samples is None:
        if highest >= MANY_SAMPLES + n:
            raise GridError(expected("Grid", "the batch index in column 0 of sites", f"{highest} with {n} sites",
                                     "if it is one, give samples=; if these are points of one sample without "
                                     "it, batch=0"))
        return highest + 1
    if not is_whole(samples) or not 0 <= samples <= MOST_SAMPLES:
        raise GridError(expected("Grid", f"samples to be a whole number from 0 to {MOST_SAMPLES}", repr(samples)))
    if highest >= samples:
        what = f"batch indices from 0 to {samples - 1}" if samples else "no sites"
        raise GridError(expected("Grid", f"{what} with samples={samples}", highest if samples else f"{n}"))
    return int(samples)


def check_inside(sites: NDArray[np.int32], bounds: NDArray[Any], size: tuple[int, ...], lattice: Lattice) -> None:
    """Raise GridError if sites lie outside a field; bounds (2, d) are the smallest and the largest coordinates."""
    if lattice.is_cubic:
        if not ((bounds[0] < 0) | (bounds[1] >= np.array(size))).any():
            return
    elif bounds[0].min() >= 0 and lattice.inside(sites[:, 1:], size).all():
        return
    outside = ~lattice.inside(sites[:, 1:], size)
    row = int(np.flatnonzero(outside)[0])
    where = f"size {size}" if lattice.is_cubic else f"size {size[0]} of {lattice}, where x >= 0 and sum(x) < {size[0]}"
    raise GridError(expected(
        "Grid", f"sites inside {where}",
        f"{int(outside.sum())} of {len(sites)} outside, the first at row {row}: {sites[row, 1:].tolist()}",
        "move them, give a larger size, size=None for an unbounded grid, or outside='drop' to from_points"))
