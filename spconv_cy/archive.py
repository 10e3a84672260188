"""One .safetensors file of arrays and text: written whole or not at all, read with every complaint in plain words."""

import json
import os
import zlib

import numpy as np

from spconv_cy.errors import FileError
from spconv_cy.foreign import described, of_format, refuse_folder

VERSION = 1
# What things can raise when they are made of a description that nobody wrote: readers turn it into FileError.
BROKEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)


def write(path, kind, arrays, text):
    """Write arrays and JSON values; the file is complete under its name, or what was there before is untouched.

    Args:
        path: of the file.
        kind: what the file is, such as "spconv_cy"; `read` refuses others.
        arrays: dict of numpy arrays.
        text: dict of JSON values.

    Raises:
        TypeError: a value that JSON cannot hold, or an array of other things than numbers.
        FileNotFoundError: there is no such folder.
        OSError: it cannot be written: no room, no permission.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path = os.fspath(path)
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise FileNotFoundError(f"{path}: there is no folder {os.path.dirname(path)!r}; make it first")
    entries = {name: json.dumps(value) for name, value in text.items()}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"{path}: {name} is an array of {array.dtype}, which cannot be saved; whole and real "
                            "numbers of at most 8 bytes can")
    metadata = {"format": kind, "version": str(VERSION), **entries, "checksum": _checksum(entries, arrays)}
    unfinished = f"{path}.{os.urandom(16).hex()}"
    try:
        save_file(arrays, unfinished, metadata)
        os.replace(unfinished, path)
    except SafetensorError as error:
        raise OSError(f"{path}: it could not be written ({error})") from error
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


def read(path, kind):
    """Return (arrays, text) of a file that `write` made.

    Raises:
        FileNotFoundError: there is none.
        FileError: it is damaged, foreign, of another kind, or of a newer version.
    """
    from safetensors import SafetensorError, safe_open

    path = os.fspath(path)
    refuse_folder(path)
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


def _checksum(entries, arrays):
    """Return the CRC-32 of names, text, shapes, dtypes and numbers: damage is found, forgery is not."""
    shapes = [(name, arrays[name].dtype.name, arrays[name].shape) for name in sorted(arrays)]
    crc = zlib.crc32(json.dumps([sorted(entries.items()), shapes]).encode())
    for name in sorted(arrays):
        crc = zlib.crc32(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8), crc)
    return format(crc, "08x")
