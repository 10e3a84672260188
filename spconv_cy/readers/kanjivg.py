"""Reads KanjiVG's drawings of characters, one SVG file each, from the wheel of PyPI's kanjivg or from a folder."""

import re
from pathlib import Path
from xml.etree import ElementTree

from spconv_cy.data.handwriting import Gathering
from spconv_cy.errors import FileError
from spconv_cy.readers.svg_path import read_svg_path

NAME = re.compile(r"(?:.*/)?([0-9a-f]{5})(-\w+)?\.svg")
MOST = 2**20                                        # bytes of one file; the largest of KanjiVG has some 20,000
BOX = "0 0 109 109"
WORDS = ("text", "title", "desc", "metadata")       # elements that draw no stroke


def read_kanjivg(path, *, pieces=8):
    """Read KanjiVG: one drawing of each of 6,700 kanji and other signs, strokes in the order and way of the pen.

    A file's name is the code point of its character, 04e00.svg. Drawings of variants (04e00-Kaisho.svg) are left out.
    A drawing is paths in groups, one a stroke, in the viewBox 0 0 109 109 or without one; text in it is left out.

    Args:
        path: the wheel of PyPI's kanjivg, or a folder with the SVG files.
        pieces: straight pieces of each Bézier curve.

    Returns:
        Handwriting: classes are the characters in the order of their code points, one drawing a class; writers -1.

    Raises:
        FileNotFoundError: there is no such file or folder.
        FileError: it holds no such drawing, two of a character, or one is damaged, or holds other elements, or
            elements with a transform, which would move its strokes; says which.

    Source: U. Apel, KanjiVG, https://kanjivg.tagaini.net, CC BY-SA 3.0.
    """
    found, left_out = {}, 0
    for name, content in _files(Path(path)):
        code, variant = NAME.fullmatch(name).groups()
        character = chr(int(code, 16))
        if variant:
            left_out += 1
        elif character in found or 0xD800 <= ord(character) < 0xE000:              # half of a surrogate pair
            raise FileError(f"{path}, {name}: expected each character once, got {character!r} "
                            f"{'again' if character in found else 'as one'}; keep one file of each")
        else:
            found[character] = _strokes(f"{path}, {name}", content, pieces)
    if not found:
        raise FileError(f"{path}: no file named such as 04e00.svg came; the wheel of PyPI's kanjivg or a folder of its "
                        "drawings fits")
    gathering = Gathering()
    for character in sorted(found):
        gathering.add(found[character], character)
    return gathering.handwriting(sorted(found), left_out)


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

    from spconv_cy.readers.archives import entries_of

    try:
        with zipfile.ZipFile(path) as wheel:
            for entry in entries_of(wheel):
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
    if b"<!ENTITY" in content.replace(b"\0", b""):                       # of UTF-16 too
        raise FileError(f"{place}: it declares an entity, as none of KanjiVG's files does; fetch it again")
    return content


def _strokes(place, content, pieces):
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two of encodings
        raise FileError(f"{place}: no XML ({error}); it is damaged: fetch it again") from error
    strokes = []
    for element in _drawn(place, root):
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


def _drawn(place, root):
    """Yield the paths of a drawing that draws nothing else, all in the coordinates that all files share."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else "text"                # a comment
        if tag in WORDS:
            continue
        if tag not in ("g", "path", "svg") or (tag == "svg") != (element is root):
            raise FileError(f"{place}: expected an svg of paths in groups, and text, got the element {tag[:30]!r}; "
                            "draw its strokes as paths, or take it out")
        if "transform" in element.attrib or "transform" in element.get("style", ""):
            raise FileError(f"{place}: expected paths that are not moved, got a transform of the element {tag!r}; "
                            "write the moved coordinates in the path")
        if element.get("viewBox", BOX).replace(",", " ").split() != BOX.split():
            raise FileError(f"{place}: expected the viewBox {BOX}, got {element.get('viewBox')[:40]!r}; scale the "
                            "paths to it")
        if tag == "path":
            yield element
        waiting += reversed(element)
