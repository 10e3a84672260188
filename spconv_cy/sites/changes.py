"""Grids of which few sites have changed: their rules from those before the change, with the rows of rules made afresh.

Rows that stayed keep their pairs, under new numbers, and only for the other sites partners are sought. See
docs/kernels.md for how many sites may change before that takes longer than all rules afresh.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spconv_cy import config
from spconv_cy.sites import rules
from spconv_cy.sites.boxes import has_map
from spconv_cy.sites.chains import MOST_SITES
from spconv_cy.sites.rulebook import Rulebook

try:
    import spconv_cy.compiled.changes as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

if TYPE_CHECKING:
    from spconv_cy.compiled.changes import Change
    from spconv_cy.sites.grid import Grid
    from spconv_cy.sites.window import Window

    Rows = NDArray[np.int32]

SHARE = 0.1                             # of the rows that may change; above it, rules are made afresh
SHARE_OF_MAPS = 0.01                    # the same where a map of places makes them, which is much faster
ROOM = 8                                # bytes for each row, in and out, that the partners of changed rows may take


def change(old: Grid, new: Grid) -> Change | None:
    """Return the change from one grid to another; None if too much has changed, or a chain finds the rules faster."""
    if compiled is None or (old.size, old.lattice) != (new.size, new.lattice) or min(old.n, new.n) <= MOST_SITES:
        return None
    return compiled.change(old.sites, new.sites, int(share_of(new.sites) * new.n))


def share_of(sites: Rows) -> float:
    """Return the share of these sites that may have changed; above it, rules are made afresh."""
    if not len(sites):
        return SHARE
    low, high = rules.bounds(sites).tolist()
    places = math.prod(last - first + 1 for first, last in zip(low, high, strict=True))
    return SHARE_OF_MAPS if has_map(places, len(sites)) else SHARE


def is_none(found: Change) -> bool:
    """Return True if no site has changed."""
    return not found.added and not found.gone


def pairs_after(window: Window, before: Rulebook, inputs: Change, outputs: Change, sites: Rows,
                outs: Rows) -> Rulebook:
    """Return the rulebook of a window after a change of its inputs and outputs.

    Args:
        window: Window.
        before: its rulebook before the change.
        inputs, outputs: Change of the sites on each side.
        sites, outs: those after the change; for a window that keeps the sites, one array.
    """
    if is_none(inputs) and is_none(outputs):
        return before
    rows = before.in_rows, before.out_rows
    turned = window.kind == "transposed"                                 # found from the target to the grid
    if turned:
        sites, outs, rows, inputs, outputs = outs, sites, rows[::-1], outputs, inputs
    found: Any = None
    if _pays(window, inputs, outputs, sites):
        found = compiled.patched(*rows, before.offset_ptr, inputs, outputs, sites, outs, window.offsets, window.stride,
                                 config.threads())
    parts: tuple[Any, ...] = rules.given(sites, outs, window) if found is None else (
        *found[:3], len(sites), len(outs), None, found[3])
    return Rulebook.trusted(*(rules.swapped(parts) if turned else parts))


def child_after(window: Window, before: Grid, inputs: Change, grid: Grid) -> tuple[Grid, Change] | None:
    """Return (the grid that a window makes, its change), or None where it is made as well afresh.

    Args:
        window: Window, which makes new sites.
        before: Grid that it made before the change.
        inputs: Change of the grid's sites.
        grid: Grid after the change.
    """
    book: Rulebook = before.source.rulebook                              # type: ignore[union-attr]
    deciding = _deciding(window, book)
    if deciding is None or before.n <= MOST_SITES or _too_many(inputs, grid.sites):
        return None
    reached = rules.made(grid.sites[inputs.rows_added], window, before.size)[0]
    sites, outputs = compiled.grown(before.sites, *deciding, inputs, reached)
    if not len(sites):
        return None
    sites.flags.writeable = False
    return grid.child(sites.view(), before.size, window,
                      pairs_after(window, book, inputs, outputs, grid.sites, sites)), outputs


def _deciding(window: Window, book: Rulebook) -> tuple[Rows, Rows] | None:
    """Return (in_rows, out_rows) of the pairs of which an output needs one to be there, or None: it needs more."""
    if window.kind == "cell" and not (window.is_cube and window.size == window.stride and window.span == window.size
                                      and not any(window.origin)) or window.min_active > 1:
        return None
    low, high = 0, book.n_pairs
    if window.kind == "centre":
        k = int(np.flatnonzero((window.offsets == window.centre).all(1))[0])
        low, high = book.offset_ptr[k:k + 2]
    return book.in_rows[low:high], book.out_rows[low:high]


def _too_many(inputs: Change, sites: Rows) -> bool:
    return inputs.added + inputs.gone > share_of(sites) * inputs.m


def _pays(window: Window, inputs: Change, outputs: Change, sites: Rows) -> bool:
    both, rows = inputs.added + outputs.added, inputs.m + outputs.m
    changed = both + inputs.gone + outputs.gone
    merged = window.volume // 2 if window.keeps_sites and window.is_cube and window.volume % 2 else window.volume
    return changed <= share_of(sites) * rows and 4 * merged * both <= ROOM * rows
