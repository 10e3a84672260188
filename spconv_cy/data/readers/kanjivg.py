"""Reads KanjiVG's drawings of characters, one SVG file each, from the wheel of PyPI's kanjivg or from a folder."""

import re
from pathlib import Path
from xml.etree import ElementTree

from spconv_cy.data.handwriting import Gathering
from spconv_cy.data.readers.svg_path import read_svg_path
from spconv_cy.errors import FileError

NAME = re.compile(r"(?:.*/)?([0-9a-f]{5})(-\w+)?\.svg")
MOST = 2**20                                        # bytes of one file; the largest of KanjiVG has some 20,000


def read_kanjivg(path, *, pieces=8):
    """Read KanjiVG: one drawing of each of 6,700 kanji and other signs, strokes in the order and way of the pen.

    A file's name is the code point of its character, 04e00.svg. Drawings of variants (04e00-Kaisho.svg) are left out.

    Args:
        path: the wheel of PyPI's kanjivg, or a folder with the SVG files.
        pieces: straight pieces of each Bézier curve.

    Returns:
        Handwriting: classes are the characters in the order of their code points, one drawing a class; writers -1.

    Raises:
        FileNotFoundError: there is no such file or folder.
        FileError: it holds no such drawing, or one is damaged; says which.

    Source: U. Apel, KanjiVG, https://kanjivg.tagaini.net, CC BY-SA 3.0.
    """
    found, left_out = {}, 0
    for name, content in _files(Path(path)):
        code, variant = NAME.fullmatch(name).groups()
        if variant:
            left_out += 1
        else:
            found[int(code, 16)] = (f"{path}, {name}", content)
    if not found:
        raise FileError(f"{path}: no file named such as 04e00.svg came; the wheel of PyPI's kanjivg or a folder of its "
                        "drawings fits")
    gathering = Gathering()
    for code in sorted(found):
        gathering.add(_strokes(*found[code], pieces), chr(code))
    return gathering.handwriting([chr(code) for code in sorted(found)], left_out)


def _files(path):
    """Yield (name, content) of each drawing; of a variant only the name."""
    if path.is_dir():
        for file in sorted(path.rglob("*.svg")):
            match = NAME.fullmatch(file.name)
            if match:
                with open(file, "rb") as opened:
                    yield file.name, b"" if match[2] else _checked(f"{path}, {file.name}", opened.read(MOST + 1))
        return
    import zipfile  # not with the package: few read wheels

    try:
        with zipfile.ZipFile(path) as wheel:
            for entry in wheel.infolist():
                match = NAME.fullmatch(entry.filename)
                if match:
                    with wheel.open(entry) as opened:
                        yield entry.filename, b"" if match[2] else _checked(f"{path}, {entry.filename}",
                                                                           opened.read(MOST + 1))
    except (FileNotFoundError, FileError):
        raise
    except Exception as error:                                          # zipfile's and zlib's own are many
        raise FileError(f"{path}: cannot be read ({error}); fetch it again") from error


def _checked(place, content):
    if len(content) > MOST:
        raise FileError(f"{place}: more than {MOST} bytes came; a drawing of one character fits")
    if b"<!ENTITY" in content:
        raise FileError(f"{place}: it declares an entity, as none of KanjiVG's files does; fetch it again")
    return content


def _strokes(place, content, pieces):
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two of encodings
        raise FileError(f"{place}: no XML ({error}); it is damaged: fetch it again") from error
    strokes = []
    for element in root.iter():
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == "path":
            try:
                paths = read_svg_path(element.get("d", ""), pieces=pieces)
            except ValueError as error:
                raise FileError(f"{place}: stroke {len(strokes) + 1}: {error}") from error
            if len(paths) != 1:
                raise FileError(f"{place}: stroke {len(strokes) + 1} has {len(paths)} parts; one fits")
            strokes += paths
    if not strokes:
        raise FileError(f"{place}: no path came; one a stroke fits")
    return strokes
