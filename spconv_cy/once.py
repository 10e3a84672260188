"""Things made once, however many threads ask for them at the same time."""

import os
import threading

_turns = {}                                                              # (id of the dict, key): lock of who makes it


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
    while True:
        turn = _turns.setdefault(place, threading.RLock())
        with turn:
            found = kept.get(key)
            if found is not None:
                return found
            if _turns.get(place) is turn:                                # not so where the one before us raised
                try:
                    found = kept[key] = make(*arguments)
                finally:
                    if _turns.get(place) is turn:
                        del _turns[place]
                return found


if hasattr(os, "register_at_fork"):
    # In a forked child the threads that held these locks are not there to release them.
    os.register_at_fork(after_in_child=_turns.clear)
