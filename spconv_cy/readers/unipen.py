"""Reads UCI's pen digits as they were recorded: pendigits-orig.tra and .tes, in UNIPEN's format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path
from spconv_cy.data.handwriting import Gathering, Handwriting, whole_numbers
from spconv_cy.data.text import read_lines, words_of
from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from spconv_cy.types import PathLike

    Stroke = list[tuple[int, int]]

SKIPPED = frozenset(f".{word}" for word in """
    VERSION DATA_SOURCE DATA_ID DATA_CONTACT DATA_INFO SETUP PAD HIERARCHY RESERVED
    ALPHABET ALPHABET_FREQ LEXICON LEXICON_SOURCE LEXICON_ID LEXICON_CONTACT LEXICON_INFO LEXICON_FREQ
    X_DIM Y_DIM H_LINE V_LINE Z_POINTS_PER_INCH Z_POINTS_PER_MM POINTS_PER_GRAM POINTS_PER_SECOND
    DATE STYLE WRITER_ID COUNTRY HAND AGE SEX SKILL WRITER_INFO SEGMENT START_SET START_BOX DT
    REC_SOURCE REC_ID REC_CONTACT REC_INFO IMPLEMENTATION TRAINING_SET TEST_SET ADAPT_SET LEXICON_SET
    REC_TIME REC_LABELS REC_SCORES""".split())
SCALES = (".X_POINTS_PER_INCH", ".Y_POINTS_PER_INCH", ".X_POINTS_PER_MM", ".Y_POINTS_PER_MM")


@known_arguments
def read_unipen(path: PathLike, *, tested: bool | None = None) -> Handwriting:
    """Read a file of pen digits: `.COMMENT digit` begins one, points stand between `.PEN_DOWN` and `.PEN_UP`.

    A point is x and y, or the channels that `.COORD` names, of which X and Y are used. y points up in the file and
    down in the result. While the pen is up, UNIPEN's keywords about the data are skipped, and so are keywords that
    `.KEYWORD` declares, and lines that begin with no keyword. A comment that is not a number ends the digit before it.

    Args:
        path: the file.
        tested: True if all digits are for testing, False if all are for training, None if there is no split.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged, or declares something that this reader cannot read: a keyword that is not
            UNIPEN's, an `.INCLUDE` of another file, channels without X or Y, or different scales along x and y. The
            message names the line.

    Source: E. Alpaydin, F. Alimoglu 1996, doi:10.24432/C5MG6K; I. Guyon et al., UNIPEN, 1994.
    """
    checked_path("read_unipen", path)
    digits, place = _Digits(tested), f"{path}"
    for line, text in enumerate(read_lines(path, "utf-8"), 1):
        words, place = words_of(text), f"{path}, line {line}"
        if words:
            digits.read(words, place)
    if digits.stroke is not None:
        raise FileError(expected(place, ".PEN_UP", "the end of the file", "it is cut short: fetch it again"))
    digits.end(place)
    if not digits.found.counts:
        raise FileError(expected(f"{path}", "a UNIPEN file such as pendigits-orig.tra", "no .COMMENT with a digit"))
    return digits.found.handwriting([str(n) for n in range(10)])


class _Digits:
    """The digits of the lines read so far."""

    def __init__(self, tested: bool | None) -> None:
        self.tested, self.found, self.header = tested, Gathering(), _Header()
        self.digit: str | None = None                                    # None: no digit begun
        self.strokes: list[Stroke] = []
        self.stroke: Stroke | None = None                                # None: the pen is up

    def read(self, words: list[str], place: str) -> None:
        """Read the words of a line."""
        word = words[0]
        if word == ".PEN_UP":
            _check_stroke(self.stroke, place)
            self.stroke = None
        elif self.stroke is not None:
            _add_points(self.stroke, words, self.header, place)
        elif word == ".COMMENT":
            self.end(place)
            self.digit, self.strokes = _digit_of(words[1:2], place), []
        elif word == ".PEN_DOWN":
            if self.digit is None:
                raise FileError(expected(place, "a .COMMENT with the digit before the points", ".PEN_DOWN",
                                         "the file is damaged"))
            self.stroke = []
            self.strokes.append(self.stroke)
            _add_points(self.stroke, words[1:], self.header, place)
        elif word.startswith("."):
            self.header.read(words, place)

    def end(self, place: str) -> None:
        """Add the digit that ends here, if any."""
        if self.digit is not None:
            if not self.strokes:
                raise FileError(expected(place, "one or more strokes in a digit", "none"))
            self.found.add(self.strokes, self.digit, -1, self.tested)


class _Header:
    """The declarations about the points."""

    def __init__(self) -> None:
        self.channels, self.known = ["X", "Y"], set[str]()
        self.scales: dict[str, list[str]] = {}

    def read(self, words: list[str], place: str) -> None:
        """Store a declaration, skip it, or raise FileError."""
        word, *rest = words
        if word == ".COORD":
            if not (len(rest) == len(set(rest)) and {"X", "Y"} <= set(rest)):
                raise FileError(expected(place, "channels with X and Y, each once", f"{' '.join(words)[:60]!r}"))
            self.channels = rest
        elif word in SCALES:
            self.scales[word] = rest
            other = self.scales.get(word.replace(".X", ".Y") if word.startswith(".X") else word.replace(".Y", ".X"))
            if other is not None and other != rest:
                raise FileError(expected(place, "the same scale along x and y", f"{' '.join(rest)[:30]!r} and "
                                         f"{' '.join(other)[:30]!r}", "convert the points to one scale"))
        elif word == ".INCLUDE":
            raise FileError(expected(place, "all data in one file", f"{' '.join(words)[:60]!r}",
                                     "replace the line by the content of that file"))
        elif word == ".KEYWORD":
            self.known.update((word if word.startswith(".") else f".{word}") for word in rest[:1])
        elif word not in SKIPPED and word not in self.known:
            raise FileError(expected(place, "a keyword of UNIPEN about the data", f"{word[:30]!r}",
                                     "declare it by .KEYWORD, or remove it"))


def _digit_of(words: list[str], place: str) -> str | None:
    if not words or not (words[0].isascii() and words[0].lstrip("+-").isdigit()):
        return None
    if len(words[0]) != 1:
        raise FileError(expected(place, "a digit from 0 to 9", f"{words[0][:30]!r}"))
    return words[0]


def _add_points(stroke: Stroke, words: list[str], header: _Header, place: str) -> None:
    if words and words[0].startswith("."):
        raise FileError(expected(place, "points, or .PEN_UP after the last", f"{words[0][:30]!r}"))
    channels = header.channels
    if len(words) % len(channels):
        raise FileError(expected(place, f"{' '.join(channels)} of each point", f"{len(words)} numbers"))
    numbers = whole_numbers(words, place, "whole numbers while the pen is down")
    columns = (numbers[channels.index(axis)::len(channels)] for axis in "XY")
    stroke += [(x, -y) for x, y in zip(*columns, strict=True)]


def _check_stroke(stroke: Stroke | None, place: str) -> None:
    if stroke is None:
        raise FileError(expected(place, ".PEN_DOWN before .PEN_UP", ".PEN_UP while the pen is up"))
    if not stroke:
        raise FileError(expected(place, "one or more points in a stroke", "none"))
