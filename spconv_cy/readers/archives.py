"""What readers of zip archives (.npz, wheels) share: entries that are what the archive's directory tells."""

import struct
import zipfile

END = struct.Struct("<4s4H2LH")                     # the last record: mark, disks, entries, directory, comment
MORE_THAN_FIT = 0xFFFF                              # of entries: told elsewhere


def entries_of(archive):
    """Return the entries of an open ZipFile, none lost: zipfile skips what a damaged directory hides.

    Raises:
        zipfile.BadZipFile: the directory tells of more or fewer entries, of another name than stands before the
            entry's bytes, or of more bytes than the file has.
        RuntimeError, NotImplementedError: zipfile's, of entries that it cannot read.
    """
    entries = archive.infolist()
    size = archive.fp.seek(0, 2)
    archive.fp.seek(size - END.size - len(archive.comment))
    told = END.unpack(archive.fp.read(END.size))[4]
    if told not in (len(entries), MORE_THAN_FIT):
        raise zipfile.BadZipFile(f"{told} entries are told and {len(entries)} are there")
    if sum(entry.compress_size for entry in entries) > size:
        raise zipfile.BadZipFile("its entries overlap")
    for entry in entries:
        archive.open(entry).close()                                      # compares the two names
    return entries
