"""An error in one process ends all processes of a run, with its message shown once."""

from __future__ import annotations

import sys
import time
import traceback
from types import TracebackType
from typing import Any

STEP = 0.1                                                               # seconds that a rank waits for each lower one
MOST = 20                                                                # ranks with a wait of their own

_installed: list[int] = []


def abort_on_errors(comm: Any) -> None:
    """Let an exception that nothing catches end all processes of a communicator.

    The process prints `rank i of n` and the traceback, then aborts the others. If all ranks raise the same error, the
    lowest rank prints it and ends the others before they do.

    Args:
        comm: communicator of mpi4py.
    """
    if _installed:
        return
    _installed.append(comm.size)
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            comm.Abort(130)
        time.sleep(STEP * min(comm.rank, MOST))
        sys.stderr.write(f"rank {comm.rank} of {comm.size}:\n")
        try:
            before(kind, error, trace)
        except Exception:                                                # the user's own hook fails
            traceback.print_exception(kind, error, trace)
        sys.stderr.flush()
        sys.stdout.flush()
        comm.Abort(1)

    sys.excepthook = hook
