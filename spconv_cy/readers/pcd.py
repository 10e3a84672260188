"""Reads PCD, the point clouds of the Point Cloud Library: ascii, binary and binary_compressed."""

from __future__ import annotations

import re
import struct
from codecs import BOM_UTF8
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.text import lines_of
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.fields import cloud_of, colours_of
from spconv_cy.readers.lzf import LARGEST_RATIO, expanded
from spconv_cy.readers.polygons import numbers_of, shown

if TYPE_CHECKING:
    from spconv_cy.data import PointCloud
    from spconv_cy.types import Array, PathLike

TYPES = {("F", 4): "f4", ("F", 8): "f8", **{(sign, n): f"{sign.lower()}{n}" for sign in "IU" for n in (1, 2, 4, 8)}}
LISTS = ("FIELDS", "SIZE", "TYPE", "COUNT")
NUMBERS = ("WIDTH", "HEIGHT", "POINTS")
MOST_HEADER = 2**20
WHOLE = re.compile(rb"[+-]?[0-9]{1,20}")


@dataclass
class Header:
    """What the header of a PCD file declares; `length` is its bytes, `lines` its lines."""

    lists: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    form: str = ""
    length: int = 0
    lines: int = 0

    @property
    def n(self) -> int:
        """The number of points."""
        return self.numbers["POINTS"]


def read_pcd(path: PathLike) -> PointCloud:
    """Read x, y, z and all other fields of a PCD file; colours in rgb or rgba become red, green and blue.

    Points that are NaN stay, as `cloud.finite()` leaves them out; the viewpoint is not applied. Fields with several
    numbers are named name_0, name_1 and so on, and those named _ are skipped.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged, cut short or of another format.
    """
    content = Path(path).read_bytes()
    header = _header(path, content)
    dtype, names = _dtype(path, header)
    rows = {"ascii": _of_text, "binary": _of_binary, "binary_compressed": _of_compressed}[header.form](
        path, content, header, dtype)
    columns: dict[str, Array] = {}
    for name in names:
        if name.lower() in ("rgb", "rgba") and rows[name].dtype.itemsize == 4:
            columns |= colours_of(rows[name])
        elif not name.startswith("_"):
            columns[name] = rows[name]
    return cloud_of(path, columns)


def _header(path: PathLike, content: bytes) -> Header:
    """Return what the lines before the data declare."""
    found, begin, place = Header(), len(BOM_UTF8) * content.startswith(BOM_UTF8), f"{path}"
    while not found.form:
        stop = content.find(b"\n", begin, begin + MOST_HEADER)
        if stop < 0 and b"DATA" not in content[begin:begin + 80].upper():
            raise FileError(expected(f"{path}", "a PCD header that ends with a line DATA", "none",
                                     "the file is cut short or in another format"))
        stop = len(content) if stop < 0 else stop
        found.lines += 1
        place = f"{path}, line {found.lines}"
        _declare(place, found, content[begin:stop])
        begin = stop + 1
    found.length = begin
    _complete(place, found)
    return found


def _declare(place: str, found: Header, line: bytes) -> None:
    word, *rest = line.decode("latin-1").split() or ["#"]
    word = {"COLUMNS": "FIELDS"}.get(word.upper(), word.upper())
    if word in LISTS and word not in found.lists and rest:
        found.lists[word] = rest
    elif word in NUMBERS and word not in found.numbers and len(rest) == 1 and _is_count(rest[0]):
        found.numbers[word] = int(rest[0])
    elif word == "DATA" and rest and rest[0].lower() in ("ascii", "binary", "binary_compressed"):
        found.form = rest[0].lower()
    elif not word.startswith("#") and word not in ("VERSION", "VIEWPOINT"):
        raise FileError(expected(place, f"{', '.join(LISTS)}, {', '.join(NUMBERS)} once each, VIEWPOINT, or DATA with "
                                 "ascii, binary or binary_compressed", shown(line),
                                 "the file is damaged or in another format"))


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 18


def _complete(place: str, found: Header) -> None:
    """Check that all is declared; width times height is the number of points."""
    missing = [word for word in ("FIELDS", "SIZE", "TYPE") if word not in found.lists]
    if missing or not {"WIDTH", "POINTS"} & set(found.numbers):
        raise FileError(expected(place, "FIELDS, SIZE, TYPE and WIDTH or POINTS before DATA",
                                 f"no {', '.join(missing) or 'WIDTH'}"))
    found.lists.setdefault("COUNT", ["1"] * len(found.lists["FIELDS"]))
    lengths = {word: len(words) for word, words in found.lists.items()}
    if len(set(lengths.values())) > 1:
        raise FileError(expected(place, "as many entries in FIELDS, SIZE, TYPE and COUNT", f"{lengths}"))
    if "WIDTH" in found.numbers:
        n = found.numbers["WIDTH"] * found.numbers.get("HEIGHT", 1)
        if found.numbers.setdefault("POINTS", n) != n:
            raise FileError(expected(place, f"POINTS to be {n}, WIDTH times HEIGHT", found.n))


def _dtype(path: PathLike, header: Header) -> tuple[np.dtype[np.void], list[str]]:
    """Return the dtype of a point, and the names of its fields; each field has one number."""
    fields: list[tuple[str, str]] = []
    for name, size, kind, count in zip(*(header.lists[word] for word in LISTS), strict=True):
        code = TYPES.get((kind.upper(), int(size) if _is_count(size) else 0))
        if code is None or not _is_count(count) or not int(count) < 2**12:
            raise FileError(expected(f"{path}", "fields of TYPE F, I or U, SIZE 1, 2, 4 or 8 and a COUNT below 4096",
                                     f"{name!r:.40} of TYPE {kind!r:.20}, SIZE {size!r:.20} and COUNT {count!r:.20}"))
        names = [name] if count == "1" else [f"{name}_{i}" for i in range(int(count))]
        if name == "_":                                                  # padding: it may occur several times
            names = [f"_{len(fields) + i}" for i in range(int(count))]
        fields += [(one, f"<{code}") for one in names]
    listed = [name for name, _ in fields]
    if len(set(listed)) < len(listed):
        raise FileError(expected(f"{path}", "different names in FIELDS", " ".join(header.lists["FIELDS"])[:60]))
    return np.dtype(fields), listed


def _of_text(path: PathLike, content: bytes, header: Header, dtype: np.dtype[np.void]) -> Array:
    words: list[bytes] = []
    n_rows, names = 0, dtype.names or ()
    for number, line in enumerate(lines_of(f"{path}", content[header.length:], header.length), header.lines + 1):
        found = line.split()
        if not found or found[0].startswith(b"#"):
            continue
        if len(found) != len(names):
            raise FileError(expected(f"{path}, line {number}", f"{len(names)} numbers, as FIELDS and COUNT declare",
                                     len(found)))
        words += found
        n_rows += 1
    if n_rows != header.n:
        raise FileError(expected(f"{path}", f"{header.n} points, as declared", f"{n_rows} lines",
                                 "the file is cut short or its counts are wrong"))
    numbers = numbers_of(f"{path}", words, "the points").reshape(n_rows, len(names))
    rows = np.zeros(n_rows, dtype)
    for i, name in enumerate(names):
        _fill(path, rows, name, numbers[:, i], words[i::len(names)])
    return rows


def _fill(path: PathLike, rows: Array, name: str, column: Array, words: list[bytes]) -> None:
    """Write numbers of a text into a field that can hold them."""
    kind = rows.dtype[name]
    if kind.kind in "iu":
        exact = kind.itemsize == 8 and all(WHOLE.fullmatch(word) for word in words)
        if exact:                                                        # float64 has fewer digits than such a field
            column = np.array([int(word) for word in words], object)
        limits = np.iinfo(kind)
        most = limits.max if exact else float(limits.max)
        if not ((column == np.floor(column)) & (column >= limits.min) & (column <= most)).all():
            raise FileError(expected(f"{path}", f"whole numbers from {limits.min} to {limits.max} in {name}, as "
                                     "declared", "others"))
        if kind.itemsize == 8 and not exact:
            column = np.minimum(column, np.nextafter(float(limits.max), 0))
    with np.errstate(over="ignore"):
        rows[name] = column


def _of_binary(path: PathLike, content: bytes, header: Header, dtype: np.dtype[np.void]) -> Array:
    _check_length(path, header.n * dtype.itemsize, content[header.length:], header.n)
    return np.frombuffer(content[header.length:], dtype, header.n) if header.n else np.zeros(0, dtype)


def _of_compressed(path: PathLike, content: bytes, header: Header, dtype: np.dtype[np.void]) -> Array:
    """Return the points of two sizes and compressed bytes, in which each field's numbers follow one another."""
    if not header.n:
        return np.zeros(0, dtype)
    if len(content) - header.length < 8:
        raise FileError(expected(f"{path}", "two sizes after DATA binary_compressed", "the end of the file",
                                 "the file is cut short"))
    packed, whole = struct.unpack_from("<II", content, header.length)
    _check_length(path, packed, content[header.length + 8:], header.n)
    if whole != header.n * dtype.itemsize or whole > LARGEST_RATIO * packed:
        raise FileError(expected(f"{path}", f"{header.n * dtype.itemsize} bytes of {header.n} points, at most "
                                 f"{LARGEST_RATIO} times the compressed ones", f"{whole} in {packed} compressed ones",
                                 "the file is damaged"))
    try:
        found = expanded(content[header.length + 8:header.length + 8 + packed], whole)
    except ValueError as error:
        raise FileError(expected(f"{path}", "points compressed by LZF", f"others ({error})", "the file is damaged")
                        ) from None
    rows, at, names = np.zeros(header.n, dtype), 0, list(dtype.names or ())
    for count in map(int, header.lists["COUNT"]):                        # the numbers of a field follow one another
        chosen, names = names[:count], names[count:]
        for i, name in enumerate(chosen):
            block = np.frombuffer(found, dtype[name], header.n * count, at)
            rows[name] = block[i::count]
        at += header.n * sum(dtype[name].itemsize for name in chosen)
    return rows


def _check_length(path: PathLike, declared: int, rest: bytes, n: int) -> None:
    """Check the bytes after the header; zeros and line ends may follow them."""
    if len(rest) < declared or rest[declared:].strip(b"\0\r\n"):
        raise FileError(expected(f"{path}", f"{declared} bytes of {n} points, as declared", len(rest),
                                 "the file is cut short or its counts are wrong"))
