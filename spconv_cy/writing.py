"""The one way in which this library writes a file: whole under its name or not at all, and into pipes and devices."""

import errno
import os
import stat
import time
from contextlib import contextmanager, suppress

SECONDS_FOR_A_READER = 10.0                                              # of a pipe that nobody reads yet


@contextmanager
def new_file(path):
    """Open a file for bytes in a `with` block; at the block's end it is there, at an error in it nothing has changed.

    A regular file is written beside its place, with the mode that the umask gives, and replaces what was there once
    all of it is on the disk; a symbolic link is followed, and stays. What is no regular file, such as a pipe, a
    terminal or /dev/null, is written into as it is.

    Args:
        path: str, bytes or PathLike.

    Raises:
        FileNotFoundError: there is no such folder.
        IsADirectoryError: the path names a folder.
        TimeoutError: the path names a pipe, and nobody began to read it.
        OSError: it cannot be written: no room, no permission.
    """
    path = os.fsdecode(path)
    try:
        there = os.stat(path)                                            # of a link's target
    except FileNotFoundError:
        there = None
    target = os.path.realpath(path)                                      # need not be there, if nothing is
    if there is not None and stat.S_ISDIR(there.st_mode) or not os.path.basename(path):
        _check_folder(path, os.path.dirname(path))
        raise IsADirectoryError(errno.EISDIR, "expected the name of a file, got a folder", path)
    # A file that is there may have no name: one that was deleted, or lies in memory alone, behind /dev/fd/3.
    if there is None or stat.S_ISREG(there.st_mode) and os.path.exists(target):
        _check_folder(path, os.path.dirname(target))
        with _replaced(path, target) as file:
            yield file
    else:
        with os.fdopen(_opened(path, there), "wb") as file:
            yield file


def _check_folder(path, folder):
    if not os.path.isdir(folder or "."):
        raise FileNotFoundError(f"{path}: there is no folder {folder!r}; make it first")


@contextmanager
def _replaced(path, target):
    # A name of its own length: target's may be as long as a name can be. The kernel applies the umask at the creation;
    # to read the umask would be to change it for all threads.
    unfinished = os.path.join(os.path.dirname(target), f".{os.urandom(12).hex()}.part")
    try:
        opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except PermissionError as error:
        raise PermissionError(error.errno, "expected a folder in which a new file can be made, which then replaces the "
                              f"old one; got no permission to write in {os.path.dirname(target)!r}", path) from error
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
            error.filename, error.filename2 = path, None
        raise


def _opened(path, there):
    """Open what is there for writing, and return the descriptor."""
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
