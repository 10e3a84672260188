"""Boxes that hold the sites of a window, and whether the compiled core seeks partners by a map of such a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spconv_cy.sites import rules

if TYPE_CHECKING:
    from numpy import int32
    from numpy.typing import NDArray

    from spconv_cy.sites.window import Window

    Rows = NDArray[int32]

MOST_PLACES, LARGEST = 128, 2**30       # of a box: for each site, and of all; beyond them there is no map; cpu/maps.pyx


def has_map(places: int, n: int) -> bool:
    """Return True if there is a map of n sites in a box of that many places."""
    return places // MOST_PLACES <= n and places < LARGEST


def boxes(window: Window, sites: Rows, outputs: Rows) -> tuple[int, int]:
    """Return the numbers of places of the box in which a window's partners are sought, and of that of the coarser side.

    Args:
        window: Window.
        sites, outputs: (n, 1+d) and (m, 1+d); of none, there are no places.
    """
    if not len(sites) or not len(outputs):
        return 0, 0
    (low, high), (first, last) = (rules.bounds(some).tolist() for some in (sites, outputs))
    if window.kind == "transposed":                                      # partners are sought among the outputs
        low, high, first, last = first, last, low, high
    places = cells = high[0] - low[0] + 1
    for axis, (stride, (least, most)) in enumerate(zip(window.stride, window.reach, strict=True), 1):
        room = window.span[axis - 1] if window.kind == "valid" and window.is_cube else 0
        ends = (low[axis] - room, high[axis] + room, stride * first[axis] + least, stride * last[axis] + most)
        places *= max(ends) - min(ends) + 1
        cells *= last[axis] - first[axis] + 1
    return places, cells
