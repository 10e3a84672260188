"""The three formats of torch.save: zip archive, pickles one after the other, and tar archive; and plain pickles."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from spconv_cy.io.pth_machine import Source
from spconv_cy.io.pth_storage import Budget, Refused, Storage, brief, checked_counts, kind_name
from spconv_cy.io.pth_table import machine, storage_code
from spconv_cy.io.pth_zip import Archive
from spconv_cy.types import Array

MAGIC = 0x1950A86A20F9469CFC6C                                           # the first pickle of the old format
PROTOCOL = 1001                                                          # and the second
SMALL, MOST_PACKED = 1 << 20, 50                                         # bytes; ratio of a compressed pickle


def of_zip(archive: Archive, budget: Budget) -> Any:
    """Return the object of a file of torch since 1.6: `data.pkl`, and a record for each storage."""
    name = next(name for name in archive.records if is_pickle(name))
    if sum(map(is_pickle, archive.records)) > 1:
        raise Refused("an archive with one data.pkl", "several")
    folder = name.removesuffix("data.pkl")
    order = "<"
    if f"{folder}byteorder" in archive.records:
        order = {b"little": "<", b"big": ">"}.get(bytes(archive.read(f"{folder}byteorder")[:8]), "")
        if not order:
            raise Refused("the order of bytes, little or big", "something else")
    record = archive.records[name]
    if record.size > SMALL + MOST_PACKED * record.packed:                # each byte of a pickle takes time
        raise Refused(f"a record {brief(name)} that is packed at most {MOST_PACKED} times",
                      f"{record.size} bytes in {record.packed}", "pack the archive anew without compression")
    contents: dict[str, Array] = {}
    found: dict[tuple[str, str], Storage] = {}

    def storage(told: Any) -> Storage:
        code, key, count = _told(told)
        if key not in contents:
            contents[key] = archive.read(f"{folder}data/{key}")
        if (key, code) not in found:
            found[key, code] = Storage(contents[key], code, budget, order)
        if found[key, code].count < count:
            raise Refused(f"a storage {brief(key)} of {count} numbers", f"one of {found[key, code].count}")
        return found[key, code]

    return machine(Source(archive.read(name, check=True)), budget, storage).run()


def is_pickle(name: str) -> bool:
    """Return True if a record of an archive is the pickle of torch."""
    return name.rpartition("/")[2] == "data.pkl" and name.count("/") < 2


def of_pickles(content: Array, budget: Budget) -> Any:
    """Return the object of a file of torch before 1.6, or of a plain pickle."""
    source = Source(content)
    first = machine(source, budget, _no_storage).run()
    if type(first) is not int or first != MAGIC:
        if source.tell() != len(content):
            raise Refused("a file of one pickle", f"{len(content) - source.tell()} more bytes after it")
        return first
    version = machine(source, budget, _no_storage).run()
    if type(version) is not int or version != PROTOCOL:
        raise Refused(f"a file of torch of version {PROTOCOL}", brief(version))
    machine(source, budget, _no_storage).run()                          # sizes of C's types on the writer's machine
    start = source.tell()
    told: dict[str, tuple[str, int]] = {}
    machine(source, Budget(len(content)), _announced(told)).run()
    stored = _storages(source, told, budget)
    found: dict[tuple[Any, ...], Storage] = {}

    def storage(named: Any) -> Any:
        if type(named) is tuple and len(named) == 4 and type(named[0]) is str and named[0] == "module":
            return named[1]                                              # a class, and its source text
        code, key, _ = _told(named)
        if key not in stored or stored[key].code != code:
            raise Refused(f"a file with the storage {brief(key)}", "one without it")
        return _part(stored[key], key, named[5] if len(named) > 5 else None, found)

    return machine(Source(content, start), budget, storage).run()


def of_tar(content: Array, budget: Budget) -> Any:
    """Return the object of a file of torch 0.1: files `storages`, `tensors` and `pickle` in a tar archive."""
    files = tar_files(content)
    for name in ("storages", "tensors", "pickle"):
        if name not in files:
            raise Refused("a tar archive of torch 0.1: storages, tensors and pickle", f"one without {name}")
    known: dict[Any, Any] = {}
    _read_tar_storages(Source(files["storages"]), known, budget)
    _read_tar_tensors(Source(files["tensors"]), known, budget)

    def persistent(named: Any) -> Any:
        named = named[0] if type(named) is tuple and named else named
        return _known(known, int(named) if type(named) is str and named.isdecimal() and len(named) < 30 else named,
                      object)

    return machine(Source(files["pickle"]), budget, persistent).run()


def _read_tar_storages(source: Source, known: dict[Any, Any], budget: Budget) -> None:
    """Add the storages, and the parts of them that are storages too, by their keys."""
    for _ in range(_number(source, budget)):
        key, _, kind = _entries(source, budget, 3)
        known[key] = _stored(source, storage_code(kind), budget)
    views = machine(source, budget, _no_storage).run()
    for view in views if type(views) is list else ():
        key, root, first, count = _checked_key(_checked(view, 4))
        known[key] = _known(known, root, Storage).part(first, count)


def _read_tar_tensors(source: Source, known: dict[Any, Any], budget: Budget) -> None:
    """Add the tensors by their keys."""
    for _ in range(_number(source, budget)):
        key, root, _ = _entries(source, budget, 3)
        axes, = _unpacked(source, "<i4x")
        if not 0 <= axes <= 1000:
            raise Refused("a tensor of few axes", axes)
        sizes = _unpacked(source, f"<{axes}q"), _unpacked(source, f"<{axes}q")
        offset, = _unpacked(source, "<q")
        known[key] = _known(known, root, Storage).view(offset, *sizes)


def tar_files(content: Array) -> dict[str, Array]:
    """Return the files of a tar archive by name, uint8 (n,) each."""
    found: dict[str, Array] = {}
    at = 0
    while at + 512 <= len(content):
        head = bytes(content[at:at + 512])
        if not head.strip(b"\0"):
            break
        digits = head[124:136].strip(b" \0")
        size = int(digits, 8) if digits.isdigit() and b"8" not in digits and b"9" not in digits else -1
        if head[257:262] != b"ustar" or size < 0 or at + 512 + size > len(content):
            raise Refused("a complete tar archive", f"one that is damaged at byte {at}")
        if head[156:157] in (b"0", b"\0"):
            name = head[:100].rstrip(b"\0").decode("latin-1").removeprefix("./")
            if name in found:
                raise Refused("an archive whose files have names of their own", f"two named {brief(name)}")
            found[name] = content[at + 512:at + 512 + size]
        at += 512 + (size + 511) // 512 * 512
    return found


def _told(named: Any) -> tuple[str, str, int]:
    """Return the type of the numbers, the key and the size of a storage that a pickle names."""
    if type(named) is not tuple or len(named) < 5 or {type(named[0]), type(named[2])} != {str} or named[0] != "storage":
        raise Refused("the kind, key and size of a storage", kind_name(named))
    return storage_code(named[1]), named[2], checked_counts("the size of a storage", named[4])[0]


def _no_storage(named: Any) -> Any:
    raise Refused("a pickle without storages of torch", f"one with {kind_name(named)} for a storage")


class _Announced(Storage):
    """A storage before its place in the file is known; its tensors are empty."""

    def view(self, offset: object, size: object, stride: object) -> Array:
        return np.empty(0)

    def retyped(self, code: str) -> Storage:
        return self


def _announced(told: dict[str, tuple[str, int]]) -> Callable[[Any], Any]:
    """Return the function that writes down the type and size of each storage of a pickle."""
    def storage(named: Any) -> Any:
        if type(named) is tuple and len(named) == 4 and type(named[0]) is str and named[0] == "module":
            return named[1]
        code, key, count = _told(named)
        if told.setdefault(key, (code, count)) != (code, count):
            raise Refused(f"one type and size of the storage {brief(key)}", "several")
        return nothing

    nothing = _Announced(np.empty(0, np.uint8), "u1", Budget(0))
    return storage


def _storages(source: Source, told: dict[str, tuple[str, int]], budget: Budget) -> dict[str, Storage]:
    """Return the storages that follow the pickle, in the order of their list of keys."""
    keys = machine(source, budget, _no_storage).run()
    found: dict[str, Storage] = {}
    for key in keys if type(keys) is list else ():
        if type(key) is not str or key not in told or key in found:
            raise Refused("storages that the pickle names, each once", brief(key))
        code, count = told[key]
        found[key] = _stored(source, code, budget)
        if found[key].count != count:
            raise Refused(f"a storage {brief(key)} of {count} numbers", f"one of {found[key].count}")
    return found


def _stored(source: Source, code: str, budget: Budget) -> Storage:
    """Return the storage at the position of a source: the count of its numbers in 8 bytes, then the numbers."""
    count, = _unpacked(source, "<q")
    begin, content = source.position, np.asarray(source.content)
    end = begin + count * (2 if code == "bfloat16" else np.dtype(code).itemsize)
    if count < 0 or end > len(content):
        raise Refused(f"a storage of {count} numbers inside the file", f"{len(content) - begin} bytes")
    source.position = end
    return Storage(content[begin:end], code, budget)


def _part(storage: Storage, key: str, told: Any, found: dict[tuple[Any, ...], Storage]) -> Storage:
    """Return a part of a storage, the same object for the same part: told is None, or its key, first number, count."""
    if told is None:
        return storage
    _, first, count = _checked(told, 3)
    checked_counts("a part of a storage", first, count)
    if (key, first, count) not in found:
        found[key, first, count] = storage.part(first, count)
    return found[key, first, count]


def _checked(values: Any, count: int) -> tuple[Any, ...]:
    if not isinstance(values, (tuple, list)) or len(values) != count:
        raise Refused(f"{count} values that describe a storage or tensor", kind_name(values))
    return tuple(values)


def _entries(source: Source, budget: Budget, count: int) -> tuple[Any, ...]:
    return _checked_key(_checked(machine(source, budget, _no_storage).run(), count))


def _checked_key(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if type(values[0]) not in (int, str):
        raise Refused("the key of a storage or tensor", kind_name(values[0]))
    return values


def _known(known: dict[Any, Any], key: Any, kind: type) -> Any:
    if type(key) not in (int, str) or not isinstance(known.get(key), kind):
        raise Refused(f"a storage or tensor {brief(key)}", "a file without it")
    return known[key]


def _number(source: Source, budget: Budget) -> int:
    return checked_counts("a number of storages or tensors", machine(source, budget, _no_storage).run())[0]


def _unpacked(source: Source, layout: str) -> tuple[int, ...]:
    raw = source.read(struct.calcsize(layout))
    if len(raw) < struct.calcsize(layout):
        raise Refused("a complete file", "one that ends early")
    return struct.unpack(layout, raw)
