"""One .safetensors file of arrays and text: written whole or not at all, read with every complaint in plain words."""

import json
import os
import uuid
import zlib

from spconv_cy.errors import FileError

VERSION = 1


def write(path, kind, arrays, text):
    """Write arrays and JSON values; the file is complete under its name, or what was there before is untouched.

    Args:
        path: of the file.
        kind: what the file is, such as "spconv_cy"; `read` refuses others.
        arrays: dict of numpy arrays.
        text: dict of JSON values.

    Raises:
        TypeError: a value that JSON cannot hold.
    """
    from safetensors.numpy import save_file

    entries = {name: json.dumps(value) for name, value in text.items()}
    metadata = {"format": kind, "version": str(VERSION), **entries, "checksum": _checksum(entries)}
    path = os.fspath(path)
    unfinished = f"{path}.{uuid.uuid4().hex}"
    try:
        save_file(arrays, unfinished, metadata)
        os.replace(unfinished, path)
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
    with open(path, "rb"):                                               # missing, a folder, unreadable: open says it
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            text = _checked(path, kind, metadata)
            return {name: file.get_tensor(name) for name in file.keys()}, text
    except (SafetensorError, OSError, UnicodeDecodeError, AttributeError) as error:
        # AttributeError: a dtype that numpy does not have.
        raise FileError(f"{path}: not a whole .safetensors file ({error}); it is damaged, cut short or foreign: fetch "
                        "or make it again") from error


def _checked(path, kind, metadata):
    found = metadata.get("format")
    if found != kind:
        came = f"of format {found!r}" if found else "with no format of ours in its metadata"
        raise FileError(f"{path}: a .safetensors file {came} came; {kind!r} fits here: networks are read by load "
                        "or SparseConvClassifier.load, checkpoints by fit")
    version = metadata.get("version", "")
    if not version.isdecimal() or int(version) != VERSION:
        raise FileError(f"{path}: version {version!r} of the format came; this library reads {VERSION}: install a "
                        "newer spconv_cy")
    entries = {name: value for name, value in metadata.items() if name not in ("format", "version", "checksum")}
    if metadata.get("checksum") != _checksum(entries):
        raise FileError(f"{path}: the description does not match its checksum; the file is damaged: fetch or make it "
                        "again")
    try:
        return {name: json.loads(value) for name, value in entries.items()}
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: the description is not JSON ({error}); the file is damaged or foreign") from error


def _checksum(entries):
    return format(zlib.crc32("\0".join(f"{name}\0{entries[name]}" for name in sorted(entries)).encode()), "08x")
