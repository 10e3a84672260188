"""Messages between ranks on one machine, through memory that they share."""

from __future__ import annotations

import mmap
import os
import tempfile
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.compiled.mailbox import Mailbox, length_of

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM = 2**14                                                             # bytes of a small message
LARGE = 2**25                                                            # bytes of all mailboxes for large ones
MOST = 4                                                                 # ranks that read each other's large ones
FOLDER = "/dev/shm"                                                      # Linux's files that are memory


def mailboxes_of(ranks: Any, rooms: Sequence[int]) -> list[Mailbox]:
    """Return a Mailbox for each number of bytes, or none where ranks do not share memory; all ranks call it.

    Args:
        ranks: Ranks.
        rooms: bytes of the largest message of each.
    """
    ends = np.cumsum([0, *(length_of(ranks.size, room) for room in rooms)]).tolist()
    memory = _shared(ranks, ends[-1])
    if memory is None:
        return []
    found = [Mailbox(np.frombuffer(memory, np.uint8, high - low, low), ranks.rank, ranks.size, room)
             for (low, high), room in zip(pairwise(ends), rooms, strict=True)]
    ranks.stack(0)                                                       # all have theirs before the first message
    return found


def large_mailboxes_of(ranks: Any, rooms: Sequence[int]) -> list[Mailbox]:
    """Return the same, or none where ranks are many or messages large: then it is better that each sums a slice."""
    few = ranks.size <= MOST and sum(length_of(ranks.size, room) for room in rooms) <= LARGE
    return mailboxes_of(ranks, rooms) if few and ranks.near else []


def _shared(ranks: Any, n: int) -> mmap.mmap | None:
    """Return n bytes that all ranks share, or None. The system frees them when no process has them any more."""
    ranks.stack(0)                                                       # a rank that fails before leaves no file
    memory, path = None, ""
    try:
        if ranks.first and hasattr(os, "posix_fallocate"):
            with suppress(OSError):                                      # no such folder, or no room in it
                file, path = tempfile.mkstemp(prefix="spconv_cy-", dir=FOLDER)
                memory = _mapped(file, n, fill=True)
        told = ranks.broadcast(path if memory is not None else "")
        if told and not ranks.first:
            with suppress(OSError):                                      # of another machine
                memory = _mapped(os.open(told, os.O_RDWR), n)
        return memory if all(ranks.gather(memory is not None)) else None
    finally:
        if path:
            os.unlink(path)


def _mapped(file: int, n: int, *, fill: bool = False) -> mmap.mmap:
    try:
        if fill:
            os.posix_fallocate(file, 0, n)                               # else a process that writes there is killed
        return mmap.mmap(file, n)
    finally:
        os.close(file)
