"""Reads KanjiVG's drawings of characters, one SVG file each, from the wheel of PyPI's kanjivg or from a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_path
from spconv_cy.data.handwriting import Gathering, Handwriting
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.svg_path import read_svg_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spconv_cy.types import Array, PathLike

NAME = re.compile(r"(?:.*/)?([0-9a-f]{5})(-\w+)?\.svg")
MOST = 2**20                                        # bytes of one file; the largest of KanjiVG has some 20,000
BOX = "0 0 109 109"
WORDS = ("text", "title", "desc", "metadata")       # elements that draw no strokes


@known_arguments
def read_kanjivg(path: PathLike, *, pieces: int = 8) -> Handwriting:
    """Read KanjiVG: 6,700 kanji and other signs, one drawing each, strokes in the order and direction of the pen.

    A file is named after the code point of its character, such as 04e00.svg. Drawings of variants (04e00-Kaisho.svg)
    are skipped and counted in `n_skipped`. A drawing consists of paths in groups, one per stroke, in the viewBox
    0 0 109 109 or without one; text in it is skipped.

    Args:
        path: the wheel of PyPI's kanjivg, or a folder with the SVG files.
        pieces: the number of straight pieces that replace each Bézier curve.

    Returns:
        Handwriting: classes are the characters in the order of their code points, one drawing a class; writers -1.

    Raises:
        FileNotFoundError: there is no such file or folder.
        FileError: there is no drawing, or two of one character; or a drawing is damaged, or has other elements, or
            elements with a transform, which would move its strokes. The message names the drawing.

    Source: U. Apel, KanjiVG, https://kanjivg.tagaini.net, CC BY-SA 3.0.
    """
    checked_path("read_kanjivg", path)
    found: dict[str, list[Array]] = {}
    n_skipped = 0
    for code, name, content in _files(Path(path)):
        character = chr(int(code, 16))
        if content is None:
            n_skipped += 1
        elif character in found or 0xD800 <= ord(character) < 0xE000:    # half of a surrogate pair
            raise FileError(expected(f"{path}, {name}", "one drawing of each character",
                                     f"{character!r}{' twice' if character in found else ''}", "keep one of each"))
        else:
            found[character] = _strokes(f"{path}, {name}", content, pieces)
    if not found:
        raise FileError(expected(f"{path}", "drawings with names such as 04e00.svg", "none",
                                 "give the wheel of PyPI's kanjivg or a folder of its drawings"))
    gathering = Gathering()
    for character in sorted(found):
        gathering.add(found[character], character)
    return gathering.handwriting(sorted(found), n_skipped)


def _files(path: Path) -> Iterator[tuple[str, str, bytes | None]]:
    """Yield (code point, name, content) of each drawing, with None as the content of a variant."""
    if path.is_dir():
        for file in sorted(path.rglob("*.svg")):
            if match := NAME.fullmatch(file.name):
                with open(file, "rb") as opened:
                    yield match[1], file.name, None if match[2] else _checked(f"{path}, {file.name}",
                                                                              opened.read(MOST + 1))
        return
    import zipfile  # imported here because few programs read wheels

    from spconv_cy.readers.archives import entries_of

    try:
        with zipfile.ZipFile(path) as wheel:
            for entry in entries_of(wheel):
                if match := NAME.fullmatch(entry.filename):
                    with wheel.open(entry) as member:
                        yield match[1], entry.filename, None if match[2] else _checked(f"{path}, {entry.filename}",
                                                                                       member.read(MOST + 1))
    except (FileNotFoundError, FileError):
        raise
    except Exception as error:                                           # of many classes: from zipfile and zlib
        raise FileError(expected(f"{path}", "a wheel", f"one that cannot be read ({error})",
                                 "fetch it again")) from error


def _checked(place: str, content: bytes) -> bytes:
    if len(content) > MOST:
        raise FileError(expected(place, f"at most {MOST} bytes, for one character", "more"))
    if b"<!ENTITY" in content.replace(b"\0", b""):                       # also in UTF-16
        raise FileError(expected(place, "a drawing without entities, as all of KanjiVG", "a declared entity",
                                 "fetch it again"))
    return content


def _strokes(place: str, content: bytes, pieces: int) -> list[Array]:
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:   # the last two: a wrong or unknown encoding
        raise FileError(expected(place, "XML", f"other text ({error})", "it is damaged: fetch it again")) from error
    strokes: list[Array] = []
    for element in _drawn(place, root):
        who = f"{place}: stroke {len(strokes) + 1}"
        try:
            paths = read_svg_path(element.get("d", ""), pieces=pieces)
        except ValueError as error:
            raise FileError(f"{who}: {error}") from error
        if len(paths) != 1:
            raise FileError(expected(who, "one connected line", f"{len(paths)} parts"))
        strokes += paths
    if not strokes:
        raise FileError(expected(place, "one path for each stroke", "no path"))
    return strokes


def _drawn(place: str, root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the paths of a drawing; check that it draws nothing else, and that the coordinates are KanjiVG's."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else "text"        # not str: a comment
        if tag in WORDS:
            continue
        if tag not in ("g", "path", "svg") or (tag == "svg") != (element is root):
            raise FileError(expected(place, "an svg of paths in groups, and text", f"the element {tag[:30]!r}",
                                     "draw its strokes as paths, or remove it"))
        if "transform" in element.attrib or "transform" in element.get("style", ""):
            raise FileError(expected(place, "paths without a transform", f"a transform of the element {tag!r}",
                                     "write the moved coordinates in the path"))
        box = element.get("viewBox", BOX)
        if box.replace(",", " ").split() != BOX.split():
            raise FileError(expected(place, f"the viewBox {BOX}", f"{box[:40]!r}", "scale the paths to it"))
        if tag == "path":
            yield element
        waiting += reversed(element)
