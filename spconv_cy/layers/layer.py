"""The base class of all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from spconv_cy.arguments import check_arguments
from spconv_cy.backend.switch import ops_named, ops_of
from spconv_cy.checks import checked_flags
from spconv_cy.errors import expected
from spconv_cy.layers.attributes import OWN, Node, arrays, items, moved, walk
from spconv_cy.layers.description import described, shown
from spconv_cy.layers.role import Role as Role
from spconv_cy.layers.role import WorkingMemory as WorkingMemory
from spconv_cy.state import checked_like, checked_names
from spconv_cy.tensor import SparseTensor, Tensor

if TYPE_CHECKING:
    from spconv_cy.layers.plan import Plan
    from spconv_cy.layers.summary import Summary

Self = TypeVar("Self", bound="Layer")


class Layer(Node):
    """Base of all layers. A subclass sets attributes in `__init__` and computes in `__call__`; nothing is registered.

    Attributes that are Tensors are parameters, numpy arrays are state that training changes by other means (running
    statistics), numpy Generators are random state, and layers are children. They may be inside lists, tuples and dicts,
    also nested. Sets and deques of them are an error, since a file does not keep their order. Constructor arguments are
    remembered, except `rng`, so that a network can be printed, saved and made again: give a layer numbers, text, lists,
    lattices and layers.

    Attributes:
        training: True in training mode (also for a new layer); see `train`.
        frozen: True if training leaves the parameters unchanged; see `freeze`.
        role: Role, what the plan of a network may assume about the layer.
        fuses: whether the layer computes what follows it, too: `fused(x, slope, norm, residual)` returns its result
            through a batch normalisation, a sum and a leaky ReLU, `activated(x, slope)` of a max-pooling through a
            leaky ReLU. A subclass that overrides `__call__`, `activated` or `rows` without `fused` does not, whatever
            its base class does.
        working_memory: WorkingMemory, what a call takes; None: not known. For a class outside the library it says, too,
            that the layer keeps the sites, and gives `channels_out` channels, or as many as its input if it has no such
            attribute: a frozen network plans ahead for it. A subclass that overrides `__call__`, `activated` or `rows`
            sets it again.

    >>> class Scale(Layer):
    ...     def __init__(self, channels):
    ...         self.factor = Tensor(np.ones((1, channels)), requires_grad=True)
    ...     def __call__(self, x):
    ...         return x * self.factor
    >>> Scale(3)
    Scale(3)
    """

    training: bool = True
    frozen: bool = False
    role: Role = Role.NONE  # type: ignore[assignment]
    fuses: bool = False
    working_memory: WorkingMemory | None = None
    _kept: frozenset[str] = frozenset()
    _call: tuple[tuple[Any, ...], dict[str, Any]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if vars(cls).keys() & {"__call__", "activated", "rows"}:         # its own code may do anything
            cls.role = vars(cls).get("role", Role.NONE)
            cls.fuses = vars(cls).get("fuses", "fused" in vars(cls))
            cls.working_memory = vars(cls).get("working_memory")
        role = vars(cls).get("role", Role.NONE)
        if not isinstance(role, Role) and not hasattr(role, "__get__"):
            raise TypeError(expected(cls.__name__, "role to be a Role or a property", repr(role),
                                     "give one, such as sp.layers.Role.CHANNELWISE"))
        memory = vars(cls).get("working_memory")
        if not isinstance(memory, WorkingMemory | None) and not hasattr(memory, "__get__"):
            raise TypeError(expected(cls.__name__, "working_memory to be a WorkingMemory, a property or None",
                                     repr(memory), "give one, such as sp.layers.WorkingMemory(out=1.0)"))

    def __new__(cls: type[Self], *arguments: Any, **options: Any) -> Self:
        if options:
            check_arguments(cls.__init__, options, cls.__name__)
        self = super().__new__(cls)
        self._call = (arguments, {name: value for name, value in options.items() if name != "rng"})
        return self

    if TYPE_CHECKING:
        def __init__(self) -> None: ...

        __call__: Callable[..., SparseTensor | Tensor]
    else:
        def __call__(self, x: SparseTensor | Tensor) -> SparseTensor | Tensor:
            raise NotImplementedError(expected(type(self).__name__, "a method __call__(self, x)", "none"))

    def children(self) -> list[Layer]:
        """Return the layers that this layer holds."""
        return [value for _, value in items(self) if isinstance(value, Layer)]

    def parameters(self) -> list[Tensor]:
        """Return the parameters of this layer and its children, each once."""
        found = {id(value): value for _, value in walk(self) if isinstance(value, Tensor)}
        return list(found.values())

    def n_parameters(self) -> int:
        """Return how many numbers the parameters hold."""
        return sum(p.data.size for p in self.parameters())

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return a dict of numpy arrays by attribute path ("layers.0.weight"): parameters and running statistics."""
        return {path: ops_of(array).to_numpy(array) for path, array in arrays(self)}

    def load_state(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Copy arrays into this layer, in place; if one is refused, none is copied.

        Args:
            state: dict of arrays of the names and shapes that `state` gives, and of the same kinds: floats for floats,
                integers for integers.

        Raises:
            ShapeError: a name is missing or unknown, a shape or a kind differs; the names are given.
            TypeError: state is no dict, or holds other things than arrays.
            ValueError: an array of this layer is read-only.
        """
        mine = dict(arrays(self))
        # In files without running_steps the statistics count as those of a long training.
        counts = {path: np.full(1, 2.0**20, np.float32) for path in mine if path.split(".")[-1] == "running_steps"}
        state = {**counts, **state} if isinstance(state, Mapping) else state
        checked_names("load_state", state, mine)
        found = {path: checked_like("load_state", path, state[path], array) for path, array in mine.items()}
        for path, array in mine.items():
            if not getattr(array.flags, "writeable", True):
                raise ValueError(expected("load_state", "arrays that can be written", f"{path}, which is read-only",
                                          "replace it by a copy"))
        for path, array in mine.items():
            if array is not found[path]:
                array[...] = found[path]
        for parameter in self.parameters():
            parameter.mark_changed()

    def generators(self) -> dict[str, np.random.Generator]:
        """Return a dict of the numpy Generators by attribute path."""
        return {path: value for path, value in walk(self) if isinstance(value, np.random.Generator)}

    def train(self: Self, mode: bool = True) -> Self:
        """Switch to training mode: parameters that are not frozen need gradients, dropout drops channels.

        A parameter whose `requires_grad` was set to False by hand in training mode keeps it.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The layer itself.
        """
        checked_flags("train", mode=mode)
        layers = list(_with_tensors(self))
        for layer, tensors in layers:                                    # before any changes: they may share parameters
            layer._kept = _kept(layer, tensors)
        for layer, tensors in layers:
            layer.training = mode
            for path, value in tensors:
                value.requires_grad = mode and not layer.frozen and path not in layer._kept
        return self

    def eval(self: Self) -> Self:
        """Switch to evaluation mode: no tape is recorded, running statistics are used. Return the layer itself."""
        return self.train(False)

    def freeze(self: Self, frozen: bool = True) -> Self:
        """Keep this layer's parameters and running statistics unchanged while the rest trains; return the layer."""
        checked_flags("freeze", frozen=frozen)
        mode = self.training
        self.train(False)
        for layer, _ in _with_tensors(self):
            layer.frozen = frozen
        return self.train(mode)

    def to(self: Self, name: str) -> Self:
        """Move parameters and state to the backend of that name, in place, and return the layer.

        State of integers and booleans keeps its dtype; floats get the backend's.
        """
        ops = ops_named(name)
        list(items(self))                                                # raises before anything is moved
        for attribute, value in list(vars(self).items()):
            if attribute not in OWN:
                setattr(self, attribute, moved(value, ops, name))
        return self

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the field size that gives `out_size`."""
        return out_size

    def input_size(self, out_size: int | tuple[int, ...] = 1) -> int | tuple[int, ...]:
        """Return the smallest field, d ints (an int if no layer has a window), that gives `out_size`."""
        return self.in_size(out_size)

    def multiply_adds(self, x: SparseTensor | Tensor, y: SparseTensor | Tensor) -> tuple[int, int, int | None]:
        """Return the multiply-adds that gave y for x: (by rows and volume, by pairs, dense or None if unbounded)."""
        return 0, 0, 0

    def notation(self) -> str:
        """Return this layer in the notation of the papers, such as "32C3"; "" if there is none."""
        return ""

    def spec(self) -> str:
        """Return the network in the notation of the papers, which `from_spec` reads."""
        return self.notation() or repr(self)

    def summary(self, x: SparseTensor | Tensor) -> Summary:
        """Run on x and return a Summary: rows, sizes, parameters and multiply-adds layer by layer.

        The table also has the sites and the multiply-adds of the equivalent dense network.
        """
        from spconv_cy.layers.summary import summary  # what a load does not need takes time to import

        return summary(self, x)

    def plan(self) -> Plan:
        """Return the steps that a call runs now, in order; print it to see which layers are computed together."""
        from spconv_cy.layers.plan import Plan, Step

        children = [Step(path, value) for path, value in items(self) if isinstance(value, Layer)]
        return Plan(tuple(children) or (Step("", self),))

    def describe(self) -> dict[str, Any]:
        """Return {"class": name, "arguments": [...], "options": {...}} of JSON values, from which `load` makes a copy.

        Raises:
            TypeError: a constructor argument that JSON cannot hold.
        """
        arguments, options = self.arguments()
        return {"class": type(self).__name__,
                "arguments": [described(self, value) for value in arguments],
                "options": {name: described(self, value) for name, value in options.items()}}

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return (positional, by name): the constructor's arguments, except `rng`, that make this layer again."""
        return self._call

    def __repr__(self) -> str:
        arguments, options = self.arguments()
        parts = [shown(value) for value in arguments] + [f"{name}={shown(value)}" for name, value in options.items()]
        flat = ", ".join(parts)
        if self.children() and (len(flat) > 100 or "\n" in flat):
            flat = "\n    " + ",\n".join(parts).replace("\n", "\n    ") + ")"
            return f"{type(self).__name__}({flat}"
        return f"{type(self).__name__}({flat})"


class Activated(Layer):
    """Base of layers that can apply a leaky ReLU to their result in the same pass over memory.

    A container uses that where a LeakyReLU comes next and `Role.ACTIVATES` is part of the role.
    """

    role = Role.ACTIVATES  # type: ignore[assignment]

    if TYPE_CHECKING:
        activated: Callable[..., SparseTensor | Tensor]
    else:
        def __call__(self, x: SparseTensor | Tensor) -> SparseTensor | Tensor:
            return self.activated(x)

        def activated(self, x: SparseTensor | Tensor, slope: float | None = None) -> SparseTensor | Tensor:
            """Return the layer's result, through a leaky ReLU of that slope unless it is None."""
            raise NotImplementedError(expected(type(self).__name__, "a method activated(self, x, slope)", "none"))


def _with_tensors(layer: Layer) -> Iterator[tuple[Layer, list[tuple[str, Tensor]]]]:
    """Yield the layers below a layer and itself, each with the attribute paths of its own tensors."""
    held = list(items(layer))
    for _, value in held:
        if isinstance(value, Layer):
            yield from _with_tensors(value)
    yield layer, [(path, value) for path, value in held if isinstance(value, Tensor)]


def _kept(layer: Layer, tensors: list[tuple[str, Tensor]]) -> frozenset[str]:
    """Return the attribute paths of the parameters that training leaves unchanged."""
    if layer.training and not layer.frozen:
        return frozenset([path for path, value in tensors if not value.requires_grad])
    needing = {path: value.requires_grad for path, value in tensors}
    return frozenset(path for path in layer._kept if not needing.get(path))
