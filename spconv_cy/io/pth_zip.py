"""Finds the records of a zip archive, also of 4 GiB and more; sizes and places are checked before they are used."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from spconv_cy.io.checksums import crc32
from spconv_cy.io.pth_storage import Budget, Refused, brief
from spconv_cy.types import Array

CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
IN_EXTRA = 0xFFFFFFFF                                                    # the number stands in the extra field
STORED, DEFLATED = 0, 8
PIECE = 1 << 16
ARCHIVE = "a complete zip archive"


class Record(NamedTuple):
    """Where the bytes of one file of an archive are."""

    head: int
    begin: int
    packed: int
    size: int
    method: int
    crc: int


class Archive:
    """Records of a zip archive by name.

    Args:
        content: the archive, uint8 (n,).
        budget: memory for the list of records and for compressed ones.

    Raises:
        Refused: the archive is damaged, or its records overlap, have equal names or are encrypted.
    """

    def __init__(self, content: Array, budget: Budget) -> None:
        self.content, self.budget = content, budget
        self.records = _records(content, budget)

    def read(self, name: str, check: bool = False) -> Array:
        """Return the bytes of one record, uint8 (n,): of the file itself if they are not compressed.

        Args:
            name: of the record.
            check: True: compare the checksum of a record that is not compressed too, which reads all of it.
        """
        if name not in self.records:
            raise Refused(f"an archive with the record {brief(name)}", "one without it")
        record = self.records[name]
        found = self.content[record.begin:record.begin + record.packed]
        if record.method == DEFLATED:
            found = self._inflated(name, found, record.size)
        if (check or record.method == DEFLATED) and record.crc and crc32(found) != record.crc:
            raise Refused(f"a record {brief(name)} that matches its checksum", "a damaged one")
        return found

    def _inflated(self, name: str, packed: Array, size: int) -> Array:
        """Return a compressed record, unpacked piece by piece, so that its bytes are never in memory twice."""
        self.budget.take(size)
        found, end, stream = np.empty(size, np.uint8), 0, zlib.decompressobj(-15)
        try:
            for piece in _pieces(stream, packed):
                if end + len(piece) <= size:
                    found[end:end + len(piece)] = np.frombuffer(piece, np.uint8)
                end += len(piece)
                if end > size:
                    break
        except zlib.error as error:
            raise Refused(f"a record {brief(name)} that can be unpacked", f"a damaged one ({error})") from None
        if end != size:
            raise Refused(f"a record {brief(name)} of {size} bytes", "another size")
        found.flags.writeable = False
        return found


def _pieces(stream: Any, packed: Array) -> Iterator[bytes]:
    """Yield what a stream of zlib unpacks, some 64 KiB at a time."""
    for start in range(0, len(packed), PIECE):
        rest = bytes(packed[start:start + PIECE])
        while rest and not stream.eof:
            yield stream.decompress(rest, PIECE)
            rest = stream.unconsumed_tail
    yield stream.flush()


def _records(content: Array, budget: Budget) -> dict[str, Record]:
    count, position, end = _directory(content)
    found: dict[str, Record] = {}
    view = memoryview(content)  # type: ignore[arg-type]
    for _ in range(count):
        fields = CENTRAL.unpack_from(view, position) if position + CENTRAL.size <= end else (b"",)
        if fields[0] != b"PK\1\2":
            raise Refused(ARCHIVE, f"one whose list of {count} records ends early")
        name_length, extra_length, comment_length = fields[10:13]
        after = position + CENTRAL.size + name_length
        budget.take(400 + 2 * name_length)
        name = _decoded(bytes(view[after - name_length:after]))
        record = _record(view, name, fields, bytes(view[after:after + extra_length]))
        if name in found:
            raise Refused("an archive whose records have names of their own", f"two named {brief(name)}")
        found[name] = record
        position = after + extra_length + comment_length
    last, before = 0, ""
    for name, record in sorted(found.items(), key=lambda item: item[1].head):
        if record.head < last:
            raise Refused("an archive whose records lie apart",
                          f"records {brief(before)} and {brief(name)}, which overlap")
        last, before = record.begin + record.packed, name
    return found


def _directory(content: Array) -> tuple[int, int, int]:
    """Return the number of records, and the first byte and the end of their list."""
    first = max(0, len(content) - END.size - 0xFFFF)
    tail = bytes(content[first:])
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + END.size > len(tail):
        raise Refused(ARCHIVE, "one without its end")
    _, disk, _, _, count, size, offset, comment = END.unpack_from(tail, at)
    if at + END.size + comment > len(tail) or disk not in (0, 0xFFFF):
        raise Refused(ARCHIVE, "one without its end")
    end = first + at
    if at >= LOCATOR.size and tail[at - LOCATOR.size:at - LOCATOR.size + 4] == b"PK\6\7":
        end = LOCATOR.unpack_from(tail, at - LOCATOR.size)[2]
        raw = bytes(content[end:end + END64.size]) if end < len(content) else b""
        if len(raw) < END64.size or raw[:4] != b"PK\6\6":
            raise Refused(ARCHIVE, "one without its end")
        count, size, offset = END64.unpack(raw)[7:]
    if offset + size != end:
        raise Refused(ARCHIVE, f"a list of records of {size} bytes from {offset} on, which ends at {end}")
    return count, offset, end


def _record(content: memoryview, name: str, fields: tuple[int, ...], extra: bytes) -> Record:
    flags, method, crc, packed, size, head = (fields[n] for n in (3, 4, 7, 8, 9, 16))
    packed, size, head = _large(name, packed, size, head, extra)
    local = bytes(content[head:head + 30]) if head < len(content) else b""
    if len(local) < 30 or local[:4] != b"PK\3\4":
        raise Refused(f"a record {brief(name)} where the list of records has it", f"something else at byte {head}")
    if flags & 1 or method not in (STORED, DEFLATED):
        raise Refused("records that are stored or deflated",
                      f"{brief(name)}, which is encrypted or compressed otherwise",
                      "pack the archive anew without compression")
    name_length, extra_length = struct.unpack_from("<2H", local, 26)
    begin = head + 30 + name_length + extra_length
    if bytes(content[head + 30:head + 30 + name_length]) != name.encode():
        raise Refused(f"a record {brief(name)} where the list of records has it", "one of another name")
    if begin + packed > len(content) or method == STORED and size != packed:
        raise Refused(f"a record {brief(name)} of {size} bytes inside the file of {len(content)}",
                      f"{packed} bytes from {begin} on")
    return Record(head, begin, packed, size, method, crc)


def _large(name: str, packed: int, size: int, head: int, extra: bytes) -> tuple[int, int, int]:
    """Return the sizes and the place of a record; those that need 8 bytes are in the extra field."""
    numbers = [size, packed, head]
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            held = extra[at + 4:at + 4 + length]
            for n, number in enumerate(numbers):
                if number == IN_EXTRA and len(held) >= 8:
                    numbers[n], held = int.from_bytes(held[:8], "little"), held[8:]
            break
        at += 4 + length
    return numbers[1], numbers[0], numbers[2]


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Refused("records with names in UTF-8", brief(name)) from None
