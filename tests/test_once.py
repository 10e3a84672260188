"""Things that are made once: by one of many threads, also where the first makers raise or ask for themselves."""

import threading
import time

import pytest
from threaded import together

from spconv_cy import once as module
from spconv_cy.once import once


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_threads_get_one_object_and_the_next_one_makes_it_where_one_raised(failures):
    kept, made, making = {}, [], []

    def make():
        making.append(1)
        assert len(making) == 1, "two threads make at the same time"
        time.sleep(0.005)                                                # the others come to wait
        making.pop()
        made.append(object())
        if len(made) <= failures:
            raise ValueError("no luck")
        return made[-1]

    def ask(_):
        try:
            return once(kept, "key", make)
        except ValueError:
            return None

    got = together(8, ask)
    assert got.count(None) == failures and set(got) - {None} == {made[-1]} and len(made) == failures + 1
    assert not module._locks


def test_a_key_is_made_while_another_one_waits_for_it():
    kept, begun = {}, threading.Event()

    def slow():
        begun.set()
        return once(kept, "inner", lambda: 1) + 1

    thread = threading.Thread(target=once, args=(kept, "outer", slow))
    thread.start()
    assert begun.wait(10) and once(kept, "outer", slow) == 2 and kept == {"inner": 1, "outer": 2}
    thread.join()
    assert not module._locks
