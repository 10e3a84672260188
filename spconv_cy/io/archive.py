"""Writes and reads one .safetensors file of arrays and JSON values, with a checksum."""

import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from spconv_cy.dlpack import without_mask
from spconv_cy.errors import FileError, expected
from spconv_cy.io.checkpoint_files import with_metadata
from spconv_cy.io.foreign import of_format, recognised, refuse_folder
from spconv_cy.io.pth_storage import Budget, Refused, mapped, release
from spconv_cy.types import Array, PathLike
from spconv_cy.writing import new_file

VERSION = 1
LONGEST_HEADER = 100_000_000                                             # that readers of .safetensors accept
# Exceptions that can occur when objects are built from a damaged description; readers turn them into FileError.
BROKEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)


def write(path: PathLike, kind: str, arrays: Mapping[str, Array], text: Mapping[str, object]) -> None:
    """Write arrays and JSON values to a file, completely or not at all.

    Args:
        path: of the file, or of a pipe or device.
        kind: of the file, such as "spconv_cy"; `read` refuses other kinds.
        arrays: dict of numpy arrays.
        text: dict of JSON values.

    Raises:
        TypeError: a value that JSON cannot hold, or an array of something other than numbers.
        ValueError: text that is longer than a .safetensors file can hold.
        FileNotFoundError: there is no such folder.
        OSError: the file cannot be written: the disk is full, or there is no permission.
    """
    path = os.fsdecode(path)
    entries = {name: json.dumps(value) for name, value in text.items()}
    arrays = _checked_arrays(path, arrays)
    metadata = {"format": kind, "version": str(VERSION), **entries, "checksum": _checksum(entries, arrays)}
    arrays = dict(sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))  # each lies aligned
    header = _header(metadata, arrays)
    if len(header) > LONGEST_HEADER:
        raise ValueError(expected(path, f"a description of at most {LONGEST_HEADER} bytes", len(header),
                                  "keep large values in another file"))
    with new_file(path) as file:
        file.write(header)
        for array in arrays.values():
            file.write(_bytes(array))


def read(path: PathLike, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return (arrays, text) of a file that `write` wrote."""
    arrays, text = opened(path, kind)
    return {name: _read(array) for name, array in arrays.items()}, text


def opened(path: PathLike, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return (arrays, text) of a file that `write` wrote; the arrays are views of the file, which must not change.

    The memory that they take in reading is given back by `release`.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is damaged, of another format or kind, or of a newer version.
    """
    path = os.fsdecode(path)
    refuse_folder(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(expected(path, "a regular file", "a pipe or a device", "write its content to a file first"))
    with open(path, "rb"):                                               # raises if the file is missing or unreadable
        pass
    try:
        metadata, arrays = _opened(path)
        entries = _checked_metadata(path, kind, metadata)
    except FileError:
        raise
    except (OSError, *BROKEN) as error:
        what, remedy = recognised(path)
        # The error tells nothing about a file that is known to be of another format.
        why = f" ({error})" if "safetensors" in what or "foreign" in what else ""
        raise FileError(expected(path, "a complete .safetensors file", f"{what}{why}", remedy)) from error
    if metadata.get("checksum") != _checksum(entries, arrays):
        raise FileError(expected(path, "content that matches its checksum", "a damaged file",
                                 "fetch it or save it again"))
    try:
        return arrays, {name: json.loads(value) for name, value in entries.items()}
    except (ValueError, RecursionError) as error:
        raise FileError(expected(path, "a description in JSON", f"a damaged or foreign file ({error})")) from error


def _opened(path: str) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and the arrays of a file."""
    content = mapped(path)
    try:
        held, metadata = with_metadata(content, Budget(len(content)))
    except Refused as error:
        raise ValueError(error.got) from None
    return metadata, held


def _read(array: Array) -> Array:
    """Return a copy of an array of a mapped file, whose memory is given back."""
    found = array.copy()
    release(array)
    return found


def _checked_arrays(path: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays in little-endian byte order and C order; raise TypeError if one holds no numbers."""
    for name, array in arrays.items():
        without_mask(array, name)
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(expected(f"{path}: {name}", "an array of whole or real numbers of at most 8 bytes",
                                     f"one of {array.dtype}"))
    return {name: np.asarray(array, array.dtype.newbyteorder("<"), order="C") for name, array in arrays.items()}


def _checked_metadata(path: str, kind: str, metadata: dict[str, str]) -> dict[str, str]:
    found = metadata.get("format")
    if found != kind:
        got = f"one of format {found!r}" if found else "one without a format in its metadata"
        raise FileError(expected(path, f"a .safetensors file of format {kind!r}", got, "networks are read by load or "
                                 f"SparseConvClassifier.load, checkpoints by fit{of_format(found)}"))
    version = metadata.get("version", "")
    if version != str(VERSION):
        raise FileError(expected(path, f"version {VERSION} of the format", repr(version), "install a newer spconv_cy"))
    return {name: value for name, value in metadata.items() if name not in ("format", "version", "checksum")}


def _header(metadata: dict[str, str], arrays: dict[str, Array]) -> bytes:
    """Return the beginning of a .safetensors file: its length in 8 bytes, JSON, spaces up to a multiple of 8 bytes.

    The arrays follow one after the other. They are written one by one, so that a network is not copied in memory.
    """
    told: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        kind = {"b": "BOOL", "i": "I", "u": "U", "f": "F"}[array.dtype.kind]
        bits = "" if kind == "BOOL" else 8 * array.dtype.itemsize
        told[name] = {"dtype": f"{kind}{bits}", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    header = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _bytes(array: Array) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _checksum(entries: dict[str, str], arrays: Mapping[str, Array]) -> str:
    """Return the CRC-32 of names, text, shapes, dtypes and numbers. It finds damage, not forgery."""
    shapes = [(name, arrays[name].dtype.name, arrays[name].shape) for name in sorted(arrays)]
    crc = zlib.crc32(json.dumps([sorted(entries.items()), shapes]).encode())
    for name in sorted(arrays):
        crc = zlib.crc32(_bytes(arrays[name]), crc)
        release(arrays[name])
    return format(crc, "08x")
