"""The tape: whether functions are recorded, the order of the backward pass, checks and memory of gradients."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import numpy as np

from spconv_cy.backend.switch import Part, ops_of, sum_of_rows, summable
from spconv_cy.checks import kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array, Backward, Gradient

# Whether functions are recorded, and the value before.
recording: ContextVar[tuple[bool, Any]] = ContextVar("recording", default=(True, None))
# What a backward pass calls with each leaf whose gradient is complete.
listener: ContextVar[Callable[[Any], None] | None] = ContextVar("listener", default=None)
LARGE = 4096                                                             # numbers of an array that numpy adds slower
# (position of an argument, its counter of changes in place, the count at the forward pass).
Read = tuple[int, list[int], int]


class Node(Protocol):
    """The parts of a Tensor that the backward pass uses."""

    data: Any
    requires_grad: bool
    _parents: Sequence[Any]
    _backward: Any
    _function: Callable[..., object] | None
    _version: list[int]
    _read: Sequence[Read]


N = TypeVar("N", bound=Node)


@contextmanager
def listening(ready: Callable[[Any], None]) -> Iterator[None]:
    """Call `ready(leaf)` inside a `with` statement when a backward pass has completed the gradient of a leaf."""
    token = listener.set(ready)
    try:
        yield
    finally:
        listener.reset(token)


class Together:
    """What a backward function returns whose gradients are computed by one call.

    Args:
        make: function of a list of bools, which arguments need a gradient; it returns the entries.
    """

    __slots__ = ("make",)

    def __init__(self, make: Callable[[list[bool]], Sequence[Gradient]]) -> None:
        self.make = make


class no_grad:
    """Record nothing inside a `with` statement, in this thread or task."""

    _records = False

    def __enter__(self) -> "no_grad":
        recording.set((self._records, recording.get()))
        return self

    def __exit__(self, *_: object) -> None:
        recording.set(recording.get()[1])


class with_grad(no_grad):
    """Record inside a `with` statement, also inside `no_grad`."""

    _records = True


def leaf_gradients(root: N, gradient: Any, early: bool = False) -> Iterator[tuple[N, Any]]:
    """Yield (leaf, its gradient) for every leaf of a tensor that needs one; no `grad` is changed.

    A gradient has the type that the backward functions return. The gradient of an array has the dtype of the array,
    also float16. With `early`, a leaf comes as soon as its gradient is complete, else in any order.
    """
    gradients = {id(root): gradient}
    nodes = nodes_of(root)
    uses = Counter(id(parent) for node in nodes for parent in node._parents) if early else None
    sums: set[int] = set()                                               # whose gradients are sums that nobody else has
    for node in nodes:
        dy = gradients.pop(id(node), None)
        if dy is None:
            continue
        if node._backward is None:
            yield node, dy
            continue
        check_unchanged(node)
        for position, (parent, dx) in enumerate(zip(node._parents, entries_of(node, dy), strict=True)):
            if getattr(parent, "requires_grad", False) and dx is not None:
                dx = as_stored(node, position, dx() if callable(dx) else dx)
                before = gradients.get(id(parent))
                if before is not None:
                    dx = sum_of(before, dx, before if id(parent) in sums else None)
                    sums.add(id(parent))
                gradients[id(parent)] = dx
        for parent in node._parents if uses is not None else ():         # a leaf whose last use this was is complete
            uses[id(parent)] -= 1                                        # type: ignore[index]
            if not uses[id(parent)] and id(parent) in gradients and parent._backward is None:  # type: ignore[index]
                yield parent, gradients.pop(id(parent))


def nodes_of(root: N) -> list[N]:
    """Return the nodes that need a gradient, each before its parents; without recursion, so depth has no limit."""
    order: list[N] = []
    stack: list[N] = [root]
    listed: dict[int, bool] = {}
    while stack:
        node = stack[-1]
        if listed.get(id(node)) is None:
            listed[id(node)] = False
            stack += [p for p in node._parents
                      if getattr(p, "requires_grad", False) and id(p) not in listed]
        else:
            stack.pop()
            if not listed[id(node)]:
                listed[id(node)] = True
                order.append(node)
    return order[::-1]


def check_unchanged(node: Node) -> None:
    """Raise RuntimeError if data that a node's backward function reads were changed in place after the forward pass."""
    for position, version, then in node._read:
        if version[0] != then:
            raise RuntimeError(expected("backward",
                                        f"{_argument(node, position)} unchanged since {_name(node)} read it",
                                        "data changed in place, for example by an optimiser's step or load_state",
                                        "call backward before the change, or repeat the forward pass"))


def entries_of(node: Node, dy: Any) -> Sequence[Gradient]:
    """Return the gradients that a node's backward function returns; raise TypeError if their number is wrong."""
    entries = node._backward(dy)
    if type(entries) is Together:
        return entries.make([getattr(parent, "requires_grad", False) for parent in node._parents])
    if not isinstance(entries, (tuple, list)) or len(entries) != len(node._parents):
        got = f"{len(entries)} entries" if isinstance(entries, (tuple, list)) else kind_of(entries)
        raise TypeError(expected(_name(node), "backward(dy) to return a tuple with an entry for each of its "
                                 f"{len(node._parents)} arguments", got, "for one argument return (dx,)"))
    return entries


def as_stored(node: Node, position: int, dx: Any) -> Any:
    """Return a gradient as an array of the argument's dtype.

    Raises:
        TypeError: the gradient is no array.
        ShapeError: it has another shape than the argument.
    """
    data = node._parents[position].data
    if data is None:
        return dx
    if isinstance(dx, np.generic):
        dx = np.asarray(dx)
    if type(dx) is not np.ndarray and (not hasattr(dx, "dtype") or hasattr(dx, "requires_grad")):
        raise TypeError(expected(_name(node), f"backward(dy) to return an array for {_argument(node, position)}",
                                 kind_of(dx)))
    if dx.shape != data.shape:
        raise ShapeError(expected(_name(node), f"a gradient {data.shape} for {_argument(node, position)}", dx.shape))
    if type(data) is Part and type(dx) is np.ndarray:
        dx = data.like(dx)
    if owner_of(dx) is owner_of(data):                                   # the saved array itself
        dx = dx.copy()
    return dx if dx.dtype == data.dtype else dx.astype(data.dtype)


def checked_results(who: str, results: object) -> tuple[Array, Backward]:
    """Return (y, backward) as a differentiable function returned them, y as an array.

    Raises:
        TypeError: it returned something else.
    """
    if not isinstance(results, tuple) or len(results) != 2 or not callable(results[1]):
        raise TypeError(expected(who, "a differentiable function to return (y, backward), an array and a function",
                                 kind_of(results)))
    y, backward = results
    if isinstance(y, np.generic):
        return np.asarray(y), backward
    if not hasattr(y, "dtype") or hasattr(y, "requires_grad"):
        raise TypeError(expected(who, "y to be an array", kind_of(y)))
    return y, backward


def read_by(arguments: Sequence[Any], reads: Sequence[tuple[int, tuple[int, ...]]] | None,
            kind: type[Any]) -> list[Read]:
    """Return the arguments whose data the backward pass reads, with their counters of changes.

    Args:
        arguments: of the function.
        reads: pairs (i, (j, ...)), as for `differentiable`; None: all arguments are read.
        kind: class of tensors.
    """
    if reads is None:
        return [(i, a._version, a._version[0]) for i, a in enumerate(arguments) if isinstance(a, kind)]
    read, n = [], len(arguments)
    for i, others in reads:
        if i < n and isinstance(arguments[i], kind):
            for j in others:
                if j < n and isinstance(arguments[j], kind) and arguments[j].requires_grad:
                    read.append((i, arguments[i]._version, arguments[i]._version[0]))
                    break
    return read


def _name(node: Node) -> str:
    return getattr(node._function, "__name__", "backward")


def _argument(node: Node, position: int) -> str:
    """Return the name of an argument of a node's function and its shape, for an error."""
    names = list(inspect.signature(node._function).parameters) if node._function else []
    shape = node._parents[position].shape
    return f"argument {names[position]!r}, a Tensor {shape}," if position < len(names) else f"a Tensor {shape}"


def owner_of(array: Any) -> Any:
    """Return the object that owns an array's memory."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def owned(dx: Array, given: dict[int, Any]) -> Array:
    """Return a gradient, copied if one in `given` uses the same memory; add its owner to `given`, {id: owner}."""
    owner = owner_of(dx)
    if id(owner) in given or isinstance(dx, np.ndarray) and not dx.flags.writeable:
        dx = dx.copy()
        owner = owner_of(dx)
    given[id(owner)] = owner
    return dx


def sum_of(a: Any, b: Any, out: Array | None = None) -> Any:
    """Return a + b; large arrays are added by the backend, on all threads, and into `out` if it is given."""
    if type(a) is np.ndarray and type(b) is np.ndarray and a.size >= LARGE and a.shape == b.shape \
            and a.dtype == b.dtype == np.float32:
        return ops_of(a).add(a, b, out)
    return a + b


def check_broadcast(who: str, a: Array, b: Array) -> None:
    """Raise ShapeError if numpy cannot broadcast two arrays, BackendError if they are of two backends."""
    ops_of(a, b)
    if a.shape != b.shape:
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ShapeError(expected(who, "equal shapes, or shapes that numpy broadcasts",
                                      f"{a.shape} and {b.shape}")) from None


def fold_to(dy: Array, shape: tuple[int, ...]) -> Array:
    """Return a gradient summed over the axes along which an operand of `shape` was broadcast."""
    if dy.shape == shape:
        return dy
    if dy.ndim == 2 and shape == (1, dy.shape[1]):
        return ops_of(dy).segment_sum(dy, np.array([0, len(dy)]))        # in fixed chunks, on all threads
    dy = summable(dy)
    dy = dy.sum(tuple(range(dy.ndim - len(shape)))) if dy.ndim > len(shape) else dy
    axes = tuple(i for i, (have, want) in enumerate(zip(dy.shape, shape, strict=True)) if have != want)
    return dy.sum(axes, keepdims=True) if axes else dy


def fold_onto(dy: Array, a: Array) -> Array:
    """Return a gradient summed over the axes along which an operand was broadcast, over the rows of all processes."""
    if isinstance(dy, Part) and not isinstance(a, Part):                 # also if this process has one row
        dy = sum_of_rows(dy, 0) if a.ndim == dy.ndim else sum_of_rows(dy, 0)[0]
    return fold_to(dy, a.shape)
