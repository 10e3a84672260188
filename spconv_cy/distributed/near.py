"""Memory that the processes of one machine share, through MPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.compiled.mailbox import Mailbox, length_of

if TYPE_CHECKING:
    from spconv_cy.types import Array

ROOM = 2**14                                                             # bytes of a message, at most


def mailbox_of(comm: Any) -> Mailbox | None:
    """Return a Mailbox of the processes of a communicator, or None if they are not on one machine; all ranks call it.

    Args:
        comm: communicator of mpi4py, another one, or None.
    """
    if not hasattr(comm, "Split_type"):
        return None
    memory = _shared(comm, length_of(comm.size, ROOM))
    return None if memory is None else Mailbox(memory, comm.rank, comm.size, ROOM)


def _shared(comm: Any, n: int) -> Array | None:
    """Return n bytes that all processes share, zero, or None."""
    from mpi4py import MPI

    near = comm.Split_type(MPI.COMM_TYPE_SHARED)
    try:
        if near.size < comm.size:
            return None
        try:
            memory = MPI.Win.Allocate_shared(0 if near.rank else n, 1, comm=near).Shared_query(0)[0]
        except MPI.Exception:
            memory = None
        if not near.allreduce(memory is not None, MPI.LAND):
            return None
        found: Array = np.frombuffer(memory, np.uint8)
        if not near.rank:
            found[...] = 0
        near.Barrier()
        return found
    finally:
        near.Free()
