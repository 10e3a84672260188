"""One .safetensors file of arrays and text: written whole or not at all, read with every complaint in plain words."""

import json
import os
import zlib

import numpy as np

from spconv_cy.dlpack import without_mask
from spconv_cy.errors import FileError
from spconv_cy.io.foreign import described, of_format, refuse_folder
from spconv_cy.writing import new_file

VERSION = 1
LONGEST_HEADER = 100_000_000                                             # of what readers of .safetensors accept
# What things can raise when they are made of a description that nobody wrote: readers turn it into FileError.
BROKEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)


def write(path, kind, arrays, text):
    """Write arrays and JSON values; the file is complete under its name, or what was there before is untouched.

    Args:
        path: of the file, or of a pipe or device.
        kind: what the file is, such as "spconv_cy"; `read` refuses others.
        arrays: dict of numpy arrays.
        text: dict of JSON values.

    Raises:
        TypeError: a value that JSON cannot hold, or an array of other things than numbers.
        ValueError: text that is longer than a .safetensors file can hold.
        FileNotFoundError: there is no such folder.
        OSError: it cannot be written: no room, no permission.
    """
    path = os.fsdecode(path)
    entries = {name: json.dumps(value) for name, value in text.items()}
    for name, array in arrays.items():
        without_mask(array, name)
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"{path}: {name} is an array of {array.dtype}, which cannot be saved; whole and real "
                            "numbers of at most 8 bytes can")
    arrays = {name: np.asarray(array, array.dtype.newbyteorder("<"), order="C") for name, array in arrays.items()}
    metadata = {"format": kind, "version": str(VERSION), **entries, "checksum": _checksum(entries, arrays)}
    arrays = dict(sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))  # each lies aligned
    header = _header(metadata, arrays)
    if len(header) > LONGEST_HEADER:
        raise ValueError(f"{path}: expected a description of at most {LONGEST_HEADER} bytes, got {len(header)}; keep "
                         "large values in a file of their own")
    with new_file(path) as file:
        file.write(header)
        for array in arrays.values():
            file.write(_bytes(array))


def read(path, kind):
    """Return (arrays, text) of a file that `write` made.

    Raises:
        FileNotFoundError: there is none.
        FileError: it is damaged, foreign, of another kind, or of a newer version.
    """
    from safetensors import SafetensorError, safe_open

    path = os.fsdecode(path)
    refuse_folder(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{path}: expected a regular file, got a pipe or a device; write what it gives to a file first")
    with open(path, "rb"):                                               # missing, a folder, unreadable: open says it
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            entries = _checked(path, kind, metadata)
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except FileError:
        raise
    except (SafetensorError, OSError, *BROKEN) as error:                 # a dtype that numpy does not have: TypeError
        raise FileError(f"{path}: not a whole .safetensors file ({error}); {described(path)}") from error
    if metadata.get("checksum") != _checksum(entries, arrays):
        raise FileError(f"{path}: what it holds does not match its checksum; it is damaged: fetch or make it again")
    try:
        return arrays, {name: json.loads(value) for name, value in entries.items()}
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: the description is not JSON ({error}); the file is damaged or foreign") from error


def _checked(path, kind, metadata):
    found = metadata.get("format")
    if found != kind:
        came = f"of format {found!r}" if found else "with no format of ours in its metadata"
        raise FileError(f"{path}: a .safetensors file {came} came; {kind!r} fits here: networks are read by load "
                        f"or SparseConvClassifier.load, checkpoints by fit{of_format(found)}")
    version = metadata.get("version", "")
    if version != str(VERSION):
        raise FileError(f"{path}: version {version!r} of the format came; this library reads {VERSION}: install a "
                        "newer spconv_cy")
    return {name: value for name, value in metadata.items() if name not in ("format", "version", "checksum")}


def _header(metadata, arrays):
    """Return what a .safetensors file begins with: its length in 8 bytes, JSON, blanks up to a multiple of 8 bytes.

    The numbers follow, array by array. They are written one by one, so that no second copy of a network is made.
    """
    told, end = {"__metadata__": metadata}, 0
    for name, array in arrays.items():
        kind = {"b": "BOOL", "i": "I", "u": "U", "f": "F"}[array.dtype.kind]
        bits = "" if kind == "BOOL" else 8 * array.dtype.itemsize
        told[name] = {"dtype": f"{kind}{bits}", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    header = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _bytes(array):
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _checksum(entries, arrays):
    """Return the CRC-32 of names, text, shapes, dtypes and numbers: damage is found, forgery is not."""
    shapes = [(name, arrays[name].dtype.name, arrays[name].shape) for name in sorted(arrays)]
    crc = zlib.crc32(json.dumps([sorted(entries.items()), shapes]).encode())
    for name in sorted(arrays):
        crc = zlib.crc32(_bytes(arrays[name]), crc)
    return format(crc, "08x")
