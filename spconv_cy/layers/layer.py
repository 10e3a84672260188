"""What every layer is: a callable with parameters that can be walked, saved, copied and described."""

import inspect
import operator
from collections import deque
from collections.abc import Mapping

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.backend.switch import ops_named, ops_of
from spconv_cy.checks import checked_flags
from spconv_cy.errors import ShapeError
from spconv_cy.layers.plan import Plan, Step
from spconv_cy.layers.role import Role
from spconv_cy.layers.summary import summary
from spconv_cy.sites.lattice import Lattice, is_whole
from spconv_cy.state import checked_like, checked_names
from spconv_cy.tensor import SparseTensor

MOST_CHANNELS = 2**20
SIMPLE = frozenset((bool, int, float, str, type(None), Tensor))         # the most usual attributes: they hold nothing
HOLDERS = (dict, list, tuple, set, frozenset, deque, np.ndarray)         # that may hold layers and tensors
OWN = ("_call", "_kept", "_planned")                                                 # attributes of Layer itself


class Layer:
    """Base of all layers. A subclass sets attributes in `__init__` and computes in `__call__`; nothing is registered.

    Attributes that are Tensors are parameters, numpy arrays are state that training changes by other means (running
    statistics), numpy Generators are random state, layers are children; also inside lists, tuples and dicts, which may
    be nested. Sets and deques of them are an error, since their order is not kept in a file. Constructor arguments
    are remembered (but for `rng`), so that a network can be printed, saved and made anew: give a layer numbers, text,
    lists, lattices and layers.

    >>> class Scale(Layer):
    ...     def __init__(self, channels):
    ...         self.factor = Tensor(np.ones((1, channels)), requires_grad=True)
    ...     def __call__(self, x):
    ...         return x * self.factor
    >>> Scale(3)
    Scale(3)
    """

    training = True
    frozen = False
    role = Role.NONE
    _kept = frozenset()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if vars(cls).keys() & {"__call__", "activated"} and "role" not in vars(cls):
            cls.role = Role.NONE                                         # its own code may do anything

    def __new__(cls, *arguments, **options):
        self = super().__new__(cls)
        self._call = (arguments, {name: value for name, value in options.items() if name != "rng"})
        return self

    def __call__(self, x):
        raise NotImplementedError(f"{type(self).__name__}: a layer computes in __call__(self, x)")

    def children(self):
        """Return the children, a list."""
        return [value for _, value in _items(self) if isinstance(value, Layer)]

    def parameters(self):
        """Return the parameters of this layer and its children, each once, a list of Tensors."""
        found = {id(value): value for _, value in _walk(self) if isinstance(value, Tensor)}
        return list(found.values())

    def n_parameters(self):
        """Count the numbers that training changes."""
        return sum(p.data.size for p in self.parameters())

    def state(self):
        """Return a dict of numpy arrays by attribute path ("layers.0.weight"): parameters and running statistics."""
        return {path: ops_of(array).to_numpy(array) for path, array in _arrays(self)}

    def load_state(self, state):
        """Copy arrays into this layer, in place; where one is refused, none is copied.

        Args:
            state: dict of arrays of the names and shapes that `state` gives, and of the same kinds: floats for floats,
                integers for integers.

        Raises:
            ShapeError: a name is missing or too many, a shape or a kind differs; the names are given.
            TypeError: state is no dict, or holds other things than arrays.
            ValueError: an array of this layer is read-only.
        """
        mine = dict(_arrays(self))
        # Files of before there was a count hold statistics that have long left their beginning.
        counts = {path: np.full(1, 2.0**20, np.float32) for path in mine if path.split(".")[-1] == "running_steps"}
        state = {**counts, **state} if isinstance(state, Mapping) else state
        checked_names("load_state", state, mine)
        found = {path: checked_like("load_state", path, state[path], array) for path, array in mine.items()}
        for path, array in mine.items():
            if not getattr(array.flags, "writeable", True):
                raise ValueError(f"load_state: expected arrays that can be written, got {path}, which is read-only; "
                                 "put a copy in its place")
        for path, array in mine.items():
            array[...] = found[path]
        for parameter in self.parameters():
            parameter.mark_changed()

    def generators(self):
        """Return a dict of the numpy Generators by attribute path."""
        return {path: value for path, value in _walk(self) if isinstance(value, np.random.Generator)}

    def train(self, mode=True):
        """Go into training mode (or leave it): parameters that are not frozen need gradients, dropout drops.

        A parameter whose `requires_grad` was switched off by hand in training mode is kept as it is, here too.
        """
        checked_flags("train", mode=mode)
        layers = list(_layers(self))
        for layer in layers:                                             # before any changes: they may share parameters
            layer._kept = _kept(layer)
        for layer in layers:
            layer.training = mode
            for path, value in _items(layer):
                if isinstance(value, Tensor):
                    value.requires_grad = mode and not layer.frozen and path not in layer._kept
        return self

    def eval(self):
        """Leave training mode: no tape is recorded, running statistics are used."""
        return self.train(False)

    def freeze(self, frozen=True):
        """Keep this layer's parameters (and running statistics) as they are while the rest trains."""
        checked_flags("freeze", frozen=frozen)
        mode = self.training
        self.train(False)
        for layer in _layers(self):
            layer.frozen = frozen
        return self.train(mode)

    def to(self, name):
        """Move parameters and state to the backend of that name, in place, and return the layer.

        State of whole numbers and booleans keeps its dtype; floats get the backend's.
        """
        ops = ops_named(name)
        list(_items(self))                                               # which refuses what cannot be walked
        for attribute, value in list(vars(self).items()):
            if attribute not in OWN:
                setattr(self, attribute, _moved(value, ops, name))
        return self

    def in_size(self, out_size):
        """Return the field size that gives `out_size`; rows alone do not change it."""
        return out_size

    def input_size(self, out_size=1):
        """Return the smallest field, d ints (an int where no layer has a window), that gives `out_size`."""
        return self.in_size(out_size)

    def multiply_adds(self, x, y):
        """Return the multiply-adds that gave y for x: (by rows and volume, by pairs, dense)."""
        return 0, 0, 0

    def notation(self):
        """Return this layer in the notation of the papers, such as "32C3"; "" where there is none."""
        return ""

    def spec(self):
        """Return the network in the notation of the papers; `from_spec` reads it."""
        return self.notation() or repr(self)

    def summary(self, x):
        """Run on x and return a Summary: rows, sizes, parameters and multiply-adds layer by layer, dense beside."""
        return summary(self, x)

    def plan(self) -> Plan:
        """Return the steps that a call runs now, in order; print it to see which layers are computed together."""
        children = self.children()
        return Plan(tuple(Step(path, child) for path, child in _items(self) if isinstance(child, Layer))
                    if children else (Step("", self),))

    def describe(self):
        """Return {"class": name, "arguments": [...], "options": {...}} of JSON values, from which `load` makes it anew.

        Raises:
            TypeError: a constructor argument that JSON cannot hold.
        """
        arguments, options = self.arguments()
        return {"class": type(self).__name__,
                "arguments": [_described(self, value) for value in arguments],
                "options": {name: _described(self, value) for name, value in options.items()}}

    def arguments(self):
        """Return (positional, by name): the constructor's arguments, but for `rng`, that make this layer anew."""
        return self._call

    def __repr__(self):
        arguments, options = self.arguments()
        parts = [_shown(value) for value in arguments] + [f"{name}={_shown(value)}" for name, value in options.items()]
        flat = ", ".join(parts)
        if self.children() and (len(flat) > 100 or "\n" in flat):
            flat = "\n    " + ",\n".join(parts).replace("\n", "\n    ") + ")"
            return f"{type(self).__name__}({flat}"
        return f"{type(self).__name__}({flat})"


class Activated(Layer):
    """Base of layers that can apply a leaky ReLU to what they give, in the same pass over memory.

    A container uses it where a LeakyReLU comes next and the class has `Role.ACTIVATES` in its role.
    """

    role = Role.ACTIVATES

    def __call__(self, x):
        return self.activated(x)

    def activated(self, x, slope=None):
        """Return the layer's result, through a leaky ReLU of that slope unless it is None."""
        raise NotImplementedError(f"{type(self).__name__}: an activated layer computes in activated(self, x, slope)")


def checked_sparse(layer, x):
    """Raise TypeError where a layer that looks through windows gets something that has no sites."""
    if not isinstance(x, SparseTensor):
        raise TypeError(f"{layer}: {'an' if type(x).__name__[0] in 'aeiou' else 'a'} {type(x).__name__} came; a "
                        "SparseTensor fits: SparseTensor.from_sites(sites, features) makes one of arrays")


def checked_lattice(layer, x, lattice):
    """Raise TypeError where x has no sites, ShapeError where they lie on another lattice than the layer's."""
    checked_sparse(layer, x)
    if x.grid.lattice != lattice:
        raise ShapeError(f"{layer}: {x} on {x.grid.lattice} came; {lattice} fits")


def checked_counts(layer, **counts):
    """Return numbers of channels (or groups) as ints; raise ShapeError where they are not whole, or out of range."""
    for name, n in counts.items():
        if not is_whole(n) or not 1 <= n <= MOST_CHANNELS:
            raise ShapeError(f"{type(layer).__name__}: {name} {n!r} came; a whole number from 1 to {MOST_CHANNELS} "
                             "fits")
    return tuple(map(int, counts.values()))


def checked_rows(layer, x, channels):
    """Raise ShapeError where a tensor is not rows of that many channels."""
    if x.data.ndim != 2:
        raise ShapeError(f"{layer}: shape {x.shape} came; rows (n, {channels}) fit")
    checked_channels(layer, x.shape[1], channels)


def checked_channels(layer, found, expected):
    """Raise ShapeError where features have another number of channels than a layer was made for."""
    if found != expected:
        raise ShapeError(f"{layer}: features with {found} channels came; {expected} fit")


def running(layer):
    """List the arrays of a layer and all below it that training changes by other means than gradients."""
    return [value for _, value in _walk(layer) if _is_array(value)]


def _layers(layer):
    for child in layer.children():
        yield from _layers(child)
    yield layer


def _kept(layer):
    """Return the attribute paths of the parameters that training leaves alone."""
    needing = {path: value.requires_grad for path, value in _items(layer) if isinstance(value, Tensor)}
    if layer.training and not layer.frozen:
        return frozenset(path for path, needs in needing.items() if not needs)
    return frozenset(path for path in layer._kept if not needing.get(path))


def _items(layer):
    for name, value in vars(layer).items():
        if name in OWN:
            continue
        if type(value) not in SIMPLE and isinstance(value, HOLDERS):
            yield from _flattened(layer, name, value)
        else:
            yield name, value


def _flattened(layer, path, value):
    """Yield (path, value) of an attribute, of containers all that they hold."""
    if isinstance(value, dict):
        for key, item in value.items():
            for below, found in _flattened(layer, f"{path}.{key}", item):
                if "." in str(key) and _is_state(found):
                    raise TypeError(f"{type(layer).__name__}: expected keys without a dot in the attribute {path!r}, "
                                    f"got {key!r}; dots divide the paths of parameters")
                yield below, found
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            if isinstance(item, HOLDERS):
                yield from _flattened(layer, f"{path}.{i}", item)
            else:
                yield f"{path}.{i}", item
    elif isinstance(value, (set, frozenset, deque)) and any(map(_is_state, value)):
        raise TypeError(f"{type(layer).__name__}: expected the attribute {path!r} to hold its layers or tensors in a "
                        f"list, tuple or dict, got a {type(value).__name__}; make it a list")
    elif _is_array(value) and value.dtype == object and any(map(_is_state, value.flat)):
        raise TypeError(f"{type(layer).__name__}: expected the attribute {path!r} to hold its layers or tensors in a "
                        "list, tuple or dict, got an array of objects; make it a list")
    else:
        yield path, value


def _is_state(value):
    return isinstance(value, (Layer, Tensor, np.random.Generator)) or _is_array(value)


def _moved(value, ops, name):
    """Move what an attribute holds to a backend, in place where it can be; return what it becomes."""
    if isinstance(value, Layer):
        return value.to(name)
    if isinstance(value, Tensor):
        value.data, value.grad = ops.asarray(value.numpy()), None
        return value
    if isinstance(value, (list, dict)):
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            value[key] = _moved(item, ops, name)
        return value
    if isinstance(value, tuple):
        items = [_moved(item, ops, name) for item in value]
        return value if all(map(operator.is_, items, value)) else getattr(type(value), "_make", type(value))(items)
    if _is_array(value) and value.dtype.kind in "fiub":
        dtype = None if value.dtype.kind == "f" else value.dtype
        return ops.asarray(ops_of(value).to_numpy(value), dtype)
    return value


def _walk(layer):
    for name, value in _items(layer):
        if isinstance(value, Layer):
            yield from ((f"{name}.{path}", inner) for path, inner in _walk(value))
        else:
            yield name, value


def _arrays(layer):
    for path, value in _walk(layer):
        if isinstance(value, Tensor):
            yield path, value.data
        elif _is_array(value):
            yield path, value


def _is_array(value):
    return hasattr(value, "dtype") and hasattr(value, "shape") and bool(getattr(value, "ndim", 0))


def _described(layer, value):
    if isinstance(value, Layer):
        return value.describe()
    if isinstance(value, Lattice):
        return {"lattice": value.kind, "d": value.d}
    if isinstance(value, (list, tuple)):
        return [_described(layer, item) for item in value]
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(layer).__name__}: a constructor argument of type {type(value).__name__} cannot be saved; "
                    "numbers, text, None, lists, lattices and layers can")


def _shown(value):
    value = tuple(value) if isinstance(value, list) else value           # as `load` gives it
    return inspect.cleandoc(repr(value)) if not isinstance(value, Layer) else repr(value)
