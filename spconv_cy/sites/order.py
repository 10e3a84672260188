"""The canonical order of sites: lexicographic by (batch, x1, ..., xd), as exact 64-bit keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY_LIMIT = 2**63 - 1


def box(sites: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (low, extent), int64 (1+d,) each: the corner and the sides of the smallest box around sites (n, 1+d)."""
    low = sites.min(0).astype(np.int64)
    return low, sites.max(0).astype(np.int64) - low + 1


def fits(extent: NDArray[np.int64]) -> bool:
    """Return True if keys of 63 bits tell all sites of a box with these sides apart."""
    product = 1
    for side in extent:
        product *= int(side)
    return product <= KEY_LIMIT


def pack(sites: NDArray[np.integer[Any]], low: NDArray[np.int64], extent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return keys (n,) in the order of the sites, which must lie in the box; its keys must fit 63 bits."""
    keys: NDArray[np.int64] = sites[:, 0].astype(np.int64) - low[0]
    for axis in range(1, sites.shape[1]):
        keys *= extent[axis]
        keys += sites[:, axis]
        keys -= low[axis]
    return keys


def fold(sites: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return keys (n,), equal for equal sites and in the order of the sites, for extents of any size.

    Goes axis by axis. If the next product would pass 63 bits, the keys so far are replaced by their ranks, which are
    below 2^31. Keys of two calls cannot be compared.
    """
    low, extent = box(sites)
    keys, room = sites[:, 0].astype(np.int64) - low[0], int(extent[0])
    for axis in range(1, sites.shape[1]):
        side = int(extent[axis])
        if room * side > KEY_LIMIT:
            ranks, keys = np.unique(keys, return_inverse=True)
            keys, room = keys.reshape(-1).astype(np.int64), len(ranks)
        keys = keys * side + (sites[:, axis].astype(np.int64) - low[axis])
        room *= side
    return keys


def keys_of(sites: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return exact keys (n,) of sites (n, 1+d), n >= 1, by packing if the extents fit, else by folding."""
    low, extent = box(sites)
    return pack(sites, low, extent) if fits(extent) else fold(sites)


def arrange(sites: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (unique sites in canonical order, row of each given site (n,) int32)."""
    if len(sites) == 0:
        return sites, np.zeros(0, np.int32)
    keys = keys_of(sites)
    if (keys[1:] > keys[:-1]).all():
        return sites, np.arange(len(sites), dtype=np.int32)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    rows = np.empty(len(sites), np.int32)
    rows[order] = np.cumsum(first, dtype=np.int32) - 1
    return np.ascontiguousarray(sites[order[first]]), rows


def find(sites: NDArray[np.int32], queries: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the row of each query (q, 1+d) among canonical unique sites (n, 1+d), -1 if there is none."""
    if len(sites) == 0 or len(queries) == 0:
        return np.full(len(queries), -1, np.int32)
    low, extent = box(sites)
    inside = ((queries >= low) & (queries < low + extent)).all(1)
    rows = np.full(len(queries), -1, np.int32)
    wanted = queries[inside]
    if len(wanted) == 0:
        return rows
    if fits(extent):
        keys, asked = pack(sites, low, extent), pack(wanted, low, extent)
    else:
        both = fold(np.concatenate([sites, wanted]))
        keys, asked = both[:len(sites)], both[len(sites):]
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    rows[inside] = np.where(keys[at] == asked, at, -1)
    return rows


def merged(a: NDArray[np.int32], b: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (left, right), (q,) each: the rows in canonical a and b of each site of their union, -1 if it has none."""
    keys = keys_of(np.concatenate([a, b]))
    order = np.argsort(keys, kind="stable")                              # linear for two sorted runs
    first = np.concatenate([[True], np.diff(keys[order]) != 0])
    place, mine = np.cumsum(first) - 1, order < len(a)
    left, right = np.full((2, int(first.sum())), -1, np.int32)
    left[place[mine]], right[place[~mine]] = order[mine], order[~mine] - len(a)
    return left, right
