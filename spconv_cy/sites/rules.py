"""Sites and rules by the compiled core, or by the numpy builder without it and if keys do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spconv_cy import config
from spconv_cy.sites import build, order
from spconv_cy.sites.lattice import INT32_MAX

try:
    import spconv_cy.compiled.cells as cells
    import spconv_cy.compiled.memory as memory
    import spconv_cy.compiled.pairs as pairs
    import spconv_cy.compiled.sites as compiled
    import spconv_cy.compiled.windows as windows
except ImportError:
    cells = compiled = memory = pairs = windows = None                   # type: ignore[assignment]

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice
    from spconv_cy.sites.pairs import Pairs
    from spconv_cy.sites.window import Window

    Rows = NDArray[np.int32]
    Pointers = NDArray[np.int64]

# Output rows of a tile. Without the compiled core no loop goes by tiles, and one tile has all rows.
TILE_ROWS = pairs.TILE_ROWS if pairs else INT32_MAX


def arrange(sites: Rows) -> tuple[Rows, Rows]:
    """Return (unique sites in canonical order, row of each given site (n,) int32)."""
    found = compiled.arrange(sites, config.threads()) if compiled and len(sites) else None
    return order.arrange(sites) if found is None else found


def bounds(sites: Rows) -> NDArray[np.integer[Any]]:
    """Return (2, 1+d): the smallest and the largest value of every column, of n >= 1 sites."""
    return compiled.bounds(sites, config.threads()) if compiled else np.stack([sites.min(0), sites.max(0)])


def floored(points: NDArray[np.floating[Any]], sides: NDArray[np.float64]) -> Rows | None:
    """Return the sites floor(coordinate / side) of points (n, 1+d); None if some have none, or nothing is compiled."""
    return compiled.floored(points, sides, config.threads()) if compiled else None


def find(sites: Rows, queries: NDArray[np.integer[Any]]) -> Rows:
    """Return the row of each query among canonical unique sites, -1 if there is none."""
    found = None
    if compiled and len(sites) and queries.dtype == np.int32:
        found = compiled.find(sites, queries.astype(np.int32, copy=False), config.threads())
    return order.find(sites, queries.astype(np.int64)) if found is None else found


def merged(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Return (left, right), (q,) each: the rows in canonical a and b of each site of their union, -1 if it has none."""
    if len(a) == 0 or len(b) == 0:
        none, rows = np.full(len(a) + len(b), -1, np.int32), np.arange(len(a) + len(b), dtype=np.int32)
        return (rows, none) if len(b) == 0 else (none, rows)
    return compiled.merged(a, b) if compiled else order.merged(a, b)


def made(sites: Rows, window: Window, out_size: tuple[int, ...] | None) -> tuple[Rows, tuple[Any, ...]]:
    """Return (output sites, the arguments of Rulebook.trusted) of a window that makes new sites."""
    found, n_threads = None, config.threads()
    if compiled and len(sites) and window.kind == "transposed":
        found = windows.spread(sites, window.stages, window.offsets, window.stride, n_threads)
    elif compiled and len(sites) and window.is_tiling:
        found = cells.cells(sites, window.stride, window.origin, out_size, n_threads)
    if found is None and compiled and len(sites) and window.kind == "valid" and window.is_cube:
        found = windows.valid(sites, window.offsets, window.size, window.stride, window.dilation, window.origin,
                              out_size, n_threads)
    if window.kind == "transposed":
        return _transposed(sites, window, out_size, found)
    if found is None:
        out_sites = reached(sites, window, out_size)
        parts = given(sites, out_sites, window)
    else:
        out_sites, *rest = found
        parts = (*rest[:3], len(sites), len(out_sites), None, *rest[3:])
    if window.min_active > 1:
        counts = np.bincount(parts[1], minlength=len(out_sites))
        out_sites = np.ascontiguousarray(out_sites[counts >= window.min_active])
        parts = given(sites, out_sites, window)
    return out_sites, parts


def _transposed(sites: Rows, window: Window, out_size: tuple[int, ...] | None,
                found: tuple[Any, ...] | None) -> tuple[Rows, tuple[Any, ...]]:
    if found is None:
        out_sites = build.reached(sites, window, out_size)
        return out_sites, swapped(given(out_sites, sites, window))
    spread, *parts = found
    out_sites = spread if out_size is None else within(spread, out_size, window.lattice)
    if out_sites is not spread:                                          # padding removes some
        return out_sites, swapped(given(out_sites, sites, window))
    return out_sites, swapped((*parts[:3], len(out_sites), len(sites)))


def reached(sites: Rows, window: Window, out_size: tuple[int, ...] | None) -> Rows:
    """Return the canonical output sites (m, 1+d) of a window in a field of `out_size`; None: unbounded."""
    found = None
    if compiled and len(sites):
        if window.kind in ("valid", "centre"):
            offsets = window.offsets if window.kind == "valid" else window.centre.astype(np.int32)[None]
            found = windows.folded(sites, offsets, window.stride, config.threads())
        elif window.kind == "cell":
            # A copy: what `arrange` returns may lie in twice the memory, which is kept as long as the sites are.
            cells_of = memory.empty(sites.shape, np.int32)
            found = arrange(np.floor_divide(sites, np.array([1, *window.stride], np.int32), out=cells_of))[0].copy()
    if found is None:
        return build.reached(sites, window, out_size)
    return found if out_size is None else within(found, out_size, window.lattice)


def within(sites: Rows, size: tuple[int, ...], lattice: Lattice) -> Rows:
    """Return the sites that lie in a field of `size`; the same array if all do."""
    held = lattice.inside(sites[:, 1:], size)
    return sites if held.all() else np.ascontiguousarray(sites[held])


def given(sites: Rows, out_sites: Rows, window: Window) -> tuple[Any, ...]:
    """Return the arguments of Rulebook.trusted for a window between two canonical lists of sites."""
    found: tuple[Any, ...] | None = None
    if compiled and len(sites) and len(out_sites):
        found = windows.pairs(sites, out_sites, window.offsets, window.stride, config.threads())
    if found is None:
        found = *build.pairs(sites, out_sites, window), None
    return *found[:3], len(sites), len(out_sites), None, *found[3:]


def swapped(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of Rulebook.trusted with the sides swapped; the input rows must ascend in each offset."""
    in_rows, out_rows, offset_ptr, n_in, n_out, *_ = parts
    return out_rows, in_rows, offset_ptr, n_out, n_in


def ascend(rows: Rows, offset_ptr: Pointers) -> bool:
    """Return True if rows (p,) ascend strictly in each offset."""
    return pairs.ascend(rows, offset_ptr, config.threads()) if compiled else build.ascend(rows, offset_ptr)


def transpose(in_rows: Rows, out_rows: Rows, offset_ptr: Pointers, n_in: int) -> tuple[Rows, Rows]:
    """Return (in_rows, out_rows) of the transposed rulebook; out_rows ascend if no input row comes twice."""
    if compiled and len(in_rows):
        return pairs.transpose(in_rows, out_rows, offset_ptr, n_in, config.threads())
    return build.transpose(in_rows, out_rows, offset_ptr)


def turned(found: Pairs) -> Pairs | None:
    """Return Pairs with inputs and outputs swapped where that needs no sorting, else None."""
    return found.swapped(config.threads()) if compiled else None


def tile_pointers(out_rows: Rows, offset_ptr: Pointers, n_out: int) -> Pointers:
    """Return (k, t+1): where each tile of output rows begins in each offset, and where the last ends."""
    if compiled:
        return pairs.tile_pointers(out_rows, offset_ptr, n_out, config.threads())
    return build.tile_pointers(out_rows, offset_ptr, n_out, TILE_ROWS)


def fan_in(out_rows: Rows, tile_ptr: Pointers, n_out: int) -> Rows:
    """Return (n_out,): the number of pairs of each output row."""
    if compiled and len(out_rows):
        return pairs.fan_in(out_rows, tile_ptr, n_out, config.threads())
    return np.bincount(out_rows, minlength=n_out).astype(np.int32)
