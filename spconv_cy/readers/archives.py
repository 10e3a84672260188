"""Zip archives (.npz files, wheels), with checks that zipfile does not make."""

from __future__ import annotations

import struct
import zipfile
from typing import IO, cast

END = struct.Struct("<4s4H2LH")                     # the last record: mark, disks, entries, directory, comment
UNKNOWN = 0xFFFF                  # zip64: the number of entries needs more than 16 bits and is stored in another record


def entries_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return all entries of an open ZipFile.

    zipfile silently skips entries that a damaged directory hides, so the directory is compared with the entries.

    Raises:
        zipfile.BadZipFile: the directory declares more or fewer entries than there are, another name than the one
            before the entry's bytes, or more bytes than the file has.
        RuntimeError, NotImplementedError: from zipfile, for entries that it cannot read.
    """
    entries = archive.infolist()
    file = cast(IO[bytes], archive.fp)
    size = file.seek(0, 2)
    file.seek(size - END.size - len(archive.comment))
    declared = END.unpack(file.read(END.size))[4]
    if declared not in (len(entries), UNKNOWN):
        raise zipfile.BadZipFile(f"{declared} entries declared, {len(entries)} found")
    if sum(entry.compress_size for entry in entries) > size:
        raise zipfile.BadZipFile("its entries overlap")
    for entry in entries:
        archive.open(entry).close()                                      # compares the two names
    return entries
