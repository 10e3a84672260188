"""Sites and rules by the compiled core where there is one and the keys fit, else by the numpy builder."""

import numpy as np

from spconv_cy import config
from spconv_cy.sites import build, order
from spconv_cy.sites.lattice import INT32_MAX

try:
    import spconv_cy.compiled.pairs as pairs
    import spconv_cy.compiled.sites as compiled
    import spconv_cy.compiled.windows as windows
except ImportError:
    compiled = pairs = windows = None

# Output rows of a tile. Without the compiled core no loop goes by tiles: one holds all rows.
TILE_ROWS = pairs.TILE_ROWS if pairs else INT32_MAX


def arrange(sites):
    """Return (unique sites in canonical order, row of each given site (n,) int32)."""
    found = compiled.arrange(sites, config.threads()) if compiled and len(sites) else None
    return order.arrange(sites) if found is None else found


def bounds(sites):
    """Return the smallest and the largest value of every column, (2, 1+d), of n >= 1 sites."""
    return compiled.bounds(sites, config.threads()) if compiled else np.stack([sites.min(0), sites.max(0)])


def find(sites, queries):
    """Return the row of each query among canonical unique sites, -1 where there is none."""
    found = None
    if compiled and len(sites) and queries.dtype == np.int32:
        found = compiled.find(sites, queries, config.threads())
    return order.find(sites, queries.astype(np.int64)) if found is None else found


def merged(a, b):
    """Return (left, right), (q,) int32 each: the rows of each site of a union in canonical a and b; -1: not there."""
    if len(a) == 0 or len(b) == 0:
        none, rows = np.full(len(a) + len(b), -1, np.int32), np.arange(len(a) + len(b), dtype=np.int32)
        return (rows, none) if len(b) == 0 else (none, rows)
    return compiled.merged(a, b) if compiled else order.merged(a, b)


def made(sites, window, out_size):
    """Return (output sites, what Rulebook.trusted takes), for a window that makes new sites."""
    found, n_threads = None, config.threads()
    if compiled and len(sites) and window.kind == "transposed":
        found = windows.spread(sites, window.stages, window.offsets, window.stride, n_threads)
    elif compiled and len(sites) and window.kind == "valid" and window.is_cube:
        found = windows.valid(sites, window.offsets, window.size, window.stride, window.dilation, window.origin,
                              out_size, n_threads)
    if window.kind == "transposed":
        return _transposed(sites, window, out_size, found)
    if found is None:
        out_sites = reached(sites, window, out_size)
        parts = given(sites, out_sites, window)
    else:
        out_sites, *parts = found
        parts = (*parts[:3], len(sites), len(out_sites), None, parts[3])
    if window.min_active > 1:
        counts = np.bincount(parts[1], minlength=len(out_sites))
        out_sites = np.ascontiguousarray(out_sites[counts >= window.min_active])
        parts = given(sites, out_sites, window)
    return out_sites, parts


def _transposed(sites, window, out_size, found):
    if found is None:
        out_sites = build.reached(sites, window, out_size)
        return out_sites, swapped(given(out_sites, sites, window))
    spread, *parts = found
    out_sites = spread if out_size is None else within(spread, out_size, window.lattice)
    if out_sites is not spread:                                          # padding cuts some off
        return out_sites, swapped(given(out_sites, sites, window))
    return out_sites, swapped((*parts[:3], len(out_sites), len(sites)))


def reached(sites, window, out_size):
    """Return the canonical output sites (m, 1+d) int32 of a window, in a field of `out_size` or of any (None)."""
    found = None
    if compiled and len(sites):
        if window.kind in ("valid", "centre"):
            offsets = window.offsets if window.kind == "valid" else window.centre.astype(np.int32)[None]
            found = windows.folded(sites, offsets, window.stride, config.threads())
        elif window.kind == "cell":
            found = arrange(np.floor_divide(sites, np.array([1, *window.stride], np.int32)))[0]
    if found is None:
        return build.reached(sites, window, out_size)
    return found if out_size is None else within(found, out_size, window.lattice)


def within(sites, size, lattice):
    """Return the sites that lie in a field of `size`, the very array where all do."""
    held = lattice.inside(sites[:, 1:], size)
    return sites if held.all() else np.ascontiguousarray(sites[held])


def given(sites, out_sites, window):
    """Return what Rulebook.trusted takes: the pairs of a window between any two canonical lists of sites."""
    found = None
    if compiled and len(sites) and len(out_sites):
        found = windows.pairs(sites, out_sites, window.offsets, window.stride, config.threads())
    if found is None:
        found = *build.pairs(sites, out_sites, window), None
    return *found[:3], len(sites), len(out_sites), None, found[3]


def swapped(parts):
    """Return what Rulebook.trusted takes for a rulebook whose input rows ascend in each offset, its sides swapped."""
    in_rows, out_rows, offset_ptr, n_in, n_out, *_ = parts
    return out_rows, in_rows, offset_ptr, n_out, n_in


def ascend(rows, offset_ptr):
    """Whether rows (p,) int32 ascend strictly inside each offset."""
    return pairs.ascend(rows, offset_ptr, config.threads()) if compiled else build.ascend(rows, offset_ptr)


def transpose(in_rows, out_rows, offset_ptr, n_in):
    """Return (in_rows, out_rows) of the transposed rulebook; its out_rows ascend if no input row comes twice."""
    if compiled and len(in_rows):
        return pairs.transpose(in_rows, out_rows, offset_ptr, n_in, config.threads())
    return build.transpose(in_rows, out_rows, offset_ptr)


def tile_pointers(out_rows, offset_ptr, n_out):
    """Return (k, t+1) int64: where each tile of output rows begins in each offset, and where the last ends."""
    if compiled:
        return pairs.tile_pointers(out_rows, offset_ptr, n_out, config.threads())
    return build.tile_pointers(out_rows, offset_ptr, n_out, TILE_ROWS)


def fan_in(out_rows, tile_ptr, n_out):
    """Return (n_out,) int32, the number of pairs of each output row."""
    if compiled and len(out_rows):
        return pairs.fan_in(out_rows, tile_ptr, n_out, config.threads())
    return np.bincount(out_rows, minlength=n_out).astype(np.int32)
