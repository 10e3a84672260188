"""Things made once, however many threads ask for them at the same time."""

import os
import threading

_guard = threading.RLock()                                               # a signal's handler may come here meanwhile
_turns = {}                                                              # (id of the dict, key): [lock, threads at it]


def once(kept, key, make, *arguments):
    """Return kept[key]; where it is not there yet, make(*arguments) makes it and it is kept.

    Threads that ask for the same key at the same time wait for the first one and get its object. What is kept is
    complete: nobody sees it before `make` has returned. A child that forks meanwhile makes it anew.

    Args:
        kept: dict, or another mapping with `get`; nothing in it is None.
        key: hashable.
        make: function; where it raises, the next thread tries.
    """
    found = kept.get(key)
    if found is not None:
        return found
    place = id(kept), key
    with _guard:
        turn = _turns.setdefault(place, [threading.RLock(), 0])
        turn[1] += 1
    try:
        with turn[0]:
            found = kept.get(key)
            if found is None:
                found = kept[key] = make(*arguments)
            return found
    finally:
        with _guard:
            turn[1] -= 1
            if not turn[1] and _turns.get(place) is turn:
                del _turns[place]


def _begin_anew():
    # In a forked child: the threads that held these locks are not there to release them.
    global _guard
    _guard = threading.RLock()
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
