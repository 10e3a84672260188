"""Reads CASIA-HWDB's .gnt files: Chinese characters as grey pictures, one file per writer."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_integers
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.listing import listed_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spconv_cy.types import Array, PathLike

HEAD = struct.Struct("<I2sHH")                      # bytes of the record, tag, width, height
WRITER = re.compile("[0-9]{1,18}")


@known_arguments
@dataclass(frozen=True, eq=False, repr=False)
class LabelledPictures:
    """Grey pictures of different sizes with labels.

    Attributes:
        pictures: list of (h, w) uint8; 255 is the white of the paper.
        labels: (n,) int64, indices into classes.
        classes: tuple of the names of the classes.
        writers: (n,) int64, -1 where unknown.
    """

    pictures: list[Array]
    labels: Array
    classes: tuple[str, ...]
    writers: Array

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        return f"LabelledPictures({len(self)} pictures, {len(self.classes)} classes)"

    def square(self, size: int) -> Array:
        """Return (n, size, size) uint8 for PictureBatches: each picture fitted into the square, ink 255, paper 0.

        Width and height keep their ratio. A pixel is the mean of the area that it covers.

        >>> LabelledPictures([np.array([[0, 255]], np.uint8)], np.zeros(1, int), ("a",), np.zeros(1, int)).square(2)
        array([[[255,   0],
                [  0,   0]]], dtype=uint8)
        """
        checked_integers("LabelledPictures.square", 1, 4096, size=size)
        found = np.zeros((len(self), size, size), np.uint8)
        for fitted, picture in zip(found, self.pictures, strict=True):
            if picture.size:
                sides = [max(1, round(size * side / max(picture.shape))) for side in picture.shape]
                ink = _means(sides[0], picture.shape[0]) @ (255.0 - picture) @ _means(sides[1], picture.shape[1]).T
                top, left = ((size - side) // 2 for side in sides)
                fitted[top:top + sides[0], left:left + sides[1]] = np.round(ink)
        return found


@known_arguments
def read_gnt(paths: PathLike | Iterable[PathLike]) -> LabelledPictures:
    """Read .gnt files.

    Args:
        paths: a file, a folder of *.gnt files, or a list of files.

    Returns:
        LabelledPictures; the classes are the characters that occur, sorted by their GB code; writers are the numbers in
        the files' names (001-f.gnt: 1), -1 for other names.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder holds no .gnt file.
        FileError: a record is damaged; the message names the file and the byte at which the record begins.

    Source: CASIA, Institute of Automation of the Chinese Academy of Sciences, HWDB1.0 to 1.2.
    """
    pictures: list[Array] = []
    tags: list[bytes] = []
    writers: list[int] = []
    for path in listed_files("read_gnt", paths, ".gnt"):
        number = WRITER.match(path.stem)
        for tag, picture in _records(path, path.read_bytes()):
            pictures.append(picture)
            tags.append(tag)
            writers.append(int(number[0]) if number else -1)
    classes = sorted(set(tags))
    places = {tag: i for i, tag in enumerate(classes)}
    return LabelledPictures(pictures, np.array([places[tag] for tag in tags], np.int64), tuple(map(_name, classes)),
                            np.array(writers, np.int64))


def _records(path: Path, content: bytes) -> Iterator[tuple[bytes, Array]]:
    at = 0
    while at < len(content):
        place, left = f"{path}, record at byte {at}", len(content) - at
        if left < HEAD.size:
            raise FileError(expected(place, f"{HEAD.size} bytes or more", f"{left} at the end",
                                     "the file is cut short"))
        size, tag, width, height = HEAD.unpack_from(content, at)
        if size != HEAD.size + width * height or size > left:
            raise FileError(expected(place, f"a size of {HEAD.size} bytes and a byte for each of {width} x {height} "
                                     f"pixels, at most the {left} left", size,
                                     "the file is cut short, damaged or in another format"))
        yield tag, np.frombuffer(content, np.uint8, width * height, at + HEAD.size).reshape(height, width)
        at += size


def _name(tag: bytes) -> str:
    try:
        return tag.rstrip(b"\0").decode("gb18030") or f"tag 0x{tag.hex()}"
    except UnicodeDecodeError:
        return f"tag 0x{tag.hex()}"


def _means(n: int, of: int) -> Array:
    """Return the matrix (n, of) that averages `of` pixels over n equal parts of their length."""
    ends = np.arange(n + 1) * of / n
    pixels = np.arange(of)
    shares = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    return np.maximum(shares, 0) * n / of
