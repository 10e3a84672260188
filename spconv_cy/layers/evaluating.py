"""A network in evaluation mode for the time of a `with` statement, for one thread at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary

_turns: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()               # {network: its lock}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.clear)


@contextmanager
def evaluating(net: Any) -> Iterator[None]:
    """Switch a network to evaluation mode inside a `with` statement, and back afterwards.

    The mode belongs to the network, as its generators do. Threads that evaluate the same network take turns; otherwise
    the first to end would switch the others back to training.
    """
    with _turns.setdefault(net, RLock()):
        was_training = net.training
        net.eval()
        try:
            yield
        finally:
            net.train(was_training)
