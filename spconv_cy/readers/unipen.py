"""Reads UCI's pen digits as they were recorded: pendigits-orig.tra and .tes, in UNIPEN's form."""

from spconv_cy.data.handwriting import Gathering, whole_numbers
from spconv_cy.data.text import read_lines, words_of
from spconv_cy.errors import FileError

PASSED_OVER = frozenset(f".{word}" for word in """
    VERSION DATA_SOURCE DATA_ID DATA_CONTACT DATA_INFO SETUP PAD HIERARCHY RESERVED
    ALPHABET ALPHABET_FREQ LEXICON LEXICON_SOURCE LEXICON_ID LEXICON_CONTACT LEXICON_INFO LEXICON_FREQ
    X_DIM Y_DIM H_LINE V_LINE Z_POINTS_PER_INCH Z_POINTS_PER_MM POINTS_PER_GRAM POINTS_PER_SECOND
    DATE STYLE WRITER_ID COUNTRY HAND AGE SEX SKILL WRITER_INFO SEGMENT START_SET START_BOX DT
    REC_SOURCE REC_ID REC_CONTACT REC_INFO IMPLEMENTATION TRAINING_SET TEST_SET ADAPT_SET LEXICON_SET
    REC_TIME REC_LABELS REC_SCORES""".split())
SCALES = (".X_POINTS_PER_INCH", ".Y_POINTS_PER_INCH", ".X_POINTS_PER_MM", ".Y_POINTS_PER_MM")


def read_unipen(path, *, tested=None):
    """Read a file of pen digits: `.COMMENT digit` begins one, points stand between `.PEN_DOWN` and `.PEN_UP`.

    A point is x and y, or the channels that `.COORD` names, of which X and Y are taken. y points up in the file and
    down in what is returned. While the pen is up, UNIPEN's words about the data, those that `.KEYWORD` declares, and
    lines that begin with no such word are passed over; a comment that is no number ends the digit before it.

    Args:
        path: of the file.
        tested: whether all of it is to test on; None: no split.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is damaged, or declares what is not read: a word that is not UNIPEN's, an `.INCLUDE` of another
            file, channels without X or Y, other scales along x than along y; says the line.

    Source: E. Alpaydin, F. Alimoglu 1996, doi:10.24432/C5MG6K; I. Guyon et al., UNIPEN, 1994.
    """
    found, digit, strokes, stroke, line, header = Gathering(), None, [], None, 0, _Header()

    def end():
        if digit is not None and not strokes:
            raise FileError(f"{path}, line {line}: a digit without strokes ends here; one stroke at least fits")
        if digit is not None:
            found.add(strokes, digit, -1, tested)

    for line, text in enumerate(read_lines(path, "utf-8"), 1):
        words, place = words_of(text), f"{path}, line {line}"
        if not words:
            continue
        if words[0] == ".PEN_UP":
            _close(stroke, place)
            stroke = None
        elif stroke is not None:
            _add_points(stroke, words, header, place)
        elif words[0] == ".COMMENT":
            end()
            digit, strokes = _digit_of(words[1:2], place), []
        elif words[0] == ".PEN_DOWN":
            if digit is None:
                raise FileError(f"{place}: .PEN_DOWN came before a .COMMENT that tells the digit; the file is damaged")
            stroke = []
            strokes.append(stroke)
            _add_points(stroke, words[1:], header, place)
        elif words[0].startswith("."):
            header.obey(words, place)
    if stroke is not None:
        raise FileError(f"{path}, line {line}: the file ends with the pen down; it is cut short: fetch it again")
    end()
    if not found.counts:
        raise FileError(f"{path}: no .COMMENT tells a digit; a UNIPEN file such as pendigits-orig.tra fits")
    return found.handwriting([str(n) for n in range(10)])


class _Header:
    """What the file declares of its points."""

    def __init__(self):
        self.channels, self.scales, self.known = ["X", "Y"], {}, set()

    def obey(self, words, place):
        """Take a line that declares something, or refuse it."""
        word, *rest = words
        if word == ".COORD":
            if not (len(rest) == len(set(rest)) and {"X", "Y"} <= set(rest)):
                raise FileError(f"{place}: expected channels with X and Y, each once, got {' '.join(words)[:60]!r}; "
                                "points are x and y")
            self.channels = rest
        elif word in SCALES:
            self.scales[word] = rest
            other = self.scales.get(word.replace(".X", ".Y") if word.startswith(".X") else word.replace(".Y", ".X"))
            if other not in (None, rest):
                raise FileError(f"{place}: expected the same scale along x and y, got {' '.join(rest)[:30]!r} and "
                                f"{' '.join(other)[:30]!r}; bring the points to one scale")
        elif word == ".INCLUDE":
            raise FileError(f"{place}: expected all in one file, got {' '.join(words)[:60]!r}; put what that file "
                            "holds in its place")
        elif word == ".KEYWORD":
            self.known.update((word if word.startswith(".") else f".{word}") for word in rest[:1])
        elif word not in PASSED_OVER and word not in self.known:
            raise FileError(f"{place}: expected a word of UNIPEN that tells of the data, got {word[:30]!r}; declare it "
                            "by .KEYWORD, or take it out")


def _digit_of(words, place):
    if not words or not (words[0].isascii() and words[0].lstrip("+-").isdigit()):
        return None
    if len(words[0]) != 1:
        raise FileError(f"{place}: the digit {words[0][:30]!r} came; 0 to 9 fit")
    return words[0]


def _add_points(stroke, words, header, place):
    if words and words[0].startswith("."):
        raise FileError(f"{place}: {words[0][:30]!r} came while the pen is down; .PEN_UP fits before it")
    channels = header.channels
    if len(words) % len(channels):
        kind = "pairs of x and y fit" if len(channels) == 2 else f"{' '.join(channels)} of each point fit"
        raise FileError(f"{place}: {len(words)} numbers came; {kind}")
    numbers = whole_numbers(words, place, "whole numbers fit while the pen is down")
    columns = (numbers[channels.index(axis)::len(channels)] for axis in "XY")
    stroke += [(x, -y) for x, y in zip(*columns, strict=True)]


def _close(stroke, place):
    if stroke is None:
        raise FileError(f"{place}: .PEN_UP came while the pen is up; .PEN_DOWN fits before it")
    if not stroke:
        raise FileError(f"{place}: a stroke without points ends here; one point at least fits")
