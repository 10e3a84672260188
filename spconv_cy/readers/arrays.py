"""Arrays of .npz files: limited in size, without pickles, and checked against each other."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.errors import FileError, expected

if TYPE_CHECKING:
    from typing import Any, BinaryIO
    from zipfile import ZipFile, ZipInfo

    from spconv_cy.types import Array, PathLike

MOST = 2**33                                        # bytes of one array
RATIO, LEAST = 1032, 2**16                          # deflate expands a byte to at most 1032; bytes allowed in any file
METHODS = (0, 8)                                    # of zip: stored, deflated
EXACT = 2**53                                       # float64 holds all whole numbers up to here


def arrays_of(path: PathLike, needed: Sequence[str], optional: Sequence[str],
              content: BinaryIO | None = None) -> dict[str, Array]:
    """Return {name: array} of an .npz file: all needed arrays and those optional ones that it has.

    Arrays of other names are not read. The memory of an array is limited by the size of its entry, which is at most
    1032 times the size of the file.

    Args:
        path: of the file.
        needed, optional: names of arrays.
        content: the .npz file, if it is not the one at the path, which is only named in errors then.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, occurs twice or is damaged; holds more or fewer bytes than its shape and dtype
            declare, or more than 8 GiB; or holds Python objects. Pickles are never run.
    """
    from zipfile import ZipFile  # imported here because it takes long

    with open(path, "rb") if content is None else content as file:
        try:
            with ZipFile(file) as archive:
                entries = _entries(path, archive, needed, optional)
                most = min(MOST, LEAST + RATIO * file.seek(0, 2))
                return {name: _array(path, name, archive, entries[name], most)
                        for name in (*needed, *optional) if name in entries}
        except FileError:
            raise
        except Exception as error:                                       # of many classes: from zipfile, zlib and numpy
            raise FileError(expected(f"{path}", "a complete .npz file", f"one that cannot be read ({error!r})",
                                     "it is damaged, cut short or of another format: fetch it again")) from error


def _entries(path: PathLike, archive: ZipFile, needed: Sequence[str], optional: Sequence[str]) -> dict[str, ZipInfo]:
    from spconv_cy.readers.archives import entries_of  # imports zipfile

    entries: dict[str, ZipInfo] = {}
    for entry in entries_of(archive):
        name = entry.filename.removesuffix(".npy")
        if name in entries and name in (*needed, *optional):
            raise FileError(expected(f"{path}", f"one array {name}", "two", "make the file again"))
        entries[name] = entry
    missing = [name for name in needed if name not in entries]
    if missing:
        raise FileError(expected(f"{path}", f"arrays {', '.join(needed)}", f"no {', '.join(missing)}"))
    return entries


def _array(path: PathLike, name: str, archive: ZipFile, entry: ZipInfo, most: int) -> Array:
    if entry.compress_type not in METHODS:
        raise FileError(expected(f"{path}", "a file written by numpy.savez or savez_compressed",
                                 f"{name} compressed by method {entry.compress_type}", "make it again"))
    if entry.file_size > most:
        raise FileError(expected(f"{path}", f"at most {most} bytes in {name}, given the size of the file",
                                 entry.file_size, "the file is damaged"))
    content = io.BytesIO(archive.read(entry))
    version = np.lib.format.read_magic(content)  # type: ignore[no-untyped-call]
    if version not in ((1, 0), (2, 0)):
        raise FileError(expected(f"{path}", f"{name} in .npy version (1, 0) or (2, 0)", version, "save it again"))
    read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(content)
    if dtype.hasobject:
        raise ValueError(f"{name} is an array of Python objects, which are not read")
    rest = content.getbuffer()[content.tell():]
    declared = math.prod(shape) * dtype.itemsize
    if declared != len(rest) or min(shape, default=0) < 0 or not dtype.itemsize:
        raise FileError(expected(f"{path}", f"{declared} bytes in {name}, declared as {shape} of {dtype}", len(rest),
                                 "the file is damaged: fetch or make it again"))
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if by_columns else "C")


def checked_ends(path: PathLike, name: str, ends: Array, last: int, least: int) -> Array:
    """Return the starts (n + 1,) int64 of parts that end at `ends` (n,).

    Raises:
        FileError: a part is shorter than `least`, or the last does not end at `last`.
    """
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise FileError(expected(f"{path}", f"{name} of shape (n,), whole numbers", _described(ends)))
    wanted = f"{name} to rise to {last}" + (" in steps of 1 or more" if least else "")
    outside = np.flatnonzero((ends < 0) | (ends > np.iinfo(np.int64).max // 2))         # these would overflow below
    if len(outside):
        raise FileError(expected(f"{path}", wanted, f"{ends[outside[0]]} at index {outside[0]}"))
    starts: Array = np.concatenate([[0], ends.astype(np.int64)]).astype(np.int64)
    bad = np.flatnonzero(np.diff(starts) < least)
    if len(bad):
        at = bad[0]
        raise FileError(expected(f"{path}", wanted, f"{starts[at + 1]} after {starts[at]} at index {at}"))
    if starts[-1] != last:
        raise FileError(expected(f"{path}", wanted, f"{starts[-1]} as the last"))
    return starts


def checked_numbers(path: PathLike, name: str, values: Array, shape: tuple[int, ...], low: int, high: int) -> Array:
    """Return whole numbers of that shape as int64.

    Raises:
        FileError: the shape differs, or a number is not whole or not from `low` to `high`.
    """
    if values.shape != shape or values.dtype.kind not in "iub":
        raise FileError(expected(f"{path}", f"{name} of shape {shape}, whole numbers", _described(values)))
    bad = np.flatnonzero((values < low) | (values > high))
    if len(bad):
        raise FileError(expected(f"{path}", f"{name} from {low} to {high}",
                                 f"{values.reshape(-1)[bad[0]]} at index {bad[0]}"))
    return values.astype(np.int64)


def checked_floats(path: PathLike, name: str, values: Array, shape: tuple[int | None, ...], what: str) -> Array:
    """Return finite numbers as float64.

    Args:
        path, name: for the error.
        values: floats, or whole numbers up to 2^53.
        shape: of the values; None stands for any length.
        what: the shape as the error shows it.

    Raises:
        FileError: the shape differs, or a number is not finite or too large.
    """
    fits = values.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
    if not fits or values.dtype.kind not in "iuf":
        raise FileError(expected(f"{path}", f"{name} of shape {what}, finite numbers", _described(values)))
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float64)
    exact = (abs(numbers) <= EXACT) if values.dtype.kind in "iu" else np.isfinite(numbers)
    if not exact.all():
        at = np.flatnonzero(~exact.reshape(len(numbers), -1).all(1))[0]
        raise FileError(expected(f"{path}", f"{name} of shape {what}, finite numbers, whole ones up to 2^53",
                                 f"{values[at].tolist()} at index {at}"))
    return numbers


def checked_names(path: PathLike, name: str, values: Array) -> tuple[str | int, ...]:
    """Return names or whole numbers (n,) as a tuple.

    Raises:
        FileError: another shape or dtype, or text that is not Unicode.
    """
    if values.ndim != 1 or values.dtype.kind not in "iuUS":
        raise FileError(expected(f"{path}", f"{name} of shape (n,), names or whole numbers", _described(values)))
    if values.dtype.kind == "U":
        codes = np.frombuffer(values.tobytes(), values.dtype.byteorder + "u4")
        if ((codes > sys.maxunicode) | (codes >> 11 == 0xD800 >> 11)).any():
            raise FileError(expected(f"{path}", f"Unicode text in {name}", "codes that are not characters",
                                     "the file is damaged: fetch it again"))
    return tuple(values.tolist())


def _described(values: Array) -> str:
    return f"shape {values.shape} of {values.dtype}"
