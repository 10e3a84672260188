"""Reads CASIA-OLHWDB's .pot files: Chinese characters as pen strokes, one file per writer."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.data.handwriting import Gathering, Handwriting
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.listing import listed_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spconv_cy.types import Array, PathLike

LEVEL1 = 3755                                       # GB2312's rows 0xB0 to 0xD7, 94 cells each, without the last 5
HEAD = struct.Struct("<HIH")                        # bytes of the record, tag, strokes
NUMBER = re.compile("[0-9]{1,18}")                  # of a writer


@known_arguments
def read_casia(paths: PathLike | Iterable[PathLike], *, which: str = "level1") -> Handwriting:
    """Read .pot files.

    Args:
        paths: a file, a folder of *.pot files, or a list of files.
        which: "level1": only the 3755 common characters; others (symbols, rare characters) are skipped and counted in
            `n_skipped`. "all": every character; the classes are those that occur.

    Returns:
        Handwriting; writers are the numbers in the files' names (1001.pot: 1001) of up to 18 digits, -1 for other
        names.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder holds no .pot file.
        FileError: a record is damaged; the message names the file and the byte at which the record begins.

    Source: CASIA, Institute of Automation of the Chinese Academy of Sciences, OLHWDB1.0 to 1.2.
    """
    if which not in ("level1", "all"):
        raise ValueError(expected("read_casia", "which to be 'level1' or 'all'", f"{which!r}"))
    found, n_skipped = Gathering(), 0
    tags: list[int] = []
    for path in listed_files("read_casia", paths, ".pot"):
        content = path.read_bytes()
        writer = int(path.stem) if NUMBER.fullmatch(path.stem) else -1
        if not content:
            raise FileError(expected(f"{path}", "one or more records", "an empty file", "fetch it again"))
        at = 0
        while at < len(content):
            tag, strokes, at = _read_record(path, content, at)
            if which == "all" or level1_class(tag) is not None:
                found.add(strokes, _name(tag), writer)
                tags.append(tag)
            else:
                n_skipped += 1
    classes = [tag_of_class(i) for i in range(LEVEL1)] if which == "level1" else sorted(set(tags))
    return found.handwriting([_name(tag) for tag in classes], n_skipped)


def level1_class(tag: int) -> int | None:
    """Return the class, 0 to 3754, of a GB code such as 0xB0A1, or None if it is not a level-1 character.

    >>> level1_class(0xB0A1), level1_class(0xD7F9), level1_class(0xD7FA), level1_class(0xA1A1)
    (0, 3754, None, None)
    """
    row, cell = (tag >> 8) - 0xB0, (tag & 0xFF) - 0xA1
    inside = row >= 0 and 0 <= cell < 94 and row * 94 + cell < LEVEL1
    return row * 94 + cell if inside else None


def tag_of_class(i: int) -> int:
    """Return the GB code of a class.

    >>> hex(tag_of_class(0)), hex(tag_of_class(3754))
    ('0xb0a1', '0xd7f9')
    """
    return (0xB0 + i // 94) << 8 | 0xA1 + i % 94


def _name(tag: int) -> str:
    try:
        return tag.to_bytes(2, "big").lstrip(b"\0").decode("gb2312") or f"tag {tag:#06x}"
    except UnicodeDecodeError:
        return f"tag {tag:#06x}"


def _read_record(path: Path, content: bytes, at: int) -> tuple[int, list[Array], int]:
    """Return the tag and the strokes of the record at byte `at`, and the byte after it."""
    place, left = f"{path}, record at byte {at}", len(content) - at
    if left < HEAD.size:
        raise FileError(expected(place, "12 bytes or more", f"{left} at the end", "the file is cut short"))
    size, tag, n_strokes = HEAD.unpack_from(content, at)
    end = at + size
    if size < 12 or size % 4 or end > len(content):
        raise FileError(expected(place, f"a size that is a multiple of 4, from 12 to the {left} bytes left", size,
                                 "the file is cut short, damaged or in another format"))
    if tag > 0xFFFF:
        raise FileError(expected(place, "a tag of two bytes, such as 0x0000b0a1", f"{tag:#010x}",
                                 "the file is damaged or in another format"))
    points = np.frombuffer(content, "<i2", (size - HEAD.size) // 2, at + HEAD.size).reshape(-1, 2)
    return tag, _strokes_of(points, n_strokes, place), end


def _strokes_of(points: Array, n_strokes: int, place: str) -> list[Array]:
    """Return the strokes of a record's points: each ends with (-1, 0), and the last is followed by (-1, -1)."""
    ends = np.flatnonzero((points == (-1, 0)).all(1))
    closing = (points == (-1, -1)).all(1)
    if not closing[-1] or closing[:-1].any():
        raise FileError(expected(place, "the end of the character, (-1, -1), once, as the last point",
                                 f"it {closing.sum()} times", "the file is damaged"))
    if len(ends) != n_strokes or (ends[-1] if len(ends) else -1) != len(points) - 2:
        raise FileError(expected(place, f"{n_strokes} strokes and no points after the last, as declared",
                                 f"{len(ends)} ends of strokes in {len(points) - 1} points", "the file is damaged"))
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    if np.any(starts == ends):
        raise FileError(expected(place, "one or more points in each stroke",
                                 f"none in stroke {np.flatnonzero(starts == ends)[0]}"))
    return [points[start:stop] for start, stop in zip(starts, ends, strict=True)]
