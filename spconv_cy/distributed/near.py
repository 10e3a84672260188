"""Memory that the processes of one machine share, through MPI."""

from __future__ import annotations

import shutil
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.compiled.mailbox import Mailbox, length_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spconv_cy.types import Array

ROOM = 2**14                                                             # bytes of a small message
LARGE = 2**25                                                            # bytes of memory for large ones, of all ranks
MOST = 4                                                                 # ranks that read each other's large ones
SYSTEM = "/dev/shm"                                                      # where Linux has such memory, often little


class Near:
    """Memory for messages between the processes of a communicator, which are on one machine.

    Args:
        comm: communicator of mpi4py.
        memory: of `_shared`.

    Attributes:
        mailbox: for small messages.
    """

    def __init__(self, comm: Any, memory: Array) -> None:
        self._comm, self._large = comm, None
        self.mailbox = Mailbox(memory, comm.rank, comm.size, ROOM)

    def lend(self, rooms: Sequence[int]) -> list[Mailbox]:
        """Return a Mailbox for each number of bytes, or none; all ranks call it. Those of the call before are void."""
        rank, size = self._comm.rank, self._comm.size
        ends = np.cumsum([0, *(length_of(size, room) for room in rooms)]).tolist()
        if size > MOST or ends[-1] > LARGE:
            return []
        if self._large is None:
            self._large = _shared(self._comm, LARGE)
        if self._large is None:
            return []
        return [Mailbox(self._large[low:high], rank, size, room)
                for (low, high), room in zip(pairwise(ends), rooms, strict=True)]


def near_of(comm: Any) -> Near | None:
    """Return Near, or None if the processes of a communicator are not on one machine; all ranks call it.

    Args:
        comm: communicator of mpi4py, another one, or None.
    """
    memory = _shared(comm, length_of(comm.size, ROOM)) if hasattr(comm, "Split_type") else None
    near = None if memory is None else Near(comm, memory)
    if near is not None:
        comm.Barrier()                                                   # all have a mailbox before the first message
    return near


def _shared(comm: Any, n: int) -> Array | None:
    """Return n bytes that all processes share, or None."""
    from mpi4py import MPI

    near = comm.Split_type(MPI.COMM_TYPE_SHARED)
    try:
        if not comm.allreduce(near.size == comm.size and _has_room(n), MPI.LAND):
            return None
        memory = None
        with suppress(MPI.Exception):                                    # for example, no such memory in this MPI
            memory = MPI.Win.Allocate_shared(0 if near.rank else n, 1, comm=near).Shared_query(0)[0]
        return np.frombuffer(memory, np.uint8) if comm.allreduce(memory is not None, MPI.LAND) else None
    finally:
        near.Free()


def _has_room(n: int) -> bool:
    try:
        return shutil.disk_usage(SYSTEM).free > 2 * n                    # else a process that writes there is killed
    except OSError:                                                      # another system
        return True
