"""Reads UCI's Online Handwritten Assamese Characters: a text file for each character, folders W1 to W45 for writers."""

import re
from pathlib import Path

from spconv_cy.data.handwriting import Gathering, whole_numbers
from spconv_cy.data.text import read_lines, words_of
from spconv_cy.errors import FileError

CLASSES = 183
TESTED = (30, 28, 29, 19, 15, 26, 6, 16, 43)        # the writers of SparseConvNet's split
NAME = re.compile(r"([0-9]+)\.([0-9]+)\.txt", re.I)
CHANNELS = ["X", "Y", "T", "S"]


def read_assamese(folder, *, strict=True):
    """Read all files M.N.txt (character M from 1 to 183, writer N) below a folder.

    Labels are M - 1, classes the numbers M as text; the split tests on the 9 writers of SparseConvNet's example. Times
    are the column T. Points that repeat the one before them are left out, and strokes without points. A header that
    names the columns must name X Y T S; its other lines, and lines of words while the pen is up, are passed over.

    Args:
        folder: a path.
        strict: refuse files whose header tells another number of strokes than they hold, or that end in a stroke.

    Raises:
        FileNotFoundError: there is no such folder.
        FileError: it holds no such file, or one is damaged; says which, and the line.

    Source: UCI Machine Learning Repository, doi:10.24432/C5S317.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder; the one that holds W1 to W45 fits")
    found = Gathering()
    paths = [path for path in folder.rglob("*") if NAME.fullmatch(path.name)]
    for path in sorted(paths, key=lambda path: [int(n) for n in NAME.fullmatch(path.name).groups()[::-1]]):
        character, writer = (int(n) for n in NAME.fullmatch(path.name).groups())
        if not 1 <= character <= CLASSES:
            raise FileError(f"{path}: character {character} came; 1 to {CLASSES} fit")
        if writer > 10**9:
            raise FileError(f"{path}: expected the number of a writer after the character's, got {writer}; at most "
                            "10^9 fits")
        found.add(_read_strokes(path, strict), str(character), writer, writer in TESTED)
    if not paths:
        raise FileError(f"{folder}: no file named M.N.txt came; the folder that holds W1 to W45 fits")
    return found.handwriting([str(n) for n in range(1, CLASSES + 1)])


def _read_strokes(path, strict):
    strokes, stroke, number, told, down, began = [], None, None, None, False, False
    for n, line in enumerate(read_lines(path, "latin-1"), 1):
        words, place = words_of(line), f"{path}, line {n}"
        if words and words[0] == "PEN_DOWN":
            down = began = True
            stroke, number = None, None
        elif words and words[0] == "PEN_UP":
            down = False
        elif words and (words[0][0] in "+-0123456789" and (began or len(words) == 4) or down):
            began = True
            if len(words) != 4:
                raise FileError(f"{place}: {line.strip()[:60]!r} came; X Y T S, four whole numbers, fits")
            x, y, t, s = whole_numbers(words, place, "a point X Y T S of whole numbers fits")
            if stroke is None or s != number:
                stroke, number = [], s
                strokes.append(stroke)
            if not stroke or stroke[-1][:2] != (x, y):
                stroke.append((x, y, t))
        elif not began and {"X", "Y"} <= set(words) and words != CHANNELS and all(len(word) == 1 for word in words):
            raise FileError(f"{place}: expected the columns {' '.join(CHANNELS)}, got {line.strip()[:60]!r}; write the "
                            "points in that order")
        elif not began and told is None and n == 2:
            told = next((int(word) for word in reversed(words) if word.isascii() and word.isdigit()), None)
    if strict and down:
        raise FileError(f"{path}: the file ends inside a stroke; it is cut short: fetch it again, or read with "
                        "strict=False")
    if not strokes:
        raise FileError(f"{path}: no stroke came; PEN_DOWN and lines X Y T S fit: it is damaged or another format")
    if strict and told is not None and told != len(strokes):
        raise FileError(f"{path}: line 2 tells {told} strokes, {len(strokes)} came; the file is damaged: fetch it "
                        "again, or read with strict=False")
    return strokes
