"""Reads the characters of npm's hanzi-writer-data, one JSON file each, from its .tgz or from a folder."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path
from spconv_cy.data.handwriting import Gathering, Handwriting
from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spconv_cy.types import Array, PathLike

NAME = re.compile(r"(?:.*/)?(.)\.json", re.S)
MOST, MOST_OTHER = 2**20, 2**28                     # bytes of a character's file, and of others (all.json: 31 MB)
MOST_NUMBER = 1e6                                   # of a coordinate
TOP = 900                                           # y of the upper edge; y points up in the files
DAMAGED = "it is damaged: fetch it again"


@known_arguments
def read_hanzi_writer(path: PathLike) -> Handwriting:
    """Read hanzi-writer-data: the centre lines of the strokes of 9,574 Chinese characters in a font of regular script.

    A stroke is a short list of points ("medians") in the order and direction of the pen. The outlines are only
    counted: there must be as many as medians. y points up in the files and down in the result.

    Args:
        path: the package as `npm pack` fetches it, or a folder with its JSON files.

    Returns:
        Handwriting: classes are the characters in the order of their code points, one drawing a class; writers -1.

    Raises:
        FileNotFoundError: there is no such file or folder.
        FileError: there is no such file in it, two of one character, or a damaged one; the message names it.

    Source: Make Me a Hanzi, from fonts of Arphic Technology (Arphic Public License); npm hanzi-writer-data.
    """
    checked_path("read_hanzi_writer", path)
    found: dict[str, list[Array]] = {}
    for character, name, content in _files(Path(path)):
        if character in found or 0xD800 <= ord(character) < 0xE000:      # a name that is not Unicode text
            raise FileError(expected(f"{path}, {name}", "one file for each character", f"{character!r}"
                                     f"{' twice' if character in found else ''}", "keep one file of each"))
        found[character] = _strokes(f"{path}, {name}", content)
    if not found:
        raise FileError(expected(f"{path}", "files named after one character, such as "
                                 "\N{CJK UNIFIED IDEOGRAPH-4E00}.json", "none",
                                 "give the .tgz of npm's hanzi-writer-data or a folder of its files"))
    gathering = Gathering()
    for character in sorted(found):
        gathering.add(found[character], character)
    return gathering.handwriting(sorted(found))


def _files(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield (character, name, content) of each character's file."""
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            if match := NAME.fullmatch(file.name):
                with open(file, "rb") as opened:
                    yield match[1], file.name, opened.read(MOST + 1)
        return
    try:
        with gzip.open(path) as packed:                                  # a stream: nothing is unpacked to disk
            seen = _Seen(packed)
            with tarfile.open(fileobj=cast(IO[bytes], seen), mode="r:") as package:
                for entry in package:
                    if entry.size > MOST_OTHER:
                        raise FileError(expected(f"{path}, {entry.name}", f"at most {MOST_OTHER} bytes", entry.size))
                    match = NAME.fullmatch(entry.name)
                    if match and entry.isfile():
                        yield match[1], entry.name, cast(IO[bytes], package.extractfile(entry)).read(MOST + 1)
            seen.end()
    except (FileNotFoundError, FileError):
        raise
    except Exception as error:                                           # of many classes: from tarfile, gzip and zlib
        raise FileError(expected(f"{path}", "a .tgz file", f"one that cannot be read ({error})",
                                 "fetch it again")) from error


class _Seen:
    """A file that remembers the last bytes read, because tarfile silently treats a damaged header as the end."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self.file, self.last = file, b""
        self.seek, self.tell = file.seek, file.tell

    def read(self, n: int = -1) -> bytes:
        self.last = self.file.read(n)
        return self.last

    def end(self) -> None:
        """Check that the archive ends with an empty block and, by reading on, its checksum."""
        if self.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("an entry is damaged, or the end of the archive is missing")
        while self.read(MOST):
            if self.last.strip(b"\0"):
                raise tarfile.ReadError("more bytes after the end of the archive")


def _strokes(place: str, content: bytes) -> list[Array]:
    if len(content) > MOST:
        raise FileError(expected(place, f"at most {MOST} bytes, for one character", "more"))
    try:
        found = json.loads(content, object_pairs_hook=_once)
        medians, outlines = found["medians"], found.get("strokes")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileError(expected(place, "JSON with medians", f"an error in reading it ({error!r})", DAMAGED)) from error
    if not isinstance(medians, list) or not medians:
        raise FileError(expected(place, "medians as a list of strokes", str(medians)[:30]))
    if isinstance(outlines, list) and len(outlines) != len(medians):
        raise FileError(expected(place, "as many medians as strokes", f"{len(medians)} and {len(outlines)}", DAMAGED))
    return [_stroke(f"{place}: stroke {i}", stroke) for i, stroke in enumerate(medians, 1)]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _stroke(place: str, stroke: Any) -> Array:
    try:
        points = np.array(stroke)
    except (ValueError, OverflowError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or points.dtype.kind not in "iuf" \
            or any(isinstance(number, bool) for point in stroke for number in point):   # numpy converts true to 1
        raise FileError(expected(place, "a list of pairs of numbers", str(stroke)[:30]))
    if not abs(points).max() <= MOST_NUMBER:
        raise FileError(expected(place, f"numbers up to {MOST_NUMBER:g}", abs(points).max()))
    moved: Array = points * (1, -1) + (0, TOP)
    return moved
