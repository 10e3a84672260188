"""Reads UCI's Online Handwritten Assamese Characters: one text file a character, folders W1 to W45 for the writers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path
from spconv_cy.data.handwriting import Gathering, Handwriting, whole_numbers
from spconv_cy.data.text import read_lines, words_of
from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from spconv_cy.types import PathLike

CLASSES = 183
TESTED = (30, 28, 29, 19, 15, 26, 6, 16, 43)        # the test writers of SparseConvNet's split
NAME = re.compile(r"([0-9]+)\.([0-9]+)\.txt", re.I)
CHANNELS = ["X", "Y", "T", "S"]
MOST_WRITER = 10**9


@known_arguments
def read_assamese(folder: PathLike, *, strict: bool = True) -> Handwriting:
    """Read all files M.N.txt (character M from 1 to 183, writer N) below a folder.

    Labels are M - 1, classes the numbers M as text. The split tests on the 9 writers of SparseConvNet's example. Times
    are the column T. Points that repeat the previous point are dropped, and so are strokes without points. A header
    that names the columns must name X Y T S. Other header lines are skipped, and so are lines of words while the pen
    is up.

    Args:
        folder: a path.
        strict: refuse files that end inside a stroke, or whose header declares another number of strokes than they
            hold.

    Raises:
        FileNotFoundError: there is no such folder.
        FileError: the folder holds no such file, or one is damaged; the message names the file and the line.

    Source: UCI Machine Learning Repository, doi:10.24432/C5S317.
    """
    checked_path("read_assamese", folder)
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(expected(f"{folder}", "the folder that holds W1 to W45", "no folder"))
    found = Gathering()
    paths = [(writer, character, path) for path in folder.rglob("*") for character, writer in _numbers(path)]
    for writer, character, path in sorted(paths, key=lambda item: item[:2]):
        if not 1 <= character <= CLASSES:
            raise FileError(expected(f"{path}", f"a character from 1 to {CLASSES}", character))
        if writer > MOST_WRITER:
            raise FileError(expected(f"{path}", "the number of a writer, at most 10^9, after the character's", writer))
        found.add(_Strokes(path, strict).strokes, str(character), writer, writer in TESTED)
    if not paths:
        raise FileError(expected(f"{folder}", "files named M.N.txt", "none", "give the folder that holds W1 to W45"))
    return found.handwriting([str(n) for n in range(1, CLASSES + 1)])


def _numbers(path: Path) -> list[tuple[int, int]]:
    """Return [(character, writer)] of a file's name, [] if it is not M.N.txt."""
    match = NAME.fullmatch(path.name)
    return [(int(match[1]), int(match[2]))] if match else []


class _Strokes:
    """The strokes of one file, lists of points (x, y, t)."""

    def __init__(self, path: Path, strict: bool) -> None:
        self.strokes: list[list[tuple[int, int, int]]] = []
        self.number: int | None = None                                   # the stroke's, in column S; None: a new stroke
        self.declared: int | None = None                                 # the number of strokes in the header
        self.down = self.began = False
        for n, line in enumerate(read_lines(path, "latin-1"), 1):
            self._read(line, n, f"{path}, line {n}")
        if strict and self.down:
            raise FileError(expected(f"{path}", "PEN_UP after the last stroke", "the end of the file",
                                     "it is cut short: fetch it again, or read with strict=False"))
        if not self.strokes:
            raise FileError(expected(f"{path}", "PEN_DOWN and lines X Y T S", "no stroke",
                                     "the file is damaged or in another format"))
        if strict and self.declared is not None and self.declared != len(self.strokes):
            raise FileError(expected(f"{path}", f"{self.declared} strokes, as line 2 declares", len(self.strokes),
                                     "the file is damaged: fetch it again, or read with strict=False"))

    def _read(self, line: str, n: int, place: str) -> None:
        words = words_of(line)
        first = words[0] if words else ""
        if first == "PEN_DOWN":
            self.down = self.began = True
            self.number = None
        elif first == "PEN_UP":
            self.down = False
        elif words and (first[0] in "+-0123456789" and (self.began or len(words) == 4) or self.down):
            self.began = True
            self._add_point(words, line, place)
        elif not self.began and {"X", "Y"} <= set(words) and words != CHANNELS and all(len(w) == 1 for w in words):
            raise FileError(expected(place, f"the columns {' '.join(CHANNELS)}", f"{line.strip()[:60]!r}",
                                     "write the points in that order"))
        elif not self.began and self.declared is None and n == 2:
            self.declared = next((int(word) for word in reversed(words) if word.isascii() and word.isdigit()), None)

    def _add_point(self, words: list[str], line: str, place: str) -> None:
        if len(words) != 4:
            raise FileError(expected(place, "X Y T S, four whole numbers", f"{line.strip()[:60]!r}"))
        x, y, t, s = whole_numbers(words, place, "a point X Y T S of whole numbers")
        if s != self.number:
            self.number = s
            self.strokes.append([])
        stroke = self.strokes[-1]
        if not stroke or stroke[-1][:2] != (x, y):
            stroke.append((x, y, t))
