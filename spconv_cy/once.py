"""Objects that are made once, even if several threads ask for them at the same time."""

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

K = TypeVar("K", contravariant=True)
V = TypeVar("V")

_locks: dict[tuple[int, Any], Any] = {}                                  # (id of the dict, key): lock of its maker


class Kept(Protocol[K, V]):
    """A mapping in which made objects are kept: a dict, or another mapping with `get`."""

    def get(self, key: K, /) -> V | None:
        """Return the object of a key, or None."""

    def __setitem__(self, key: K, value: V, /) -> None: ...


def once(kept: Kept[K, V], key: K, make: Callable[..., V], *arguments: Any) -> V:
    """Return kept[key]; if it is missing, call make(*arguments) and keep the result.

    Threads that ask for the same key at the same time wait for the first one and get its object. They never see an
    unfinished object: it is kept after `make` has returned. A child that forks in the meantime makes it again.

    Args:
        kept: dict, or another mapping with `get`, without None among its values.
        key: hashable.
        make: function; if it raises, the next thread tries.
    """
    found = kept.get(key)
    if found is not None:
        return found
    place = id(kept), key
    while True:
        lock = _locks.setdefault(place, threading.RLock())
        with lock:
            found = kept.get(key)
            if found is not None:
                return found
            if _locks.get(place) is lock:                                # it is not if the thread before raised
                try:
                    made = make(*arguments)
                    kept[key] = made
                finally:
                    if _locks.get(place) is lock:
                        del _locks[place]
                return made


if hasattr(os, "register_at_fork"):
    # In a forked child the threads that held these locks are not there to release them.
    os.register_at_fork(after_in_child=_locks.clear)
