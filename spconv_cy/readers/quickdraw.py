"""Reads drawings of Quick, Draw!: .ndjson, simplified or raw, and the binary .bin."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, checked_integers
from spconv_cy.data.handwriting import Gathering, Handwriting
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.listing import listed_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spconv_cy.types import Array, PathLike

HEAD = struct.Struct("<Q2sbIH")                     # key, country, recognized, time, strokes
PREFIXES = ("full_simplified_", "full_raw_", "full_binary_")             # of the names of the published files
MOST_LINE = 2**24                                   # bytes of a drawing
MOST = 2**31 - 1


@known_arguments
def read_quickdraw(paths: PathLike | Iterable[PathLike], *, most: int | None = None,
                   recognized: bool = False) -> Handwriting:
    """Read drawings of .ndjson and .bin files; the label is the drawing's word, and of .bin the file's name.

    Args:
        paths: a file, a folder of *.ndjson and *.bin files, or a list of files.
        most: at most so many drawings of each file, the first; None: all.
        recognized: True: only drawings that the game recognised; the others are counted in `n_skipped`.

    Returns:
        Handwriting, x to the right and y down, with `times` if all files are raw.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder holds no such file.
        FileError: a drawing is damaged; the message names the file and the line or byte.

    Source: the Quick, Draw! Dataset of Google, github.com/googlecreativelab/quickdraw-dataset, CC BY 4.0.
    """
    checked_flags("read_quickdraw", recognized=recognized)
    if most is not None:
        checked_integers("read_quickdraw", 0, MOST, most=most)
    found, n_skipped = Gathering(), 0
    for path in listed_files("read_quickdraw", paths, ".ndjson", ".bin"):
        taken = 0
        for word, known, strokes in (_of_binary if path.suffix.lower() == ".bin" else _of_lines)(path):
            if most is not None and taken >= most:
                break
            if known or not recognized:
                found.add(strokes, word)
                taken += 1
            else:
                n_skipped += 1
    if len({stroke.shape[1] for stroke in found.strokes}) > 1:           # raw drawings beside others: no times
        found.strokes = [stroke[:, :2] for stroke in found.strokes]
    return found.handwriting(sorted(set(found.labels), key=str), n_skipped)


def word_of(path: Path) -> str:
    """Return the word of a published file's name.

    >>> word_of(Path("full_binary_The Eiffel Tower.bin"))
    'The Eiffel Tower'
    """
    for prefix in PREFIXES:
        if path.stem.startswith(prefix):
            return path.stem[len(prefix):]
    return path.stem


def _of_lines(path: Path) -> Iterator[tuple[str, bool, list[Array]]]:
    """Yield (word, recognised, strokes) of each line."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(MOST_LINE + 1):
            number += 1
            place = f"{path}, line {number}"
            if len(line) > MOST_LINE:
                raise FileError(expected(place, f"at most {MOST_LINE} bytes", "more", "the file has another format"))
            line = line.removeprefix(b"\xef\xbb\xbf").strip()
            if line:
                yield _of_object(place, _loaded(place, line), word_of(path))


def _loaded(place: str, line: bytes) -> dict[str, Any]:
    try:
        drawing = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FileError(expected(place, "a drawing in JSON", f"other text ({error!s:.80})",
                                 "the file is damaged, cut short or in another format")) from None
    if not isinstance(drawing, dict) or not isinstance(drawing.get("drawing"), list):
        raise FileError(expected(place, 'an object with "drawing", a list of strokes', f"{line[:40]!r}"))
    return drawing


def _of_object(place: str, drawing: dict[str, Any], name: str) -> tuple[str, bool, list[Array]]:
    strokes = [_stroke(f"{place}: stroke {i}", stroke) for i, stroke in enumerate(drawing["drawing"])]
    word = drawing.get("word", name)
    if not isinstance(word, str):
        raise FileError(expected(place, "a word of text", f"{word!r:.40}"))
    return word, drawing.get("recognized", True) is True, [stroke for stroke in strokes if len(stroke)]


def _stroke(place: str, stroke: Any) -> Array:
    """Return the points (n, 2) or, with times, (n, 3) of [xs, ys] or [xs, ys, times]."""
    fits = isinstance(stroke, list) and 2 <= len(stroke) <= 3 and all(
        isinstance(axis, list) and len(axis) == len(stroke[0]) for axis in stroke) and all(
        type(value) in (int, float) and abs(value) < 2**53 for axis in stroke for value in axis)
    if not fits:
        raise FileError(expected(place, "[[x, ...], [y, ...]], or with the times as a third list, of the same length",
                                 f"{stroke!r:.60}"))
    return np.array(stroke, np.float64).reshape(len(stroke), -1).T


def _of_binary(path: Path) -> Iterator[tuple[str, bool, list[Array]]]:
    """Yield the same of each record."""
    content, at, word = path.read_bytes(), 0, word_of(path)
    while at < len(content):
        begin = at
        try:
            _, _, known, _, n_strokes = HEAD.unpack_from(content, at)
            at += HEAD.size
            strokes = []
            for _ in range(n_strokes):
                n, = struct.unpack_from("<H", content, at)
                at += 2 + 2 * n
                strokes.append(np.frombuffer(content, np.uint8, 2 * n, at - 2 * n).reshape(2, n).T.astype(np.float64))
        except (struct.error, ValueError):
            raise FileError(expected(f"{path}, drawing at byte {begin}", "the strokes that it declares",
                                     "the end of the file", "it is cut short, damaged or in another format")) from None
        if known not in (0, 1):
            raise FileError(expected(f"{path}, drawing at byte {begin}", "0 or 1, whether it was recognised", known,
                                     "the file is damaged or in another format"))
        yield word, bool(known), [stroke for stroke in strokes if len(stroke)]
