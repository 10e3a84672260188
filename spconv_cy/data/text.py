"""Text files as all readers take them: with or without byte order marks, lines that end in CR, LF or CRLF."""

import codecs
import re

from spconv_cy.errors import FileError

MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),              # before those of UTF-16: the
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))              # first begins like one of them
AT_LINES = re.compile(rb"(?m)^(?:\xef\xbb\xbf)+")   # also inside: where files were joined
WORD = re.compile(r"[^ \t\n\v\f\r]+")               # str.split() and str.splitlines() also part at NEL, U+2028 and more


def unmarked(place, content):
    """Return the bytes of a text in UTF-8 without its first byte order mark; of UTF-16 and UTF-32 too, if so marked.

    Args:
        place: names the file in errors.
        content: bytes.

    Raises:
        FileError: a mark of UTF-16 or UTF-32, and what follows is none.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding).encode("utf-8")
            except UnicodeError as error:
                raise FileError(f"{place}: it begins with a byte order mark of {encoding.upper()}, but is not such a "
                                f"text ({error}); the file is damaged or another format") from None
    return content.removeprefix(codecs.BOM_UTF8)


def lines_of(place, content, begin=0):
    """Return the lines of a text, as bytes: line number i + 1 of the file is item i.

    CR, LF and CRLF end a line and nothing else does. Byte order marks at the beginning of a line are left out.

    Args:
        place: names the file in errors.
        content: bytes.
        begin: of the content in the file, in bytes.

    Raises:
        FileError: it holds a zero byte.
    """
    begin += len(codecs.BOM_UTF8) * content.startswith(codecs.BOM_UTF8)
    content = unmarked(place, content)
    at = content.find(b"\0")
    if at >= 0:
        raise FileError(f"{place}: byte {begin + at} is 0; a text file fits: it is damaged, another format, or UTF-16 "
                        "without a byte order mark")
    lines = AT_LINES.sub(b"", content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
    return lines if lines[-1] else lines[:-1]


def read_lines(path, encoding=None):
    """Return the lines of a text file; as bytes, or decoded.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is not text of that encoding.
    """
    with open(path, "rb") as file:
        lines = lines_of(path, file.read())
    if encoding is None:
        return lines
    try:
        return b"\n".join(lines).decode(encoding).split("\n") if lines else []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise FileError(f"{path}, line {line}: byte {error.object[error.start]:#04x} is not {encoding}; the file is "
                        "damaged or another format") from None


def read_text(path, *, encoding="utf-8"):
    """Return the text of a file, its lines ended by LF and without byte order marks.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: it is not text of that encoding.
    """
    return "".join(f"{line}\n" for line in read_lines(path, encoding))


def words_of(line):
    r"""Return the words of a line: what spaces and tabs part, and no other sign.

    >>> words_of("WORD \xa0 id")
    ['WORD', '\xa0', 'id']
    """
    return WORD.findall(line)
