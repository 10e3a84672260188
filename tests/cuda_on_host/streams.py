"""Streams, events and freed memory of the stand-in for cupy: what another stream wrote or reads takes a wait.

Nothing runs late here. Instead each stream counts its work and knows up to which number it has waited for the others;
a use of memory that the rules of CUDA leave to chance is an error.
"""

import contextlib
import os
import threading
import weakref

on = False                                                               # until a test asks for a second stream
_here = threading.local()
_blocks = weakref.WeakValueDictionary()                                  # by the id of the array that owns the memory


class Stream:
    """A queue of work: its `count`; how far it has `waited` for others; `freed`: uses of memory given back."""

    def __init__(self, null=False, non_blocking=False):
        global on
        on = on or not null
        self.count, self.waited, self.freed = 0, {}, {}
        if not non_blocking and not null:
            raise NotImplementedError("the stand-in models streams that do not block the null stream alone")

    def record(self):
        return {**self.waited, self: self.count}

    def wait_event(self, event):
        for other, number in event.items():
            self.waited[other] = max(number, self.waited.get(other, 0))

    def synchronize(self):
        """Nothing runs late."""

    def __enter__(self):
        _stack().append(self)
        return self

    def __exit__(self, *_):
        _stack().pop()

    def check(self, what, uses):
        for other, number in uses.items():
            if other is not self and self.waited.get(other, 0) < number:
                raise RuntimeError(f"{what} by another stream, which has not been waited for")


class Block:
    """Memory of an array and its views: who wrote it last, and who read it since."""

    def __init__(self, owner, stream):
        self.owner, self.stream, self.written, self.read = owner, stream, {}, {}

    def use(self, writes):
        stream = current()
        stream.check("memory is used that was written", self.written)
        if writes:
            stream.check("memory is written that is read", self.read)
        stream.count += 1
        (self.written if writes else self.read)[stream] = stream.count

    def __del__(self):
        for uses in (self.written, self.read):
            for stream, number in uses.items():
                self.stream.freed[stream] = max(number, self.stream.freed.get(stream, 0))


class Device:
    id = 0
    compute_capability = property(lambda _: os.environ.get("SHIM_ARCH", "80"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def current():
    """Return the current stream of this thread."""
    return _stack()[-1]


def allocator():
    """Return the allocator of this thread."""
    return getattr(_here, "allocator", lambda size: None)


@contextlib.contextmanager
def using_allocator(allocate):
    before, _here.allocator = allocator(), allocate
    yield
    _here.allocator = before


def block_of(array, may_be_made=False):
    """Return the block of a numpy array of the device; the first one that is made of some memory is its allocation."""
    owner = array
    while getattr(owner, "base", None) is not None and hasattr(owner.base, "shape"):
        owner = owner.base
    block = _blocks.get(id(owner))
    if block is None:
        block = _blocks[id(owner)] = Block(owner, current())
        if may_be_made:
            allocator()(array.nbytes)
            current().check("memory is given anew that is used", dict(current().freed))
            block.use(writes=True)
    return block


def _stack():
    if not hasattr(_here, "streams"):
        _here.streams = [NULL]
    return _here.streams


NULL = Stream(null=True)
