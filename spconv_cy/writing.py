"""Writes files: a regular file completely or not at all, a pipe or a device as it is."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from spconv_cy.errors import expected

SECONDS_FOR_A_READER = 10.0                                              # how long a pipe waits to be read


@contextmanager
def new_file(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Iterator[BinaryIO]:
    """Open a file for writing bytes in a `with` block; an error in the block leaves the old file unchanged.

    A regular file is first written under another name in the same folder, with the mode that the umask gives. It
    replaces the old file once all of it is on the disk. A symbolic link stays, and its target is replaced. Anything
    else, such as a pipe, a terminal or /dev/null, is opened and written.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is no such folder.
        IsADirectoryError: the path is that of a folder.
        TimeoutError: the path is that of a pipe which nobody reads.
        OSError: the file cannot be written: the disk is full, or there is no permission.
    """
    path = os.fsdecode(path)
    try:
        there: os.stat_result | None = os.stat(path)                     # of a link's target
    except FileNotFoundError:
        there = None
    target = os.path.realpath(path)                                      # may not exist
    if there is not None and stat.S_ISDIR(there.st_mode) or not os.path.basename(path):
        _check_folder(path, os.path.dirname(path))
        raise IsADirectoryError(errno.EISDIR, "expected the name of a file, got a folder", path)
    # An open file behind /dev/fd/3 may have no name: it was deleted, or exists in memory only.
    if there is None or stat.S_ISREG(there.st_mode) and os.path.exists(target):
        _check_folder(path, os.path.dirname(target))
        with _replaced(path, target) as file:
            yield file
    else:
        with os.fdopen(_opened(path, there), "wb") as file:
            yield file


def check_writable(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> None:
    """Raise what `new_file` would raise of the folder of a file: asked before the work whose result it will hold.

    Raises:
        FileNotFoundError: there is no such folder.
        IsADirectoryError: the path is that of a folder.
        PermissionError: this process may not create a file in it.
    """
    path = os.fsdecode(path)
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "expected the name of a file, got a folder", path)
    if os.path.exists(path) and not os.path.isfile(path):               # a pipe or a device: told when opened
        return
    _check_folder(path, folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _forbidden(errno.EACCES, folder, path)


def _forbidden(number: int | None, folder: str, path: str) -> PermissionError:
    return PermissionError(number, "expected a folder in which a new file can be created, which replaces the old one, "
                           f"got no permission to write in {folder!r}", path)


def _check_folder(path: str, folder: str) -> None:
    if not os.path.isdir(folder or "."):
        raise FileNotFoundError(expected(path, "a folder that exists", repr(folder), "create the folder first"))


@contextmanager
def _replaced(path: str, target: str) -> Iterator[BinaryIO]:
    # A short name, because the target's may be as long as names can be. The kernel applies the umask when the file is
    # created; the umask cannot be read without changing it for all threads.
    unfinished = os.path.join(os.path.dirname(target), f".{os.urandom(12).hex()}.part")
    try:
        opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except PermissionError as error:
        raise _forbidden(error.errno, os.path.dirname(target), path) from error
    except OSError as error:
        error.filename = path
        raise
    try:
        with os.fdopen(opened, "wb") as file:
            yield file
            file.flush()
            os.fsync(opened)
        os.replace(unfinished, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(unfinished)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, unfinished):
            error.filename = path
            if error.filename2 is not None:                              # else "-> None" is shown
                error.filename2 = None
        raise


def _opened(path: str, there: os.stat_result) -> int:
    """Open an existing file, pipe or device for writing; return the descriptor."""
    if not stat.S_ISFIFO(there.st_mode):
        return os.open(path, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_BINARY", 0))
    last = time.monotonic() + SECONDS_FOR_A_READER
    while True:
        try:
            opened = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > last:
                raise TimeoutError(errno.ETIMEDOUT, "expected a reader at the other end of this pipe, got none in "
                                   f"{SECONDS_FOR_A_READER:g} seconds; start it first", path) from None
            time.sleep(0.02)
        else:
            os.set_blocking(opened, True)
            return opened
