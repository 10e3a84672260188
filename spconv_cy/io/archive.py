"""Writes and reads one .safetensors file of arrays and JSON values, with a checksum."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from spconv_cy.dlpack import without_mask
from spconv_cy.errors import FileError, expected
from spconv_cy.io.checkpoint_files import with_metadata
from spconv_cy.io.checksums import crc32, joined
from spconv_cy.io.foreign import of_format, recognised, refuse_folder
from spconv_cy.io.pth_storage import Budget, Refused, Releasing, mapped
from spconv_cy.types import Array, PathLike

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
    sums = {id(array): crc32(_bytes(array)) for array in arrays.values()}
    metadata = {"format": kind, "version": str(VERSION), **entries, "checksum": _checksum(entries, arrays, sums)}
    arrays = dict(sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))  # each lies aligned
    header = _header(metadata, arrays)
    if len(header) > LONGEST_HEADER:
        raise ValueError(expected(path, f"a description of at most {LONGEST_HEADER} bytes", len(header),
                                  "keep large values in another file"))
    from spconv_cy.writing import new_file  # not needed to load

    with new_file(path) as file:
        file.write(header)
        for array in arrays.values():
            file.write(_bytes(array).data)


def read(path: PathLike, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return (arrays, text) of a file that `write` wrote."""
    file = Opened(path, kind)
    found = {}
    for name, array in file.arrays.items():
        found[name] = array.copy()
        file.copied(array)
    file.check()
    return found, file.text()


class Opened:
    """A file that `write` wrote. Its arrays are views of the file, which must not change until they are copied.

    The checksum is taken as arrays are copied, while their numbers are in the processor's caches. What was made of the
    arrays and the text must not be used before `check` has returned.

    Args:
        path: of the file.
        kind: as for `write`.

    Attributes:
        arrays: dict of arrays by name.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file is of another format or kind, of a newer version, or cut off.
    """

    def __init__(self, path: PathLike, kind: str) -> None:
        self._path = os.fsdecode(path)
        metadata, self.arrays = _opened(self._path)
        self._entries, self._told = _checked_metadata(self._path, kind, metadata), metadata.get("checksum")
        self._sums: dict[int, int] = {}
        self._releasing = Releasing()

    def text(self) -> dict[str, Any]:
        """Return the JSON values by name."""
        try:
            return {name: json.loads(value) for name, value in self._entries.items()}
        except (ValueError, RecursionError) as error:
            self.check()
            raise FileError(expected(self._path, "a description in JSON", f"a damaged or foreign file ({error})")
                            ) from error

    def copied(self, array: Array, crc: int | None = None) -> None:
        """Take an array that has just been copied into the checksum, and give back the memory that it takes.

        Args:
            array: one of `arrays`.
            crc: the CRC-32 of its bytes, if that is known.
        """
        self._sums[id(array)] = crc32(_bytes(array)) if crc is None else crc
        self._releasing.copied(array)

    def check(self) -> None:
        """Raise FileError if the content does not match the checksum."""
        for array in self.arrays.values():
            if id(array) not in self._sums:
                self.copied(array)
        if self._told != _checksum(self._entries, self.arrays, self._sums):
            raise FileError(expected(self._path, "content that matches its checksum", "a damaged file",
                                     "fetch it or save it again"))


def _opened(path: str) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and the arrays of a file."""
    refuse_folder(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(expected(path, "a regular file", "a pipe or a device", "write its content to a file first"))
    with open(path, "rb"):                                               # raises if the file is missing or unreadable
        pass
    try:
        content = mapped(path)
        held, metadata = with_metadata(content, Budget(len(content)))
    except (OSError, *BROKEN) as error:
        what, remedy = recognised(path)
        # The error tells nothing about a file that is known to be of another format.
        told = error.got if isinstance(error, Refused) else error
        why = f" ({told})" if "safetensors" in what or "foreign" in what else ""
        raise FileError(expected(path, "a complete .safetensors file", f"{what}{why}", remedy)) from error
    return metadata, held


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


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _checksum(entries: dict[str, str], arrays: Mapping[str, Array], sums: Mapping[int, int]) -> str:
    """Return the CRC-32 of names, text, shapes, dtypes and numbers. It finds damage, not forgery.

    Args:
        entries, arrays: of the file.
        sums: the CRC-32 of each array by its id.
    """
    shapes = [(name, arrays[name].dtype.name, arrays[name].shape) for name in sorted(arrays)]
    crc = crc32(json.dumps([sorted(entries.items()), shapes]).encode())
    for name in sorted(arrays):
        crc = joined(crc, sums[id(arrays[name])], arrays[name].nbytes)
    return format(crc, "08x")
