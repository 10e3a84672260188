"""Rules in plain numpy, the reference and fallback: the outputs of a window, and the pairs of each offset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spconv_cy.errors import GridError, expected
from spconv_cy.sites.order import arrange, find

if TYPE_CHECKING:
    from spconv_cy.sites.window import Window

INT32 = np.iinfo(np.int32)


def reached(sites: NDArray[np.int32], window: Window, out_size: tuple[int, ...] | None) -> NDArray[np.int32]:
    """Return the canonical output sites (m, 1+d) of a window over `sites`; out_size None: unbounded.

    For a valid window these are all outputs that cover a site; `min_active` is applied later, by the pairs.
    """
    found = [sites[:0]]
    for places, batch in _outputs(sites, window):
        if out_size is not None:
            held = window.lattice.inside(places, out_size)
            places, batch = places[held], batch[held]
        if places.size and (places.min() < INT32.min or places.max() > INT32.max):
            raise GridError(expected("rules", "output sites in the range of int32", "one outside",
                                     "move the sites towards the origin"))
        found.append(np.column_stack([batch, places]).astype(np.int32))
    return arrange(np.concatenate(found))[0]


def _outputs(sites: NDArray[np.int32], window: Window) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
    stride, places, batch = np.array(window.stride, np.int64), sites[:, 1:].astype(np.int64), sites[:, 0]
    if window.kind == "cell":
        yield places // stride, batch
    elif window.kind == "transposed":
        for offset in window.offsets.astype(np.int64):
            yield places * stride + offset, batch
    else:
        for offset in [window.centre] if window.kind == "centre" else window.offsets.astype(np.int64):
            room = places - offset
            out = room // stride
            exact = (out * stride == room).all(1)
            yield out[exact], batch[exact]


def pairs(sites: NDArray[np.int32], out_sites: NDArray[np.int32],
          window: Window) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Return (in_rows, out_rows, offset_ptr) of the pairs `in = stride * out + offset`, offset by offset."""
    targets = out_sites.astype(np.int64)
    targets[:, 1:] *= np.array(window.stride, np.int64)
    in_rows, out_rows, ends = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [0]
    for offset in window.offsets.astype(np.int64):
        rows = find(sites, targets + np.concatenate([[0], offset]))
        hit = np.flatnonzero(rows >= 0).astype(np.int32)
        in_rows.append(rows[hit])
        out_rows.append(hit)
        ends.append(ends[-1] + len(hit))
    return np.concatenate(in_rows), np.concatenate(out_rows), np.array(ends, np.int64)


def ascend(rows: NDArray[np.int32], offset_ptr: NDArray[np.int64]) -> bool:
    """Return True if rows (p,) ascend strictly in each offset."""
    if len(rows) < 2:
        return True
    rising = np.diff(rows) > 0
    borders = offset_ptr[1:-1]
    rising[borders[(borders > 0) & (borders < len(rows))] - 1] = True
    return bool(rising.all())


def transpose(in_rows: NDArray[np.int32], out_rows: NDArray[np.int32],
              offset_ptr: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (in_rows, out_rows), (p,) each, of the transposed rulebook, sorted by output row in each offset."""
    offsets = np.repeat(np.arange(len(offset_ptr) - 1), np.diff(offset_ptr))
    order = np.lexsort((in_rows, offsets))
    return out_rows[order], in_rows[order]


def tile_pointers(out_rows: NDArray[np.int32], offset_ptr: NDArray[np.int64], n_out: int,
                  tile_rows: int) -> NDArray[np.int64]:
    """Return (k, t+1): where each tile of output rows begins in each offset, and where the last ends."""
    starts = np.arange(-(-n_out // tile_rows) + 1) * tile_rows
    tiles = [low + np.searchsorted(out_rows[low:high], starts)
             for low, high in zip(offset_ptr[:-1], offset_ptr[1:], strict=True)]
    return np.array(tiles, np.int64).reshape(len(offset_ptr) - 1, len(starts))
