"""How much memory it takes to find the outputs and the rulebook of a window; see sites/rules.py for the ways."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.config import threads
from spconv_cy.sites import changes, rules
from spconv_cy.sites.boxes import MOST_PLACES, boxes, has_map
from spconv_cy.sites.chains import MOST_SITES

try:
    from spconv_cy.compiled import memory as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

if TYPE_CHECKING:
    from numpy import int32
    from numpy.typing import NDArray

    from spconv_cy.sites import Rulebook, Window

    Rows = NDArray[int32]

KEY = 8                                                                  # bytes
SHARE = 32768                           # keys of a piece of a union, about, as in cpu/reach.pxd
SPREAD = 1.25                           # of the largest piece over that
BUCKETS = 2048                          # of sites that are sorted, for each thread, as in cpu/order.pxd


@dataclass(frozen=True)
class Size:
    """The numbers of a window's rulebook.

    Attributes:
        n, m: inputs and outputs.
        pairs: number of pairs.
        places: of the box of input keys, for a map of them; None: not known, the most that has a map.
        cells: of the box of outputs, likewise.
        dropped: how many inputs may reach outputs that do not fit into the field.
        made: whether the outputs are found, too.
        edges: for each axis the number of outputs at the end of the field; None: not known.
        between: for each axis the number of keys of which it and those before are still the inputs'; or None.
    """

    n: int
    m: int
    pairs: int
    places: int | None
    cells: int | None
    dropped: int
    made: bool
    edges: tuple[int, ...] | None = None
    between: tuple[int, ...] | None = None


def size_of(window: Window, sites: Rows, outputs: Rows, book: Rulebook, field: tuple[int, ...] | None,
            made: bool) -> Size:
    """Return the Size of a rulebook that was found for sites in a field."""
    places, cells = boxes(window, sites, outputs)
    dropped = len(sites) if _drops(window, field) else 0
    between = _between(window, book) if made and not dropped and field is None and max(window.stride) == 1 else None
    out_size = None if field is None or not made else window.out_size(field)
    edges = tuple(0 if out_size is None else int((outputs[:, axis + 1] == out_size[axis] - 1).sum())
                  for axis in range(window.lattice.d))
    return Size(len(sites), len(outputs), book.n_pairs, places, cells, dropped, made, edges, between)


def _between(window: Window, book: Rulebook) -> tuple[int, ...]:
    """Return `between` of a cube with stride 1 and no field: each key has one output at the first tap of its axes."""
    counts, offsets = [], window.volume
    for taps in window.size:
        offsets //= taps
        there = np.zeros(book.n_out, bool)
        there[book.out_rows[:book.offset_ptr[offsets]]] = True
        counts.append(int(there.sum()))
    return tuple(counts)


def worst_size(window: Window, n: int, target: int | None) -> Size:
    """Return a Size that no rulebook of a window over n sites exceeds; target: the number of given outputs, or None."""
    each = math.prod(-(-size // stride) for size, stride in zip(window.size, window.stride, strict=True))
    made = target is None and not window.keeps_sites
    if window.kind == "transposed":
        outputs, pairs = n * window.volume if made else target or 0, n * window.volume
    else:
        kept = window.keeps_sites or window.kind in ("cell", "centre")
        outputs = n * (1 if kept else each) if target is None else target
        pairs = n * min(window.volume, window.volume if kept else each)
    return Size(n, outputs, pairs, None, None, n, made)


def finding_bytes(window: Window, size: Size, results: int) -> int:
    """Return the most bytes at once while a rulebook is found whose arrays hold `results` bytes, these included."""
    n, m = size.n, size.m
    if window.is_tiling and size.cells is not None and size.made and size.pairs == n and has_map(size.cells, n):
        afresh = _held(KEY * n, 4 * n, _map(size.cells), 2 * KEY * window.volume * threads())
        return results + max(afresh, _updating(window, size, True))
    turned = window.kind == "transposed"
    keys, wanted = (m, n) if turned else (n, m)
    same = window.keeps_sites
    more = min(n * window.volume, SHARE) if turned and size.made else 0  # of a small union, in whose memory keys stay
    pairing = _held(KEY * n, 0 if same else KEY * max(m, more), *_inner(window, size, keys, wanted))
    pairing = max(pairing, _updating(window, size, size.places is not None and has_map(size.places, keys)))
    if not size.made or same:
        return results + pairing
    before = _unions(window, size) if turned else _widening(window, size) if window.kind == "valid" and window.is_cube \
        else _reaching(window, size)
    again = _first_results(window, size)
    return max(results + pairing + again, before)


def _updating(window: Window, size: Size, mapped: bool) -> int:
    """Return the most bytes of an update: keys of both sides and partners; where there is a map, few rows change."""
    if size.n <= MOST_SITES:
        return 0
    partners = min(changes.ROOM, 4 * window.volume * changes.SHARE_OF_MAPS) if mapped else changes.ROOM
    return int((KEY / (1 if size.made else 2) + partners) * (size.n + size.m))


def _widening(window: Window, size: Size) -> int:
    """Return the most bytes while outputs of a cube are found, axis by axis from the last one on."""
    keys, grown, most = size.n, 1, 0
    axes = list(zip(window.size, window.stride, window.dilation, strict=True))
    # Keys before each axis: an output has at most as many as the stride, or the taps at the end of a field.
    fewest = [size.m]
    for (taps, stride, dilation), end in zip(axes, size.edges or (size.m,) * len(axes), strict=True):
        step = taps if min(stride, dilation) > 1 else min(taps, stride)
        fewest.append(fewest[-1] * step + (taps - step) * end * math.prod(window.size[:len(fewest) - 1]))
    for axis, (taps, stride, dilation) in reversed(list(enumerate(axes))):
        room = -(-taps // (stride // math.gcd(stride, dilation)))
        grown *= room
        after = min(size.n * grown, min(fewest[axis], size.pairs) + size.dropped * grown)
        after = size.between[axis - 1] if size.between and axis else after
        most = max(most, _held(KEY * size.n, KEY * keys, KEY * (1 + 2 * room) * keys, KEY * after))
        keys = after
    return most


def _unions(window: Window, size: Size) -> int:
    """Return the most bytes while outputs of a transposed window are found, stage by stage."""
    keys, most = size.n, 0
    spread = size.m + size.n * window.volume - size.pairs                # with those beyond the field
    for stage in window.stages:
        total, after = len(stage) * keys, min(len(stage) * keys, spread)
        most = max(most, _held(KEY * size.n, KEY * keys, *_united(total, after)))
        keys = after
    return most


def _reaching(window: Window, size: Size) -> int:
    """Return the most bytes while outputs of any other window are found."""
    row = 4 * (window.lattice.d + 1)
    if window.kind == "cell":
        places = MOST_PLACES * size.n if size.cells is None else size.cells
        ranked = has_map(places, size.n)
        more = (_map(places), KEY * size.m) if ranked else (2 * KEY * size.n, 4 * size.n, KEY * BUCKETS * threads())
        return _held(row * size.n, 2 * row * size.m, row * size.m, 4 * size.n, *more)
    total = size.n if window.kind == "centre" else size.pairs + size.dropped * window.volume
    return _held(KEY * size.n, 4 * size.n, KEY * size.n, *_united(total, size.m + size.dropped), row * size.m)


def _first_results(window: Window, size: Size) -> int:
    """Return the bytes of a rulebook that is found first, of outputs of which some are left out."""
    row, tile = 4 * (window.lattice.d + 1), KEY * window.volume
    if window.kind == "transposed":
        pairs = size.n * window.volume
        outputs = size.m + pairs - size.pairs
        return _held(2 * 4 * pairs, row * outputs, outputs, tile * (size.n // rules.TILE_ROWS + 2)) * (
            size.pairs < pairs)
    if window.min_active == 1:
        return 0
    worst = worst_size(window, size.n, None)
    return _held(2 * 4 * worst.pairs, KEY * worst.pairs, (row + KEY) * worst.m,
                 tile * (worst.m // rules.TILE_ROWS + 2))


def _united(total: int, after: int) -> tuple[int, ...]:
    """Return the bytes of the arrays of a union of `total` keys, of which `after` differ."""
    pieces = total // SHARE + 1
    parts = min(threads(), pieces)
    most = total if pieces == 1 else min(total, int(SPREAD * total / pieces))
    return KEY * total, KEY * 2 * most * parts, KEY * after


def _inner(window: Window, size: Size, keys: int, wanted: int) -> tuple[int, ...]:
    """Return the bytes of the arrays in which partners are sought: a map, or runs of rows side by side on each side."""
    runs = [keys] if window.keeps_sites else [keys, wanted]
    if size.made and window.kind == "valid" and window.is_cube and window.dilation[-1] == 1:
        runs[1] = wanted // max(1, window.size[-1] // window.stride[-1]) + wanted // rules.TILE_ROWS
    arrays = tuple(part * (n + 2) for n in runs for part in (KEY, 4))
    if size.places is None:
        return (max(_map(MOST_PLACES * keys), sum(arrays)),)
    return (_map(size.places),) if has_map(size.places, keys) else arrays


def _map(places: int) -> int:
    return places // 4 + 32


def _drops(window: Window, field: tuple[int, ...] | None) -> bool:
    """Return True if some inputs may have no output on an axis: between windows, or beyond the last one of a field."""
    axes = list(zip(window.size, window.dilation, window.stride, window.origin, window.span, strict=True))
    if not window.is_cube or any(taps < stride or min(dilation, stride) > 1 for taps, dilation, stride, *_ in axes):
        return True
    return field is not None and any(dilation > 1 or (n + 2 * pad - span) % stride > pad
                                     for n, (_, dilation, stride, pad, span) in zip(field, axes, strict=True))


def _held(*parts: int) -> int:
    return sum(map(compiled.held_bytes, parts)) if compiled else sum(parts)
