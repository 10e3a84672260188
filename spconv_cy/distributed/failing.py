"""The end of a run whose processes fail: one shows its message and ends the others; one that left early is known."""

from __future__ import annotations

import atexit
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Any

ASK, ANSWER, LEFT = 32001, 32002, 32003                                  # tags; those of exchanges are lower
PATIENCE = 10.0                                                          # seconds that rank 0 may compute meanwhile
START = 60.0                                                             # seconds in which all processes must start MPI
STAY = 60.0                                                              # seconds until a silent rank ends by itself
PAUSE = 1e-3
SHOWN, STARTED = 0, 1                                                    # notes: the error is shown, MPI is started

_made: list[Faults] = []
_hooked: list[bool] = []                                                 # not empty: a communicator has a _Hook
_ending: list[bool] = []                                                 # not empty: a _Hook is at work


class Faults:
    """What the processes of a communicator tell each other about their ends.

    Rank 0 lets one rank show its error: the first that asks. So only one does, even if several fail at about the same
    time.

    Args:
        comm: communicator of mpi4py.

    Attributes:
        gone: ranks that have come to the end of their program.
    """

    def __init__(self, comm: Any) -> None:
        self._comm, self.gone, self._given = comm, set[int](), False
        self._sent: list[Any] = []                                       # whose memory lives until they arrive

    def look(self) -> None:
        """Answer those that ask whether they may show an error, and note who has left; without waiting."""
        while self._comm.rank == 0 and (message := self._comm.improbe(tag=ASK)):
            self._send(not self._given, message.recv(), ANSWER)
            self._given = True
        while message := self._comm.improbe(tag=LEFT):                   # no other thread can receive a found message
            self.gone.add(message.recv())

    def may_show(self) -> bool:
        """Return True if this rank is the one that shows an error. If rank 0 does not answer, it is."""
        if self._comm.rank == 0:
            first, self._given = not self._given, True
            return first
        self._send(self._comm.rank, 0, ASK)
        if _comes(lambda: self._comm.Iprobe(source=0, tag=ANSWER), PATIENCE):
            return bool(self._comm.recv(source=0, tag=ANSWER))
        return True

    def stay(self) -> None:
        """Wait until the rank that shows its error ends this one."""
        _comes(self.look, STAY)

    def say_left(self) -> None:
        """Tell the others that this rank has come to its end."""
        for rank in range(self._comm.size):
            if rank != self._comm.rank:
                self._send(self._comm.rank, rank, LEFT)

    def all_left(self) -> bool:
        """Return True if all other ranks have come to their end too, and know of this one."""
        self.look()
        return len(self.gone) == self._comm.size - 1 and all([request.Test() for request in self._sent])

    def _send(self, value: object, rank: int, tag: int) -> None:
        self._sent.append(self._comm.isend(value, rank, tag=tag))


def faults_of(comm: Any) -> Faults | None:
    """Let an exception that nothing catches end all processes of a communicator; all its ranks call it.

    The process prints `rank i of n` and the traceback, then aborts the others. If several ranks fail, one prints.

    Args:
        comm: communicator of mpi4py, or one that can only abort.

    Returns:
        Faults, whose `look` is called now and then; None for a communicator without messages of its own.
    """
    faults = Faults(comm) if hasattr(comm, "Iprobe") else None
    if faults is not None:
        _made.append(faults)
        if len(_made) == 1:
            atexit.register(_leave, os.getpid())
    _hooked.append(True)
    if not isinstance(sys.excepthook, _Hook):
        sys.excepthook = _Hook(comm, faults, sys.excepthook)
    return faults


class _Hook:
    """`sys.excepthook` of a rank.

    If a user's hook calls the one before it, and Ranks are made before and after, there are two; the outer one ends the
    run.
    """

    def __init__(self, comm: Any, faults: Faults | None, before: Callable[..., object]) -> None:
        self._comm, self._faults, self._before, self._process = comm, faults, before, os.getpid()

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if os.getpid() != self._process or _ending:                      # a child is no rank; or a second _Hook
            self._before(kind, error, trace)
            return
        _ending.append(True)
        if issubclass(kind, KeyboardInterrupt):
            self._comm.Abort(130)
        if self._faults is not None and not self._faults.may_show():
            self._faults.stay()
            self._comm.Abort(1)
        sys.stderr.write(f"rank {self._comm.rank} of {self._comm.size}:\n")
        _show(self._before, kind, error, trace)
        sys.stdout.flush()
        self._comm.Abort(1)


def end_early(before: Callable[..., object], process: int, kind: type[BaseException], error: BaseException,
              trace: TracebackType | None) -> None:
    """Show an error of a process that has not met the others yet, and end them when they come.

    MPI can end them only when all have started it. If that takes long, the error is shown meanwhile by a child process,
    which also ends this process if the others do not come.

    Args:
        before: the `sys.excepthook` that shows it.
        process: number of the process that mpiexec started. A child of it, which `os.fork` made, must not start MPI.
        kind, error, trace: of the error.
    """
    alone = _hooked or os.getpid() != process or issubclass(kind, KeyboardInterrupt) or not hasattr(os, "fork")
    if alone or find_spec("mpi4py") is None:
        before(kind, error, trace)
        return
    sys.stdout.flush()                                                   # a process that is killed does not
    notes = mmap.mmap(-1, 2)                                             # shared with the child; a byte is 1 if true
    limit = 0.0 if "mpi4py.MPI" in sys.modules else START                # MPI ends the others of one that is killed
    child = os.fork()
    if not child:
        _show_meanwhile(process, lambda: _show(before, kind, error, trace), notes, limit)
    comm = None
    with suppress(Exception):                                            # mpi4py may find no library of MPI
        from mpi4py import MPI  # waits for the others

        notes[STARTED] = 1
        if MPI.COMM_WORLD.size > 1:
            comm = MPI.COMM_WORLD.Dup()                                  # as Ranks does, where the others are or come
    os.kill(child, signal.SIGKILL)
    if comm is not None and notes[SHOWN]:
        comm.Abort(1)
    elif comm is not None:
        _Hook(comm, faults_of(comm), before)(kind, error, trace)
    elif not notes[SHOWN]:
        before(kind, error, trace)


def _show_meanwhile(parent: int, show: Callable[[], object], notes: mmap.mmap, limit: float) -> None:
    """Show an error if the parent process still waits after a while, and end it if the others do not come.

    It is also shown if the parent ends before MPI has started, as some MPIs end a process that cannot start them.
    """
    def ended() -> bool:
        return os.getppid() != parent

    try:
        waits = not _comes(ended, PATIENCE)
        if waits or not notes[STARTED]:
            notes[SHOWN] = 1
            show()
        if waits and not _comes(ended, limit):
            os.kill(parent, signal.SIGKILL)
    finally:
        os._exit(1)


def _show(before: Callable[..., object], kind: type[BaseException], error: BaseException,
          trace: TracebackType | None) -> None:
    try:
        before(kind, error, trace)
    except Exception:                                                    # the user's own hook fails
        traceback.print_exception(kind, error, trace)
    sys.stderr.flush()


def _leave(process: int) -> None:
    """Tell the other ranks that this one is at its end, and wait for theirs a while; MPI's own end waits for ever."""
    from mpi4py import MPI

    if os.getpid() != process or MPI.Is_finalized():
        return
    for faults in _made:
        faults.say_left()
    _comes(lambda: all([faults.all_left() for faults in _made]), PATIENCE)


def _comes(found: Callable[[], object], seconds: float) -> bool:
    """Return True as soon as `found()` is true, False if it is not within so many seconds."""
    last = time.monotonic() + seconds
    while not found():
        if time.monotonic() > last:
            return False
        time.sleep(PAUSE)
    return True
