"""Chains of windows: the rules of a network for few sites, found in one compiled call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from spconv_cy import config
from spconv_cy.errors import ShapeError
from spconv_cy.sites.window import Window, field_after

try:
    import spconv_cy.compiled.chain as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

if TYPE_CHECKING:
    from numpy import int32
    from numpy.typing import NDArray

    from spconv_cy.sites.pairs import Pairs

MOST_SITES = 4096                       # from here on the merges take longer than all the rest
SIZES = 64                              # of fields for which a course is kept
ALONE, SHARED = 2**22, 2**15            # outputs times offsets of a link, for one thread and if there are more
# Pairs, and the output sites, or None for a window that keeps the sites.
Link: TypeAlias = "tuple[Pairs, NDArray[int32] | None]"


class Course:
    """The windows that a network asks for, each after those on whose output sites it is.

    Args:
        windows: (place, Window) each: place -1 for the sites that the network gets, or the number of an earlier window
            that makes sites. A pair that comes twice counts once.
    """

    def __init__(self, windows: Sequence[tuple[int, Window]]) -> None:
        self.windows = tuple(windows)
        self.first = frozenset(window for place, window in windows if place < 0)
        self._prepared: dict[Any, tuple[Any, dict[int, dict[Window, int]]]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Course, (self.windows,)

    def prepared(self, size: tuple[int, ...] | None) -> tuple[Any, dict[int, dict[Window, int]]]:
        """Return (compiled chain or None, {place: {window: number}}) for a field; windows that do not fit are left out.
        """
        found = self._prepared.get(size)
        if found is None:
            if len(self._prepared) > SIZES:
                self._prepared.clear()
            found = self._prepared[size] = self._prepare(size)
        return found

    def _prepare(self, size: tuple[int, ...] | None) -> tuple[Any, dict[int, dict[Window, int]]]:
        links: list[Any] = []
        sizes, numbers, after = {-1: size}, {-1: -1}, dict[int, dict[Window, int]]()
        for i, (place, window) in enumerate(self.windows):
            if place not in sizes or not is_served(window):
                continue
            try:
                out_size = field_after(window, sizes[place])
            except ShapeError:                                           # the layer will say so
                continue
            if not window.keeps_sites:
                sizes[i] = out_size
            number = after.setdefault(numbers[place], {}).setdefault(window, len(links))
            numbers[i] = number
            if number == len(links):
                links.append((numbers[place], shape_of(window), out_size))
        return compiled.Chain(links) if links else None, after


class Ahead:
    """What a chain found ahead of the calls that ask for it.

    Args:
        found: list of what was found, from which each is taken once.
        after: {place: {window: number}}.
        place: the number of the window that made the sites, -1 for the first.
    """

    __slots__ = ("_found", "_after", "_place")

    def __init__(self, found: list[Link | None], after: dict[int, dict[Window, int]], place: int = -1) -> None:
        self._found, self._after, self._place = found, after, place

    def take(self, window: Window) -> tuple[Link, Ahead] | None:
        """Return (Pairs and output sites, Ahead for these sites) of a window, or None."""
        number = self._after.get(self._place, {}).get(window, -1)
        if number < 0:
            return None
        found, self._found[number] = self._found[number], None
        return None if found is None else (found, Ahead(self._found, self._after, number))


def run(course: Course, sites: NDArray[int32], size: tuple[int, ...] | None) -> Ahead | None:
    """Return what the windows of a course find for canonical sites; None where this does not pay."""
    if compiled is None or not 0 < len(sites) <= MOST_SITES:
        return None
    chain, after = course.prepared(size)
    return chain and Ahead(chain(sites, ALONE if config.threads() == 1 else SHARED), after)


def is_served(window: Window) -> bool:
    """Return True if a chain may have this window."""
    if window.kind == "transposed":
        return window.lattice.is_cubic
    cube = window.kind == "valid" and window.is_cube or window.is_tiling
    return window.keeps_sites or cube and window.min_active == 1


@lru_cache(maxsize=1024)
def shape_of(window: Window) -> Any:
    """Return the compiled form of a window."""
    return compiled.Shape(window.offsets, window.size, window.stride, window.dilation, window.origin,
                          window.keeps_sites, window.stages if window.kind == "transposed" else ())


@lru_cache(maxsize=256)
def alone(window: Window) -> Course:
    """Return the course of one window."""
    return Course([(-1, window)])
