"""Reads the characters of npm's hanzi-writer-data, one JSON file each, from its .tgz or from a folder."""

import gzip
import json
import re
import tarfile
from pathlib import Path

import numpy as np

from spconv_cy.data.handwriting import Gathering
from spconv_cy.errors import FileError

NAME = re.compile(r"(?:.*/)?(.)\.json", re.S)
MOST, MOST_OTHER = 2**20, 2**28                     # bytes of a file, and of one that is passed over (all.json: 31 MB)
MOST_NUMBER = 1e6                                   # of a coordinate
TOP = 900                                           # y of the upper edge; y points up in the files


def read_hanzi_writer(path):
    """Read hanzi-writer-data: the middle lines of the strokes of 9,574 Chinese characters in a font of regular script.

    A stroke is a short list of points ("medians") in the order and way of the pen; of the outlines only the number is
    read, which is the medians'. y points up in the files and down in what is returned.

    Args:
        path: the package as `npm pack` brings it, or a folder with its JSON files.

    Returns:
        Handwriting: classes are the characters in the order of their code points, one drawing a class; writers -1.

    Raises:
        FileNotFoundError: there is no such file or folder.
        FileError: it holds no such file, two of a character, or one is damaged; says which.

    Source: Make Me a Hanzi, from fonts of Arphic Technology (Arphic Public License); npm hanzi-writer-data.
    """
    found = {}
    for name, content in _files(Path(path)):
        character = NAME.fullmatch(name)[1]
        if character in found or 0xD800 <= ord(character) < 0xE000:      # a name that was no text
            raise FileError(f"{path}, {name}: expected each character once, got {character!r} "
                            f"{'again' if character in found else 'as one'}; keep one file of each")
        found[character] = _strokes(f"{path}, {name}", content)
    if not found:
        raise FileError(f"{path}: no file named after one character, such as \N{CJK UNIFIED IDEOGRAPH-4E00}.json, "
                        "came; the .tgz of npm's hanzi-writer-data or a folder of its files fits")
    gathering = Gathering()
    for character in sorted(found):
        gathering.add(found[character], character)
    return gathering.handwriting(sorted(found))


def _files(path):
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            if NAME.fullmatch(file.name):
                with open(file, "rb") as opened:
                    yield file.name, opened.read(MOST + 1)
        return
    try:
        with gzip.open(path) as file:                                   # read as it comes; nothing is unpacked to disk
            seen = _Seen(file)
            with tarfile.open(fileobj=seen, mode="r:") as package:
                for entry in package:
                    if entry.size > MOST_OTHER:
                        raise FileError(f"{path}, {entry.name}: {entry.size} bytes came; at most {MOST_OTHER} fit")
                    if entry.isfile() and NAME.fullmatch(entry.name):
                        yield entry.name, package.extractfile(entry).read(MOST + 1)
            seen.end()
    except (FileNotFoundError, FileError):
        raise
    except Exception as error:                                          # tarfile's, gzip's and zlib's own are many
        raise FileError(f"{path}: cannot be read ({error}); fetch it again") from error


class _Seen:
    """A file that remembers what was read last: tarfile takes a damaged heading inside for the end, silently."""

    def __init__(self, file):
        self.file, self.last = file, b""
        self.seek, self.tell = file.seek, file.tell

    def read(self, n=-1):
        self.last = self.file.read(n)
        return self.last

    def end(self):
        """Check that the archive ended as archives do, and, by its checksum, that all of it is what was packed."""
        if self.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("an entry is damaged, or the end of the archive is missing")
        while self.read(MOST):
            if self.last.strip(b"\0"):
                raise tarfile.ReadError("something follows the end of the archive")


def _strokes(place, content):
    if len(content) > MOST:
        raise FileError(f"{place}: more than {MOST} bytes came; one character fits")
    try:
        found = json.loads(content, object_pairs_hook=_once)
        medians, outlines = found["medians"], found.get("strokes")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileError(f"{place}: no JSON with medians ({error!r}); it is damaged: fetch it again") from error
    if not isinstance(medians, list) or not medians:
        raise FileError(f"{place}: medians {str(medians)[:30]} came; a list of strokes fits")
    if isinstance(outlines, list) and len(outlines) != len(medians):
        raise FileError(f"{place}: expected as many medians as strokes, got {len(medians)} and {len(outlines)}; it is "
                        "damaged: fetch it again")
    return [_stroke(f"{place}: stroke {i}", stroke) for i, stroke in enumerate(medians, 1)]


def _once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in one object")
    return found


def _stroke(place, stroke):
    try:
        points = np.array(stroke)
    except (ValueError, OverflowError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or points.dtype.kind not in "iuf":
        raise FileError(f"{place} {str(stroke)[:30]} came; a list of pairs of numbers fits")
    if any(isinstance(number, bool) for point in stroke for number in point):            # numpy takes true for 1
        raise FileError(f"{place} {str(stroke)[:30]} came; a list of pairs of numbers fits")
    if not abs(points).max() <= MOST_NUMBER:
        raise FileError(f"{place}: numbers up to {abs(points).max()} came; up to {MOST_NUMBER:g} fit")
    return points * (1, -1) + (0, TOP)
