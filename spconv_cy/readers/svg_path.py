"""Reads the `d` of an SVG path: straight lines, quadratic and cubic Bézier curves, as polylines."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from spconv_cy.errors import expected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spconv_cy.types import Array

Segment: TypeAlias = tuple[complex, ...]            # a point, or the 4 points of a cubic curve
TOKEN = re.compile(r"\s*(?:,\s*)?(?:([A-Za-z])|([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))", re.ASCII)
NUMBERS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0}
LIKE = {"S": "CS", "T": "QT"}                       # a curve of this kind continues one of those smoothly
MOST = 1e9                                          # of a coordinate
WHO = "read_svg_path"


def read_svg_path(text: str, *, pieces: int = 8) -> list[Array]:
    """Return the polylines of an SVG path, one for each subpath.

    Args:
        text: the path data: M, L, H, V, C, S, Q, T and Z, absolute or relative. Arcs (A) are refused.
        pieces: the number of straight pieces of each curve, at equal steps of its parameter.

    Returns:
        list of (n, 2) float64 arrays, x right, y down as in SVG.

    Raises:
        ValueError: the text is not such a path; the message names the place.

    Source: Scalable Vector Graphics 1.1, section 8.3.

    >>> read_svg_path("M1,2h3v-1z")[0].tolist()
    [[1.0, 2.0], [4.0, 2.0], [4.0, 1.0], [1.0, 2.0]]
    """
    if not isinstance(pieces, int) or pieces < 1:
        raise ValueError(expected(WHO, "pieces to be a whole number from 1 up", f"{pieces!r}"))
    paths: list[tuple[complex, list[Segment]]] = []                     # (start, segments)
    at, control, before = 0j, 0j, ""
    for kind, relative, numbers in _commands(text):
        origin = at if relative else 0j
        if kind == "M":
            at = origin + complex(*numbers)
            paths.append((at, []))
        elif kind == "Z":
            at = paths[-1][0]
            paths[-1][1].append((at,))
        else:
            if before == "Z":                                           # continues from the start of the closed path
                paths.append((at, []))
            points = _points(kind, at, origin, numbers)
            if kind in LIKE:                        # the first control point mirrors the last one, or is at the pen
                points.insert(0, 2 * at - control if before and before in LIKE[kind] else at)
            if kind in "QT":                                            # converted to the same cubic curve
                control = points[0]
                points = [(at + 2 * control) / 3, (points[1] + 2 * control) / 3, points[1]]
            elif kind in "CS":
                control = points[1]
            paths[-1][1].append((at, *points) if len(points) > 1 else tuple(points))
            at = points[-1]
        before = kind
    return [_polyline(start, segments, pieces) for start, segments in paths]


def _points(kind: str, at: complex, origin: complex, numbers: list[float]) -> list[complex]:
    if kind == "H":
        return [complex(origin.real + numbers[0], at.imag)]
    if kind == "V":
        return [complex(at.real, origin.imag + numbers[0])]
    return [origin + complex(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]


def _polyline(start: complex, segments: list[Segment], pieces: int) -> Array:
    curves = np.array([points for points in segments if len(points) > 1], complex).reshape(-1, 4)
    drawn = iter(curves @ _bernstein(pieces))
    parts = [np.array([start])] + [next(drawn) if len(points) > 1 else np.array(points) for points in segments]
    return np.concatenate(parts).view(np.float64).reshape(-1, 2)


@cache
def _bernstein(pieces: int) -> Array:
    t = np.arange(1, pieces + 1) / pieces
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3])


def _commands(text: str) -> Iterator[tuple[str, bool, list[float]]]:
    """Yield (kind, whether relative, numbers) for each command, also where its letter is omitted as a repetition."""
    words, at = _words(text), 0
    if not words or words[0] not in ("M", "m"):
        raise ValueError(expected(WHO, "a path that begins with M", f"{text[:20]!r}"))
    while at < len(words):
        letter, first = words[at], True
        if not isinstance(letter, str) or letter.upper() not in NUMBERS:
            raise ValueError(expected(WHO, "one of M L H V C S Q T Z", f"{letter!r}"))
        kind = letter.upper()
        wanted, at = NUMBERS[kind], at + 1
        while first or wanted and at < len(words) and isinstance(words[at], float):
            found = words[at:at + wanted]
            numbers = [word for word in found if isinstance(word, float)]
            if len(numbers) < wanted:
                raise ValueError(expected(WHO, f"{wanted} numbers after {letter}", found))
            yield "L" if kind == "M" and not first else kind, letter.islower(), numbers
            at, first = at + wanted, False                              # further pairs after a move are lines


def _words(text: str) -> list[str | float]:
    words: list[str | float] = []
    at, found = 0, TOKEN.match(text)
    while found:
        letter, number = found.groups()
        if number and not abs(float(number)) <= MOST:
            raise ValueError(expected(WHO, f"numbers up to {MOST:g}", number[:20]))
        words.append(letter or float(number))
        at = found.end()
        found = TOKEN.match(text, at)
    rest = text[at:].strip(" \t\r\n\f")
    if rest:
        raise ValueError(expected(WHO, "a number or a command", f"{rest[:20].strip()!r} at {at}"))
    return words
