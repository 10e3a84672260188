"""What a request to the handwriting page may hold: JSON of limited size, strokes, signs with their drawings."""

from __future__ import annotations

import json
from typing import Any

from spconv_cy.errors import expected

MOST_BYTES, MOST_STROKES, MOST_POINTS = 2**20, 1000, 20_000
LEAST_SIGNS, MOST_SIGNS, LEAST_DRAWINGS, MOST_DRAWINGS, LONGEST_NAME = 2, 30, 2, 50, 40
TOO_LONG = expected("page", f"at most {MOST_BYTES} bytes", "more", "send fewer points")


class Refused(Exception):
    """A request that is answered with an error: (HTTP status, text)."""


def loaded(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a request's body.

    Raises:
        Refused: another form, or numbers that are not finite.
    """
    try:
        asked = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, expected("page", "a body in JSON", f"{error!s:.100}")) from error
    return asked if isinstance(asked, dict) else {}


def checked_strokes(strokes: Any) -> list[list[list[float]]]:
    """Return strokes, [[[x, y], ...], ...].

    Raises:
        Refused: another form, or too many strokes or points.
    """
    if not isinstance(strokes, list) or not all(isinstance(stroke, list) and stroke for stroke in strokes):
        raise Refused(400, expected("page", 'a body {"strokes": [[[x, y], ...], ...]}, with at least one point in each '
                                    "stroke", "another one"))
    if len(strokes) > MOST_STROKES:
        raise Refused(413, expected("page", f"at most {MOST_STROKES} strokes", len(strokes)))
    points = [point for stroke in strokes for point in stroke]
    if len(points) > MOST_POINTS:
        raise Refused(413, expected("page", f"at most {MOST_POINTS} points", len(points)))
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_coordinate, point)):
            raise Refused(400, expected("page", "points [x, y], two numbers from -1e6 to 1e6", f"{point!r:.60}"))
    return strokes


def checked_signs(signs: Any) -> dict[str, list[list[list[list[float]]]]]:
    """Return the drawings of each sign by its name, of [{"label": name, "drawings": [strokes, ...]}, ...].

    Raises:
        Refused: another form; too few or too many signs, drawings or points.
    """
    if not isinstance(signs, list) or not all(isinstance(sign, dict) and isinstance(sign.get("drawings"), list)
                                              for sign in signs):
        raise Refused(400, expected("page", 'a body {"signs": [{"label": name, "drawings": [strokes, ...]}, ...]}',
                                    "another one"))
    names = [sign.get("label") for sign in signs]
    if not all(isinstance(name, str) and 0 < len(name.strip()) <= LONGEST_NAME for name in names) or (
            len(set(names)) < len(names)):
        raise Refused(400, expected("page", f"a different name of 1 to {LONGEST_NAME} characters for each sign",
                                    f"{names!r:.80}"))
    if not LEAST_SIGNS <= len(signs) <= MOST_SIGNS:
        raise Refused(400, expected("page", f"{LEAST_SIGNS} to {MOST_SIGNS} signs", len(signs)))
    for name, sign in zip(names, signs, strict=True):
        if not LEAST_DRAWINGS <= len(sign["drawings"]) <= MOST_DRAWINGS:
            raise Refused(400, expected("page", f"{LEAST_DRAWINGS} to {MOST_DRAWINGS} drawings of {name!r}",
                                        len(sign["drawings"])))
        if not all(checked_strokes(drawing) for drawing in sign["drawings"]):
            raise Refused(400, expected("page", f"at least one stroke in each drawing of {name!r}", "none"))
    checked_strokes([stroke for sign in signs for drawing in sign["drawings"] for stroke in drawing])
    return {name: sign["drawings"] for name, sign in zip(names, signs, strict=True)}


def _is_coordinate(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e6 <= value <= 1e6


def _refuse_constant(name: str) -> None:
    raise ValueError(expected("page", "finite numbers", name))
