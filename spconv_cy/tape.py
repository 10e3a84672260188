"""The way back along the tape: its nodes in order, what their functions may give, whose memory a gradient has."""

import inspect

import numpy as np

from spconv_cy.errors import ShapeError


def nodes_of(root):
    """Return the nodes that need a gradient, each before its parents; iterative, so depth has no limit."""
    order, state, stack = [], {}, [root]
    while stack:
        node = stack[-1]
        if state.get(id(node)) is None:
            state[id(node)] = False
            stack += [p for p in node._parents
                      if getattr(p, "requires_grad", False) and id(p) not in state]
        else:
            stack.pop()
            if not state[id(node)]:
                state[id(node)] = True
                order.append(node)
    return order[::-1]


def check_unchanged(node):
    """Raise RuntimeError where data that a node's backward function reads were changed in place since."""
    for position, version, then in node._read:
        if version[0] != then:
            raise RuntimeError(f"backward: {_argument(node, position)} was changed in place after {_name(node)} read "
                               "it, as by an optimiser's step or load_state; go back before it is changed, or run the "
                               "forward pass again")


def entries_of(node, dy):
    """Return what a node's backward function gives for each argument; refuse another number of entries."""
    entries = node._backward(dy)
    if not isinstance(entries, (tuple, list)) or len(entries) != len(node._parents):
        got = f"{len(entries)} entries" if isinstance(entries, (tuple, list)) else f"a {type(entries).__name__}"
        raise TypeError(f"{_name(node)}: expected backward(dy) to return a tuple with an entry for each of its "
                        f"{len(node._parents)} arguments, got {got}; for one argument return (dx,)")
    return entries


def as_stored(node, position, dx):
    """Return a gradient as an array of the argument's dtype; refuse what is none, or of another shape."""
    data = node._parents[position].data
    if data is None:
        return dx
    if isinstance(dx, np.generic):
        dx = np.asarray(dx)
    if type(dx) is not np.ndarray and (not hasattr(dx, "dtype") or hasattr(dx, "requires_grad")):
        raise TypeError(f"{_name(node)}: expected backward(dy) to return an array for {_argument(node, position)}, got "
                        f"a {type(dx).__name__}")
    if dx.shape != data.shape:
        raise ShapeError(f"{_name(node)}: expected a gradient {data.shape} for {_argument(node, position)}, got "
                         f"{dx.shape}")
    if owner_of(dx) is owner_of(data):                                       # the saved array itself
        dx = dx.copy()
    return dx if dx.dtype == data.dtype else dx.astype(data.dtype)


def _name(node):
    return getattr(node._function, "__name__", "backward")


def _argument(node, position):
    """Name an argument of a node's function, for an error: by its name where it has one, and its shape."""
    names = list(inspect.signature(node._function).parameters) if node._function else []
    shape = node._parents[position].shape
    return f"argument {names[position]!r}, a Tensor {shape}," if position < len(names) else f"a Tensor {shape}"


def owner_of(array):
    """Return the object that owns an array's memory."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def owned(dx, given):
    """Return a gradient that shares its memory with none in `given`, {id: owner}, and is put there."""
    owner = owner_of(dx)
    if id(owner) in given or isinstance(dx, np.ndarray) and not dx.flags.writeable:
        dx = dx.copy()
        owner = owner_of(dx)
    given[id(owner)] = owner
    return dx
