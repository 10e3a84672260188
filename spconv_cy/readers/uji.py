"""Reads the UJI pen characters, versions 1 and 2: letters, digits and signs in one text file."""

import re

from spconv_cy.data.handwriting import Gathering, whole_numbers
from spconv_cy.data.text import read_lines, words_of
from spconv_cy.errors import FileError

WRITER = re.compile(r"W([0-9]{1,6})", re.I)


def read_uji(path):
    """Read `WORD character id`, `NUMSTROKES n` and n times `POINTS k # x1 y1 ...`; lines that begin with // are notes.

    Classes are the characters that came, sorted. The writer is the number after W in the id; where every id begins with
    trn or tst (version 2), those are the split.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is damaged; says the line.

    Source: D. Llorens et al., The UJIpenchars database, LREC 2008; UCI Machine Learning Repository.
    """
    found, word, told, strokes, place = Gathering(), None, None, [], f"{path}"

    def end():
        if word is None:
            return
        if told is None or told != len(strokes):
            raise FileError(f"{place}: {len(strokes)} strokes of the WORD {word[0]!r} came; NUMSTROKES tells {told}: "
                            "the file is cut short or damaged")
        found.add(strokes, *word)

    for n, line in enumerate(read_lines(path, "utf-8"), 1):
        words, place = words_of(line), f"{path}, line {n}"
        if not words or words[0].startswith("//"):
            continue
        if words[0] == "WORD":
            end()
            word, told, strokes = _word_of(words, place), None, []
        elif words[0] == "NUMSTROKES" and word is not None and told is None and len(words) == 2:
            told = whole_numbers(words[1:], place, "the number of strokes fits")[0]
            if told < 1:
                raise FileError(f"{place}: {told} strokes came; 1 or more fit")
        elif words[0] == "POINTS" and told is not None:
            strokes.append(_points_of(words, place))
        else:
            raise FileError(f"{place}: {line.strip()[:60]!r} came; WORD, then NUMSTROKES, then POINTS fits: the file "
                            "is damaged or another format")
    end()
    if not found.counts:
        raise FileError(f"{path}: no WORD came; a file of UJI pen characters fits")
    return found.handwriting(sorted(set(found.labels)))


def _word_of(words, place):
    if len(words) != 3:
        raise FileError(f"{place}: {len(words) - 1} words after WORD came; a character and an id fit")
    if len(words[1]) > 8:
        raise FileError(f"{place}: the label {words[1][:30]!r} came; a single character fits")
    writer = WRITER.search(words[2])
    split = {"trn": False, "tst": True}.get(words[2][:3].lower())
    return words[1], int(writer[1]) if writer else -1, split


def _points_of(words, place):
    if len(words) < 3 or words[2] != "#":
        raise FileError(f"{place}: POINTS without '#' came; POINTS k # x1 y1 ... fits")
    k = whole_numbers(words[1:2], place, "the number of points fits")[0]
    if k < 1 or len(words) - 3 != 2 * k:
        raise FileError(f"{place}: {k} points are told and {len(words) - 3} numbers came; {2 * max(k, 1)} fit: the "
                        "file is cut short or damaged")
    numbers = whole_numbers(words[3:], place, "whole numbers x and y fit")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
