"""Reads UCI's pen digits as they were recorded: pendigits-orig.tra and .tes, in UNIPEN's form."""

from spconv_cy.data.handwriting import Gathering, read_text, whole_numbers
from spconv_cy.errors import FileError


def read_unipen(path, *, tested=None):
    """Read a file of pen digits: `.COMMENT digit` begins one, x and y stand between `.PEN_DOWN` and `.PEN_UP`.

    y points up in the file and down in what is returned. Other words are ignored while the pen is up; a comment that
    is no number ends the digit before it.

    Args:
        path: of the file.
        tested: whether all of it is to test on; None: no split.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is damaged; says the line.

    Source: E. Alpaydin, F. Alimoglu 1996, doi:10.24432/C5MG6K; I. Guyon et al., UNIPEN, 1994.
    """
    found, digit, strokes, stroke, line = Gathering(), None, [], None, 0

    def end():
        if digit is not None and not strokes:
            raise FileError(f"{path}, line {line}: a digit without strokes ends here; one stroke at least fits")
        if digit is not None:
            found.add(strokes, digit, -1, tested)

    for line, text in enumerate(read_text(path).splitlines(), 1):
        words, place = text.split(), f"{path}, line {line}"
        if not words:
            continue
        if words[0] == ".PEN_UP":
            _close(stroke, place)
            stroke = None
        elif stroke is not None:
            _add_points(stroke, words, place)
        elif words[0] == ".COMMENT":
            end()
            digit, strokes = _digit_of(words[1:2], place), []
        elif words[0] == ".PEN_DOWN":
            if digit is None:
                raise FileError(f"{place}: .PEN_DOWN came before a .COMMENT that tells the digit; the file is damaged")
            stroke = []
            strokes.append(stroke)
            _add_points(stroke, words[1:], place)
    if stroke is not None:
        raise FileError(f"{path}, line {line}: the file ends with the pen down; it is cut short: fetch it again")
    end()
    if not found.counts:
        raise FileError(f"{path}: no .COMMENT tells a digit; a UNIPEN file such as pendigits-orig.tra fits")
    return found.handwriting([str(n) for n in range(10)])


def _digit_of(words, place):
    if not words or not (words[0].isascii() and words[0].lstrip("+-").isdigit()):
        return None
    if words[0] not in "0123456789":
        raise FileError(f"{place}: the digit {words[0][:30]!r} came; 0 to 9 fit")
    return words[0]


def _add_points(stroke, words, place):
    if words and words[0].startswith("."):
        raise FileError(f"{place}: {words[0][:30]!r} came while the pen is down; .PEN_UP fits before it")
    if len(words) % 2:
        raise FileError(f"{place}: {len(words)} numbers came; pairs of x and y fit")
    numbers = whole_numbers(words, place, "whole numbers fit while the pen is down")
    stroke += [(x, -y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def _close(stroke, place):
    if stroke is None:
        raise FileError(f"{place}: .PEN_UP came while the pen is up; .PEN_DOWN fits before it")
    if not stroke:
        raise FileError(f"{place}: a stroke without points ends here; one point at least fits")
