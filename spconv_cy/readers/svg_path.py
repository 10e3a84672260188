"""Reads the `d` of an SVG path: straight lines, quadratic and cubic Bézier curves, as polylines."""

import re
from functools import cache

import numpy as np

TOKEN = re.compile(r"\s*(?:,\s*)?(?:([A-Za-z])|([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))", re.ASCII)
NUMBERS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0}
LIKE = {"S": "CS", "T": "QT"}                       # a curve of this kind goes on smoothly from one of those
MOST = 1e9                                          # of a coordinate


def read_svg_path(text, *, pieces=8):
    """Return the polylines of an SVG path, one for each subpath.

    Args:
        text: the path data: M, L, H, V, C, S, Q, T and Z, absolute or relative. Arcs (A) are refused.
        pieces: straight pieces of each curve, of equal time.

    Returns:
        list of (n, 2) float64 arrays, x right, y down as in SVG.

    Raises:
        ValueError: it is no such path; says where.

    Source: Scalable Vector Graphics 1.1, section 8.3.

    >>> read_svg_path("M1,2h3v-1z")[0].tolist()
    [[1.0, 2.0], [4.0, 2.0], [4.0, 1.0], [1.0, 2.0]]
    """
    if not isinstance(pieces, int) or pieces < 1:
        raise ValueError(f"read_svg_path: pieces {pieces!r} came; a whole number from 1 up fits")
    paths, at, control, before = [], 0j, 0j, ""     # a path: (its beginning, its segments, each a tuple of points)
    for kind, origin, numbers in _commands(text):
        origin = at if origin else 0j
        if kind == "M":
            at = origin + complex(*numbers)
            paths.append((at, []))
        elif kind == "Z":
            paths[-1][1].append((paths[-1][0],))
            at = paths[-1][0]
        else:
            if before == "Z":                                           # what follows begins where the closed path did
                paths.append((at, []))
            if kind in "HV":
                points = [complex(origin.real + numbers[0], at.imag) if kind == "H" else
                          complex(at.real, origin.imag + numbers[0])]
            else:
                points = [origin + complex(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
            if kind in LIKE:                        # mirrors the last control point, or begins with the pen's place
                points.insert(0, 2 * at - control if before and before in LIKE[kind] else at)
            if kind in "QT":                                            # the same curve as a cubic one
                control = points[0]
                points = [(at + 2 * control) / 3, (points[1] + 2 * control) / 3, points[1]]
            elif kind in "CS":
                control = points[1]
            paths[-1][1].append((at, *points) if len(points) > 1 else tuple(points))
            at = points[-1]
        before = kind
    return [_polyline(start, segments, pieces) for start, segments in paths]


def _polyline(start, segments, pieces):
    curves = np.array([points for points in segments if len(points) > 1], complex).reshape(-1, 4)
    drawn = iter(curves @ _bernstein(pieces))
    parts = [np.array([start])] + [next(drawn) if len(points) > 1 else np.array(points) for points in segments]
    return np.concatenate(parts).view(np.float64).reshape(-1, 2)


@cache
def _bernstein(pieces):
    t = np.arange(1, pieces + 1) / pieces
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3])


def _commands(text):
    """Yield (kind, whether relative, numbers) of each command, and of each time that its letter is left out."""
    words, at = _words(text), 0
    if not words or words[0] not in ("M", "m"):
        raise ValueError(f"a path that begins with {text[:20]!r} came; M fits first")
    while at < len(words):
        letter, first = words[at], True
        kind = letter.upper() if isinstance(letter, str) else None
        if kind not in NUMBERS:
            raise ValueError(f"{letter!r} came; one of M L H V C S Q T Z fits here")
        wanted, at = NUMBERS[kind], at + 1
        while first or wanted and at < len(words) and isinstance(words[at], float):
            numbers = words[at:at + wanted]
            if len(numbers) < wanted or any(isinstance(word, str) for word in numbers):
                raise ValueError(f"{letter} came with {numbers}; {wanted} numbers fit")
            yield "L" if kind == "M" and not first else kind, letter.islower(), numbers
            at, first = at + wanted, False                              # more pairs after a move are lines


def _words(text):
    words, at, found = [], 0, TOKEN.match(text)
    while found:
        letter, number = found.groups()
        words.append(letter or float(number))
        if number and not abs(words[-1]) <= MOST:
            raise ValueError(f"{number[:20]} came; numbers up to {MOST:g} fit")
        at = found.end()
        found = TOKEN.match(text, at)
    rest = text[at:].strip(" \t\r\n\f")
    if rest:
        raise ValueError(f"{rest[:20].strip()!r} came at {at}; a number or a command fits")
    return words
