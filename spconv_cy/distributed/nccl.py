"""A communicator of GPUs, in place of mpi4py's: messages go through cupyx.distributed, that is NCCL."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_integers, kind_of
from spconv_cy.errors import BackendError, expected

if TYPE_CHECKING:
    from spconv_cy.types import Array


@known_arguments
class NcclCommunicator:
    """The processes of a `cupyx.distributed` group, one for each GPU, for `Ranks`.

    Experimental: it was tested with a stand-in for NCCL on the CPU, not on GPUs. Arrays are copied from the host to the
    GPU and back; sums of gradients do not overlap with the backward pass. All else is as with mpi4py, including the
    bits of sums. An error ends its own process, and the others end at the timeout of `Ranks`.

    Args:
        backend: what `cupyx.distributed.init_process_group(size, rank)` returns.
        size: number of processes.

    Raises:
        TypeError: not such a backend.
        BackendError: CuPy is not installed.
        ValueError: the backend's rank is not below size.

    >>> communicator = NcclCommunicator(cupyx.distributed.init_process_group(4, rank))      # doctest: +SKIP
    >>> optimizer = Averaged(optimizer, ranks=Ranks(communicator))                          # doctest: +SKIP
    """

    in_order = True                                                      # no tags: messages meet in their order

    def __init__(self, backend: Any, size: int) -> None:
        checked_integers("NcclCommunicator", 1, size=size)
        if not all(hasattr(backend, name) for name in ("rank", "send", "recv")):
            raise TypeError(expected("NcclCommunicator", "a backend of cupyx.distributed", kind_of(backend)))
        if not 0 <= backend.rank < size:
            raise ValueError(expected("NcclCommunicator", f"a backend of rank 0 to {size - 1}", f"rank {backend.rank}"))
        try:
            import cupy
        except ImportError as error:
            raise BackendError(expected("NcclCommunicator", "CuPy to be installed", f"{error}",
                                        'pip install "spconv_cy[cuda]"')) from None
        self._cupy, self._backend, self.rank, self.size = cupy, backend, int(backend.rank), int(size)

    def begin(self, tag: int, received: Mapping[int, Array], sent: Mapping[int, Array]) -> list[Any]:
        """Begin to receive arrays from ranks and to send arrays to ranks; see Ranks.begin."""
        cupy = self._cupy
        arrays = {id(array): array for array in sent.values() if array.nbytes}
        copies = {key: cupy.asarray(_bytes(array)) for key, array in arrays.items()}     # one for all its receivers
        away = {rank: copies[id(array)] for rank, array in sent.items() if array.nbytes}
        coming = {rank: cupy.empty(array.nbytes, np.uint8) for rank, array in received.items() if array.nbytes}
        cupy.cuda.nccl.groupStart()                                      # else each would wait for the other's receive
        for rank, array in away.items():
            self._backend.send(array, rank)
        for rank, array in coming.items():
            self._backend.recv(array, rank)
        cupy.cuda.nccl.groupEnd()
        event = cupy.cuda.Event()
        event.record()
        group = _Group(event, away, {rank: (received[rank], array) for rank, array in coming.items()})
        return [group] * (len(received) + len(sent))

    @staticmethod
    def testall(requests: Sequence[Any]) -> bool:
        """Return True if all requests are complete."""
        return all([request.Test() for request in requests])

    def Dup(self) -> NcclCommunicator:
        """Return the communicator itself: NCCL's groups have no others inside."""
        return self

    def Abort(self, status: int = 1) -> None:
        """End this process at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class _Group:
    """Messages that were begun together; arrays that are sent live until they have arrived."""

    def __init__(self, event: Any, sent: dict[int, Any], received: dict[int, tuple[Array, Any]]) -> None:
        self.event, self.sent, self.received, self.done = event, sent, received, False

    def Test(self) -> bool:
        """Return True if all messages have arrived, and are in the arrays that were given."""
        if not self.done and self.event.done:
            for array, found in self.received.values():
                _bytes(array)[...] = found.get()
            self.sent, self.received, self.done = {}, {}, True
        return self.done


def _bytes(array: Array) -> Array:
    """Return the bytes of a contiguous array (n,): NCCL does not have all dtypes."""
    return array.reshape(-1).view(np.uint8)
