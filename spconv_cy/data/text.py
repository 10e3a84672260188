"""Text files, as all readers read them: with or without byte order marks, lines ended by CR, LF or CRLF."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, overload

from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from spconv_cy.types import PathLike

MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),              # before those of UTF-16: one
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))              # of them begins the first
AT_LINES = re.compile(rb"(?m)^(?:\xef\xbb\xbf)+")   # also inside a file: where files were joined
WORD = re.compile(r"[^ \t\n\v\f\r]+")               # str.split() also splits at NEL, U+2028 and more


def unmarked(place: str, content: bytes) -> bytes:
    """Return a text as UTF-8 without its first byte order mark; a mark of UTF-16 or UTF-32 selects that encoding.

    Args:
        place: the file, for the error.
        content: the bytes of the text.

    Raises:
        FileError: a mark of UTF-16 or UTF-32 is followed by bytes that are not in that encoding.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding).encode("utf-8")
            except UnicodeError as error:
                raise FileError(expected(place, f"{encoding.upper()}, as its byte order mark declares",
                                         f"other bytes ({error})", "the file is damaged or in another format")
                                ) from None
    return content.removeprefix(codecs.BOM_UTF8)


def lines_of(place: str, content: bytes, begin: int = 0) -> list[bytes]:
    """Return the lines of a text: line number i + 1 of the file is item i.

    Only CR, LF and CRLF end a line. Byte order marks at the beginning of a line are dropped.

    Args:
        place: the file, for the error.
        content: the bytes of the text.
        begin: where the content begins in the file, in bytes.

    Raises:
        FileError: the content holds a zero byte.
    """
    begin += len(codecs.BOM_UTF8) * content.startswith(codecs.BOM_UTF8)
    content = unmarked(place, content)
    at = content.find(b"\0")
    if at >= 0:
        raise FileError(expected(place, "a text file", f"a zero at byte {begin + at}", "it is damaged, in another "
                                 "format, or UTF-16 without a byte order mark"))
    lines = AT_LINES.sub(b"", content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
    return lines if lines[-1] else lines[:-1]


@overload
def read_lines(path: PathLike) -> list[bytes]: ...
@overload
def read_lines(path: PathLike, encoding: str) -> list[str]: ...


def read_lines(path: PathLike, encoding: str | None = None) -> list[bytes] | list[str]:
    """Return the lines of a text file, decoded if an encoding is given, else as bytes.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is not text of that encoding.
    """
    with open(path, "rb") as file:
        lines = lines_of(f"{path}", file.read())
    if encoding is None:
        return lines
    try:
        return b"\n".join(lines).decode(encoding).split("\n") if lines else []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise FileError(expected(f"{path}, line {line}", f"text in {encoding}",
                                 f"the byte {error.object[error.start]:#04x}",
                                 "the file is damaged or in another format")) from None


def read_text(path: PathLike, *, encoding: str = "utf-8") -> str:
    """Return the text of a file without byte order marks; all lines end with LF.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is not text of that encoding.
    """
    return "".join(f"{line}\n" for line in read_lines(path, encoding))


def words_of(line: str) -> list[str]:
    r"""Return the words of a line, split at ASCII spaces and tabs only.

    >>> words_of("WORD \xa0 id")
    ['WORD', '\xa0', 'id']
    """
    return WORD.findall(line)
