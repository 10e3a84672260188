"""The processes of an MPI run, and exchanges between them that end with an error instead of waiting for ever."""

from __future__ import annotations

import os
import pickle
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_numbers, kind_of
from spconv_cy.compiled.mailbox import add_up
from spconv_cy.distributed.failing import faults_of
from spconv_cy.distributed.near import ROOM, mailboxes_of
from spconv_cy.distributed.sums import SMALL, Sum, add_in_turn
from spconv_cy.errors import expected
from spconv_cy.lazy import under_mpiexec
from spconv_cy.once import once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spconv_cy.compiled.mailbox import Mailbox
    from spconv_cy.types import Array

TAGS = 32000                                                             # every MPI allows tags up to 32767
FLOATS = np.dtype(np.float32), np.dtype(np.float64)
SPINS = 100                                                              # tests before a rank lets other processes run
LOOKS = 1000                                                             # the same, of memory
YIELDING = 2e-3                                                          # seconds before it sleeps between tests
LOOKING = 0.05                                                           # before it looks whether others fail or leave
LEAVING = 1.0                                                            # before it takes one that left for missing


@known_arguments
class Ranks:
    """The processes of a run under `mpiexec`, as a group that exchanges arrays and objects.

    Without `mpiexec` there is one rank, and mpi4py is not needed. All ranks must make the same calls in the same order.
    Sums are added in the order of the ranks, those of floats in float64, so they have the same bits with any MPI, in
    every run and on every rank.

    Args:
        communicator: of mpi4py, or a NcclCommunicator; None: all processes of this run.
        timeout: seconds after which a missing answer of another rank is an error.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        timeout: may be set at any time.
        messages, sent: number and bytes of what this process has sent to others.

    Raises:
        ImportError: this process was started by mpiexec or srun as one of several, and mpi4py is not installed.
        TimeoutError: in a call, another rank did not answer in time; the message names it.
        RuntimeError: in a call, another rank has come to the end of its program.

    >>> ranks = Ranks()
    >>> ranks.rank, ranks.size, ranks.gather("a")
    (0, 1, ['a'])
    """

    def __init__(self, communicator: Any = None, *, timeout: float = 600.0) -> None:
        checked_numbers("Ranks", 0, timeout=timeout)
        if communicator is not None and not all(hasattr(communicator, name) for name in ("Dup", "rank", "size")):
            raise TypeError(expected("Ranks", "a communicator of mpi4py, a NcclCommunicator or None",
                                     kind_of(communicator)))
        self._begin(_all_processes() if communicator is None else communicator, timeout)

    def _begin(self, communicator: Any, timeout: float) -> None:
        self.timeout = timeout
        self._testall: Any = None
        self._comm: Any = None
        if communicator is not None and communicator.size > 1:
            self._comm = communicator.Dup()                              # messages of its own
            self._testall = getattr(communicator, "testall", None) or _mpi_testall()
        self._mailbox: Mailbox | None = None
        self.in_order = getattr(communicator, "in_order", False)
        self.rank: int = self._comm.rank if self._comm else 0
        self.size: int = self._comm.size if self._comm else 1
        self._calls = self.messages = self.sent = 0
        self._faults = faults_of(self._comm) if self._comm else None
        if self.size > 1 and not self.in_order:
            self._mailbox = next(iter(mailboxes_of(self, [ROOM])), None)

    @property
    def near(self) -> bool:
        """True if the ranks share memory, on one machine, and exchange small arrays through it."""
        return self._mailbox is not None

    @property
    def first(self) -> bool:
        """True on rank 0, which writes files and messages."""
        return self.rank == 0

    def sum(self, array: Array) -> Array:
        """Return the sum of the ranks' arrays, of equal shape and dtype.

        Args:
            array: of real numbers.

        Raises:
            TypeError: not numbers.
        """
        array = _numbers("sum", array)
        if self.size == 1:
            return np.array(array, order="C")
        if array.nbytes <= SMALL or array.dtype.kind != "f":             # without a Sum, which is of floats
            total: Array = np.empty_like(array)
            if array.dtype not in FLOATS:
                add_in_turn(list(self.stack(array).reshape(self.size, -1)), total.reshape(-1))
            elif (mailbox := self._box_for(array)) is not None:
                self.deliver(mailbox, array)
                self.collect(mailbox)
                mailbox.take_sum(total)
            else:
                add_up(self.stack(array), total)
            return total
        found = np.array(array, order="C")
        self.start_sum(found.reshape(-1)).finish()
        return found

    def start_sum(self, flat: Array) -> Sum:
        """Begin to sum flat arrays (n,) in place, and return the Sum, which `finish` ends.

        Args:
            flat: (n,) float32 or float64, contiguous; not to be read or changed before the end.

        Raises:
            TypeError: not such an array.
        """
        flags = flat.flags if isinstance(flat, np.ndarray) and flat.ndim == 1 and flat.dtype.kind == "f" else None
        if flags is None or not flags.c_contiguous or not flags.writeable:
            raise TypeError(expected("Ranks.start_sum", "a contiguous array (n,) of floats that can be written to",
                                     kind_of(flat)))
        return Sum(self, flat)

    def stack(self, array: Array) -> Array:
        """Return the ranks' arrays, of equal shape and dtype, as one array (size, ...), in one message to each rank."""
        array = _numbers("stack", array)
        parts = np.empty((self.size, *array.shape), array.dtype)
        if self.size == 1:
            parts[0] = array
        elif (mailbox := self._box_for(array)) is not None:
            self.deliver(mailbox, array)
            self.collect(mailbox)
            mailbox.take(parts)
        else:
            self._to_all(array.reshape(-1), parts.reshape(self.size, -1))
        return parts

    def _box_for(self, array: Array) -> Mailbox | None:
        return self._mailbox if self._mailbox is not None and array.nbytes <= self._mailbox.room else None

    def deliver(self, mailbox: Mailbox, *arrays: Array) -> None:
        """Write contiguous arrays into a Mailbox, as one message."""
        self.messages += self.size - 1
        self.sent += mailbox.post(*arrays) * (self.size - 1)

    def collect(self, mailbox: Mailbox) -> None:
        """Wait until all ranks' messages are in a Mailbox."""
        try:
            if not mailbox.arrived(LOOKS):
                self._until(mailbox.arrived, mailbox.missing, lambda: self._astray(mailbox))
        except ValueError as error:
            raise _unequal(error) from None

    def _astray(self, mailbox: Mailbox) -> list[int]:
        """Return the ranks that owe a message in a Mailbox and have sent one through MPI, which is due later."""
        if self._faults is None:
            return []
        tag = (self._calls + 1) % TAGS
        sent = [rank for rank in mailbox.missing() if self._comm.Iprobe(source=rank, tag=tag)]
        return [rank for rank in mailbox.missing() if rank in sent]      # not one that has done both meanwhile

    def gather(self, value: object) -> list[Any]:
        """Return the ranks' objects as a list in the order of the ranks, on every rank."""
        if self.size == 1:
            return [value]
        data = np.frombuffer(pickle.dumps(value, 5), np.uint8)
        sizes = [np.zeros(1, np.int64) for _ in range(self.size)]
        self._to_all(np.array([len(data)], np.int64), sizes)
        parts = [np.empty(int(n[0]), np.uint8) for n in sizes]
        self._to_all(data, parts)
        return [pickle.loads(part.tobytes()) for part in parts]

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's object on every rank."""
        return self.gather(value if self.first else None)[0]

    def _to_all(self, mine: Array, parts: Sequence[Array] | Array) -> None:
        """Send an array (n,) to all ranks, and receive theirs."""
        tag = self.next_tag()
        requests = self.begin(tag, {r: parts[r] for r in self.others()}, dict.fromkeys(self.others(), mine))
        parts[self.rank][...] = mine
        self.wait(requests)

    def exchange(self, sent: Mapping[int, Array], received: Mapping[int, Array]) -> None:
        """Send arrays to some ranks and receive others from some, which must have the shapes of what those send.

        Args:
            sent: {rank: contiguous array}.
            received: {rank: contiguous array}, filled.
        """
        requests = self.begin(self.next_tag(), received, sent)
        if requests:
            self.wait(requests, [*received, *sent])

    def begin(self, tag: int, received: Mapping[int, Array], sent: Mapping[int, Array]) -> list[Any]:
        """Begin to receive arrays from ranks and to send arrays to ranks; return the requests of mpi4py in this order.

        Args:
            tag: of `next_tag`.
            received, sent: {rank: contiguous array}.
        """
        self.messages += len(sent)
        self.sent += sum(array.nbytes for array in sent.values())
        if hasattr(self._comm, "begin"):
            begun: list[Any] = self._comm.begin(tag, received, sent)
            return begun
        requests = [self._comm.Irecv(array, rank, tag) for rank, array in received.items()]
        return requests + [self._comm.Isend(array, rank, tag) for rank, array in sent.items()]

    def next_tag(self) -> int:
        """Return the tag of the next exchange; ranks that have lost count do not match."""
        self._calls += 1
        return self._calls % TAGS

    def others(self) -> list[int]:
        """Return the other ranks, beginning after this one, so that not all send to the same rank first."""
        return [(self.rank + i) % self.size for i in range(1, self.size)]

    def wait(self, requests: list[Any], partners: Sequence[int] | None = None) -> None:
        """Wait for requests, by default as `others` orders them: receives, then sends.

        Args:
            requests: of mpi4py.
            partners: the rank of each.

        Raises:
            TimeoutError: some are not complete after `timeout` seconds.
            RuntimeError: their rank has come to the end of its program.
        """
        test = self._testall
        for _ in range(SPINS):
            if test(requests):
                return
        ranks = self.others() * 2 if partners is None else partners
        self._until(lambda: test(requests),
                    lambda: [rank for rank, one in zip(ranks, requests, strict=False) if not one.Test()])

    def _until(self, done: Callable[[], bool], missing: Callable[[], list[int]],
               astray: Callable[[], list[int]] = list) -> None:
        """Wait until `done()` is true; `missing()` returns the ranks that must still answer, `astray()` those of them
        that have made another call.
        """
        began = time.monotonic()
        while not done():
            now = time.monotonic()
            if now - began < YIELDING:
                _yield()
            else:
                time.sleep(2e-5)
            if now - began > LOOKING:
                self._check(now - began, missing)
                if now - began > LEAVING and (strays := astray()):
                    got = f"another call of {_named(strays)}"
                    raise _unequal(got)

    def _check(self, waited: float, missing: Callable[[], list[int]]) -> None:
        gone = set[int]()
        if self._faults is not None:
            self._faults.look()
            gone = self._faults.gone if waited > LEAVING else gone
        if not gone and waited <= self.timeout:
            return
        late = sorted(set(missing()))
        left = [rank for rank in late if rank in gone]
        if left:
            raise RuntimeError(expected("Ranks", f"an answer of {_named(left)}", "the end of its program",
                                        "let all ranks make the same calls"))
        if late and waited > self.timeout:
            raise TimeoutError(expected("Ranks", f"an answer of {_named(late)} within {self.timeout:g} s", "none",
                                        "look for what it does meanwhile, or set a longer timeout"))


def _numbers(name: str, array: object) -> Array:
    """Return an array of numbers, C-contiguous; raise TypeError if it is none."""
    found = np.asarray(array, order="C")
    if found.dtype.kind not in "fiub":
        raise TypeError(expected(f"Ranks.{name}", "an array of real numbers", f"one of {found.dtype}"))
    return found


def _unequal(what: object) -> RuntimeError:
    return RuntimeError(expected("Ranks", "messages as other ranks send them", f"{what}",
                                 "let all ranks make the same calls with arrays of the same size"))


def _named(ranks: Sequence[int]) -> str:
    return " and ".join(f"rank {rank}" for rank in ranks)


_yield = getattr(os, "sched_yield", lambda: time.sleep(0))               # Windows has none
_made: dict[str, Ranks] = {}


def world() -> Ranks:
    """Return the Ranks of all processes of this run, the same object at each call."""
    return once(_made, "world", Ranks)


def ranks_of(who: str, ranks: bool | Ranks) -> Ranks:
    """Return Ranks unchanged, those of all processes for True, and this process alone for False.

    Raises:
        TypeError: none of these.
    """
    if isinstance(ranks, Ranks):
        return ranks
    if not isinstance(ranks, bool):
        raise TypeError(expected(who, "ranks to be True, False or Ranks", kind_of(ranks)))
    return world() if ranks else once(_made, "alone", _alone)


def _alone() -> Ranks:
    ranks = Ranks.__new__(Ranks)
    ranks._begin(None, 0.0)
    return ranks


def _mpi_testall() -> Callable[[Sequence[Any]], bool]:
    from mpi4py import MPI

    def testall(requests: Sequence[Any]) -> bool:
        try:
            return bool(MPI.Request.Testall(requests))
        except MPI.Exception as error:                                   # a message is longer than expected
            raise _unequal(f"an error of MPI, {error}") from None

    return testall


def _all_processes() -> Any:
    """Return mpi4py's communicator of all processes; None if this process is alone."""
    told = under_mpiexec()
    if not told and "mpi4py.MPI" not in sys.modules:
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(expected("Ranks", f"mpi4py to be installed, since {told} is set, as by mpiexec or srun",
                                   f"{error}", 'pip install "spconv_cy[mpi]"')) from None
    if told and MPI.COMM_WORLD.size == 1:
        warnings.warn(expected("Ranks", f"the processes that {told} tells of", "this one alone",
                               "start them by the mpiexec of mpi4py's MPI, or with srun's --mpi= that it knows"),
                      RuntimeWarning, stacklevel=2)
    return MPI.COMM_WORLD
