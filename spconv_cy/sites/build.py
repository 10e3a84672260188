"""Rules in plain numpy: where a window's outputs are, and which pairs each offset has. Reference and fallback."""

import numpy as np

from spconv_cy.errors import GridError
from spconv_cy.sites.order import arrange, find

INT32 = np.iinfo(np.int32)
TILE_ROWS = 128


def reached(sites, window, out_size):
    """Return the canonical sites (m, 1+d) int32 of all windows that hold one of `sites`; out_size None: unbounded."""
    stride = np.array(window.stride, np.int64)
    found = [sites[:0]]
    for offset in window.offsets.astype(np.int64):
        room = sites[:, 1:] - offset
        out = room // stride
        keep = (out * stride == room).all(1)
        if out_size is not None:
            keep &= ((out >= 0) & (out < np.array(out_size, np.int64))).all(1)
        out = out[keep]
        if out.size and (out.min() < INT32.min or out.max() > INT32.max):
            raise GridError("rules: an output site lies outside the int32 range; move the sites towards the origin")
        found.append(np.column_stack([sites[keep, 0], out]).astype(np.int32))
    return arrange(np.concatenate(found))[0]


def pairs(sites, out_sites, window):
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


def ascend(rows, offset_ptr):
    """Whether rows (p,) ascend strictly inside each offset."""
    if len(rows) < 2:
        return True
    rising = np.diff(rows) > 0
    borders = offset_ptr[1:-1]
    rising[borders[(borders > 0) & (borders < len(rows))] - 1] = True
    return bool(rising.all())


def transpose(in_rows, out_rows, offset_ptr):
    """Return the rows of the transposed rulebook: (p,) int32 in and out, sorted by out inside each offset."""
    offsets = np.repeat(np.arange(len(offset_ptr) - 1), np.diff(offset_ptr))
    order = np.lexsort((in_rows, offsets))
    return out_rows[order], in_rows[order]


def tile_pointers(out_rows, offset_ptr, n_out):
    """Return (k, t+1) int64: where each tile of output rows begins in each offset, and where the last ends."""
    starts = np.arange(-(-n_out // TILE_ROWS) + 1) * TILE_ROWS
    tiles = [low + np.searchsorted(out_rows[low:high], starts)
             for low, high in zip(offset_ptr[:-1], offset_ptr[1:], strict=True)]
    return np.array(tiles, np.int64).reshape(len(offset_ptr) - 1, len(starts))
