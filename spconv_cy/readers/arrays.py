"""What readers of .npz files share: arrays of bounded size without pickles, checked against each other."""

import io
import math
import sys

import numpy as np

from spconv_cy.errors import FileError

MOST = 2**33                                        # bytes of one array
RATIO, LEAST = 1032, 2**16                          # deflate makes a byte of at most 1032; what any file may hold
METHODS = (0, 8)                                    # of zip: stored, deflated
EXACT = 2**53                                       # whole numbers up to here are float64 numbers


def arrays_of(path, needed, optional):
    """Return {name: array} of an .npz file: all that are needed, and the optional ones that are there; others stay.

    An array takes as many bytes as its entry holds, which is at most 1032 times the bytes of the file.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: an array is missing, comes twice or is damaged; holds more or fewer bytes than its shape and dtype
            declare, or more than 8 GiB; is of Python objects. No pickle in it is run.
    """
    from zipfile import ZipFile  # not with the package: it takes long to import

    from spconv_cy.readers.archives import entries_of

    with open(path, "rb") as file:
        try:
            with ZipFile(file) as archive:
                entries = {}
                for entry in entries_of(archive):
                    name = entry.filename.removesuffix(".npy")
                    if name in entries and name in (*needed, *optional):
                        raise FileError(f"{path}: expected one array {name}, got two; make the file again")
                    entries[name] = entry
                missing = [name for name in needed if name not in entries]
                if missing:
                    raise FileError(f"{path}: no {', '.join(missing)} in it; {', '.join(needed)} fit")
                most = min(MOST, LEAST + RATIO * file.seek(0, 2))
                return {name: _array(path, name, archive, entries[name], most)
                        for name in (*needed, *optional) if name in entries}
        except FileError:
            raise
        except Exception as error:                                       # zipfile's, zlib's and numpy's own are many
            raise FileError(f"{path}: not a whole .npz file ({error!r}); it is damaged, cut short or foreign: fetch it "
                            "again") from error


def _array(path, name, archive, entry, most):
    if entry.compress_type not in METHODS:
        raise FileError(f"{path}: {name} is packed by method {entry.compress_type}; expected a file that numpy.savez "
                        "or savez_compressed wrote: make it again")
    if entry.file_size > most:
        raise FileError(f"{path}: {name} would take {entry.file_size} bytes, and more than {most} cannot come from "
                        "this file; it is damaged")
    content = io.BytesIO(archive.read(entry))
    version = np.lib.format.read_magic(content)
    if version not in ((1, 0), (2, 0)):
        raise FileError(f"{path}: {name} is an array of .npy version {version}; (1, 0) and (2, 0) fit: save it again")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(content)
    if dtype.hasobject:
        raise ValueError(f"{name} is an array of Python objects, which are not read")
    rest = content.getbuffer()[content.tell():]
    told = math.prod(shape) * dtype.itemsize
    if told != len(rest) or min(shape, default=0) < 0 or not dtype.itemsize:
        raise FileError(f"{path}: {name} is declared as {shape} of {dtype}, {told} bytes, and {len(rest)} came; the "
                        "file is damaged: fetch or make it again")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if by_columns else "C")


def checked_ends(path, name, ends, last, least):
    """Return the starts (n + 1,) int64 of parts that end at `ends` (n,), each `least` long, the last at `last`."""
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise FileError(f"{path}: {name} {ends.shape} {ends.dtype} came; a row of whole numbers fits")
    outside = np.flatnonzero((ends < 0) | (ends > np.iinfo(np.int64).max // 2))         # what would wrap around
    if len(outside):
        raise FileError(f"{path}: {name} falls at {outside[0]} or is too large, {ends[outside[0]]}; it fits when it "
                        f"rises to {last}")
    starts = np.concatenate([[0], ends.astype(np.int64)]).astype(np.int64)
    bad = np.flatnonzero(np.diff(starts) < least)
    if len(bad) or starts[-1] != last:
        where = f"falls at {bad[0]}" if len(bad) else f"ends at {starts[-1]}"
        raise FileError(f"{path}: {name} {where}; it fits when it rises to {last}"
                        + (" by 1 or more" if least else ""))
    return starts


def checked_numbers(path, name, values, shape, low, high):
    """Return whole numbers of that shape, from `low` to `high`, as int64."""
    if values.shape != shape or values.dtype.kind not in "iub":
        raise FileError(f"{path}: {name} {values.shape} {values.dtype} came; {shape} whole numbers fit")
    bad = np.flatnonzero((values < low) | (values > high))
    if len(bad):
        raise FileError(f"{path}: {name} {bad[0]} is {values.reshape(-1)[bad[0]]}; {low} to {high} fit")
    return values.astype(np.int64)


def checked_floats(path, name, values, shape, what):
    """Return numbers as finite float64; None in `shape` is any length, `what` names the shape in the error."""
    fits = values.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
    if not fits or values.dtype.kind not in "iuf":
        raise FileError(f"{path}: {name} {values.shape} {values.dtype} came; {what} finite numbers fit")
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float64)
    exact = (abs(numbers) <= EXACT) if values.dtype.kind in "iu" else np.isfinite(numbers)
    if not exact.all():
        at = np.flatnonzero(~exact.reshape(len(numbers), -1).all(1))[0]
        raise FileError(f"{path}: {name} {values.shape} {values.dtype} came, and point {at} of {name} is "
                        f"{values[at].tolist()}; {what} finite numbers fit, whole ones up to 2^53")
    return numbers


def checked_names(path, name, values):
    """Return names or whole numbers (n,) as a tuple."""
    if values.ndim != 1 or values.dtype.kind not in "iuUS":
        raise FileError(f"{path}: {name} {values.shape} {values.dtype} came; ({name},) names or numbers fit")
    if values.dtype.kind == "U":
        codes = np.frombuffer(values.tobytes(), values.dtype.byteorder + "u4")
        if ((codes > sys.maxunicode) | (codes >> 11 == 0xD800 >> 11)).any():
            raise FileError(f"{path}: {name} holds codes that are no characters; the file is damaged: fetch it again")
    return tuple(values.tolist())
