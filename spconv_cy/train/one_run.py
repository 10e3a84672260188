"""At most one run at a time continues from a checkpoint file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from spconv_cy.errors import FileError, expected
from spconv_cy.writing import check_writable

try:
    import fcntl
except ImportError:                                                      # Windows: runs are not told apart there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def only_run(path: str | None) -> Iterator[None]:
    """Hold the lock of a checkpoint inside a `with` statement, by a file of its name and ".lock" beside it.

    The lock ends with the process, however that ends. A file system without locks is used without them.

    Args:
        path: of the checkpoint; None: no lock.

    Raises:
        FileError: another run holds the lock.
        FileNotFoundError, PermissionError: there is no such folder, or no file can be created in it.
    """
    if path is None or fcntl is None or os.path.exists(path) and not os.path.isfile(path):
        yield
        return
    target = os.path.realpath(path)                                      # one lock for all names of a file
    check_writable(path)
    name = f"{target}.lock"
    held = _locked(path, name)
    try:
        yield
    finally:
        if held is not None:
            with suppress(OSError):
                os.unlink(name)
            os.close(held)


def _locked(path: str, name: str) -> int | None:
    while True:
        try:
            held = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:                                                  # writing the checkpoint will say why
            return None
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            raise FileError(expected(path, "a checkpoint of one run at a time", "one that another run is using",
                                     "wait for its end, or give another path")) from None
        except OSError:                                                  # no locks on this file system
            return held
        with suppress(OSError):
            if os.fstat(held).st_ino == os.stat(name).st_ino:            # else its last holder has just removed it
                return held
        os.close(held)
