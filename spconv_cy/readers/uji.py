"""Reads the UJI pen characters, versions 1 and 2: letters, digits and other signs in one text file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path
from spconv_cy.data.handwriting import Gathering, Handwriting, whole_numbers
from spconv_cy.data.text import read_lines, words_of
from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from spconv_cy.types import PathLike

    Stroke = list[tuple[int, int]]

WRITER = re.compile(r"W([0-9]{1,6})", re.I)


@known_arguments
def read_uji(path: PathLike) -> Handwriting:
    """Read characters: `WORD character id`, `NUMSTROKES n` and n times `POINTS k # x1 y1 ...`.

    Lines that begin with // are comments. The classes are the characters that occur, sorted. The writer is the number
    after W in the id. If every id begins with trn or tst (version 2), these are the split.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged; the message names the line.

    Source: D. Llorens et al., The UJIpenchars database, LREC 2008; UCI Machine Learning Repository.
    """
    checked_path("read_uji", path)
    characters, place = _Characters(), f"{path}"
    for n, line in enumerate(read_lines(path, "utf-8"), 1):
        words, place = words_of(line), f"{path}, line {n}"
        if words and not words[0].startswith("//"):
            characters.read(words, line, place)
    characters.end(place)
    found = characters.found
    if not found.counts:
        raise FileError(expected(f"{path}", "a file of UJI pen characters", "no WORD in it"))
    return found.handwriting(sorted(set(found.labels), key=str))


class _Characters:
    """The characters of the lines read so far."""

    def __init__(self) -> None:
        self.found = Gathering()
        self.word: tuple[str, int, bool | None] | None = None            # label, writer, tested
        self.declared: int | None = None                                 # the number of strokes
        self.strokes: list[Stroke] = []

    def read(self, words: list[str], line: str, place: str) -> None:
        """Read a line and its words."""
        if words[0] == "WORD":
            self.end(place)
            self.word, self.declared, self.strokes = _word_of(words, place), None, []
        elif words[0] == "NUMSTROKES" and self.word is not None and self.declared is None and len(words) == 2:
            self.declared = whole_numbers(words[1:], place, "the number of strokes")[0]
            if self.declared < 1:
                raise FileError(expected(place, "1 or more strokes", self.declared))
        elif words[0] == "POINTS" and self.declared is not None:
            self.strokes.append(_points_of(words, place))
        else:
            raise FileError(expected(place, "WORD, then NUMSTROKES, then POINTS", f"{line.strip()[:60]!r}",
                                     "the file is damaged or in another format"))

    def end(self, place: str) -> None:
        """Add the character that ends here, if any."""
        if self.word is None:
            return
        if self.declared is None or self.declared != len(self.strokes):
            raise FileError(expected(place, f"NUMSTROKES of WORD {self.word[0]!r} and as many strokes",
                                     f"{self.declared} and {len(self.strokes)} strokes",
                                     "the file is cut short or damaged"))
        self.found.add(self.strokes, *self.word)


def _word_of(words: list[str], place: str) -> tuple[str, int, bool | None]:
    """Return (character, writer, whether it is in the test part)."""
    if len(words) != 3:
        raise FileError(expected(place, "a character and an id after WORD", f"{len(words) - 1} words"))
    if len(words[1]) > 8:
        raise FileError(expected(place, "a single character as the label", f"{words[1][:30]!r}"))
    writer = WRITER.search(words[2])
    split = {"trn": False, "tst": True}.get(words[2][:3].lower())
    return words[1], int(writer[1]) if writer else -1, split


def _points_of(words: list[str], place: str) -> Stroke:
    if len(words) < 3 or words[2] != "#":
        raise FileError(expected(place, "POINTS k # x1 y1 ...", "no '#' after k"))
    k = whole_numbers(words[1:2], place, "the number of points")[0]
    if k < 1 or len(words) - 3 != 2 * k:
        raise FileError(expected(place, "POINTS k # and 2 k numbers, k from 1 up",
                                 f"k = {k} and {len(words) - 3} numbers", "the file is cut short or damaged"))
    numbers = whole_numbers(words[3:], place, "whole numbers x and y")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
