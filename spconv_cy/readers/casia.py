"""Reads CASIA-OLHWDB's .pot files: Chinese characters as pen strokes, one file a writer."""

import re
import struct
from pathlib import Path

import numpy as np

from spconv_cy.data.handwriting import Gathering
from spconv_cy.errors import FileError

LEVEL1 = 3755                                       # GB2312's rows 0xB0 to 0xD7, 94 cells each, less the last 5
HEAD = struct.Struct("<HIH")                        # bytes of the record, tag, strokes
NUMBER = re.compile("[0-9]{1,18}")                  # of a writer


def read_casia(paths, *, which="level1"):
    """Read .pot files.

    Args:
        paths: a file, a folder of *.pot, or a list of files.
        which: "level1": the 3755 common characters, others (symbols, rare characters) counted in `left_out`; "all":
            every character, classes are those that came.

    Returns:
        Handwriting; writers are the numbers in the files' names (1001.pot: 1001), of up to 18 digits, -1 where there
        is none.

    Raises:
        FileNotFoundError: there is no such file or folder, or no .pot in it.
        FileError: a record does not add up; says the file and the byte at which it begins.

    Source: CASIA, Institute of Automation of the Chinese Academy of Sciences, OLHWDB1.0 to 1.2.
    """
    if which not in ("level1", "all"):
        raise ValueError(f"read_casia: which {which!r} came; 'level1' or 'all' fits")
    found, left_out = Gathering(), 0
    for path in _files(paths):
        content = path.read_bytes()
        writer = int(path.stem) if NUMBER.fullmatch(path.stem) else -1
        at = 0
        if not content:
            raise FileError(f"{path}: the file is empty; one record at least fits: fetch it again")
        while at < len(content):
            tag, strokes, at = _read_record(path, content, at)
            if which == "all" or level1_class(tag) is not None:
                found.add(strokes, tag, writer)
            else:
                left_out += 1
    tags = [tag_of_class(i) for i in range(LEVEL1)] if which == "level1" else sorted(set(found.labels))
    names = [_name(tag) for tag in tags]
    found.labels = [_name(tag) for tag in found.labels]
    return found.handwriting(names, left_out)


def level1_class(tag):
    """Return the class 0 to 3754 of a GB code such as 0xB0A1, or None where it is none of the level-1 characters.

    >>> level1_class(0xB0A1), level1_class(0xD7F9), level1_class(0xD7FA), level1_class(0xA1A1)
    (0, 3754, None, None)
    """
    row, cell = (tag >> 8) - 0xB0, (tag & 0xFF) - 0xA1
    inside = row >= 0 and 0 <= cell < 94 and row * 94 + cell < LEVEL1
    return row * 94 + cell if inside else None


def tag_of_class(i):
    """Return the GB code of a class.

    >>> hex(tag_of_class(0)), hex(tag_of_class(3754))
    ('0xb0a1', '0xd7f9')
    """
    return (0xB0 + i // 94) << 8 | 0xA1 + i % 94


def _name(tag):
    try:
        return tag.to_bytes(2, "big").lstrip(b"\0").decode("gb2312") or f"tag {tag:#06x}"
    except UnicodeDecodeError:
        return f"tag {tag:#06x}"


def _files(paths):
    if isinstance(paths, (str, Path)):
        folder = Path(paths)
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".pot") if folder.is_dir() else [folder]
        if not paths:
            raise FileNotFoundError(f"{folder}: no .pot file is in it")
    return [Path(path) for path in paths]


def _read_record(path, content, at):
    place = f"{path}, record at byte {at}"
    if len(content) - at < HEAD.size:
        raise FileError(f"{place}: {len(content) - at} bytes are left; a record has 12 at least: the file is cut short")
    size, tag, n_strokes = HEAD.unpack_from(content, at)
    end = at + size
    if size < 12 or size % 4 or end > len(content):
        raise FileError(f"{place}: its size is {size} and {len(content) - at} bytes are left; a multiple of 4 from 12 "
                        "up that is there fits: the file is cut short, damaged or another format")
    if tag > 0xFFFF:
        raise FileError(f"{place}: expected a tag of two bytes, such as 0x0000b0a1, got {tag:#010x}; the file is "
                        "damaged or another format")
    points = np.frombuffer(content, "<i2", (size - HEAD.size) // 2, at + HEAD.size).reshape(-1, 2)
    ends = np.flatnonzero((points == (-1, 0)).all(1))
    closing = (points == (-1, -1)).all(1)
    if not closing[-1] or closing[:-1].any():
        raise FileError(f"{place}: the end of the character, (-1, -1), stands in {closing.sum()} places; at its end "
                        "alone fits: the file is damaged")
    if len(ends) != n_strokes or (ends[-1] if len(ends) else -1) != len(points) - 2:
        raise FileError(f"{place}: its head tells {n_strokes} strokes, {len(ends)} ends of strokes came, or points "
                        "after the last; the file is damaged")
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    if np.any(starts == ends):
        raise FileError(f"{place}: stroke {np.flatnonzero(starts == ends)[0]} has no points; one or more fit")
    return tag, [points[start:stop] for start, stop in zip(starts, ends, strict=True)], end
