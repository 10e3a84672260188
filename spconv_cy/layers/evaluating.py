"""A network in evaluation mode for a while, by one thread at a time."""

import os
from contextlib import contextmanager
from threading import RLock
from weakref import WeakKeyDictionary

_turns = WeakKeyDictionary()                                             # {network: the lock of those who evaluate it}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.clear)                     # the threads that hold locks stay behind


@contextmanager
def evaluating(net):
    """Put a network into evaluation mode inside a `with` statement, and back afterwards.

    The mode belongs to the network, as its generators do: threads that evaluate the same one take turns, else the one
    that ends first would put the others into training.
    """
    with _turns.setdefault(net, RLock()):
        was_training = net.training
        net.eval()
        try:
            yield
        finally:
            net.train(was_training)
