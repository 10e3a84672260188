"""Containers: layers made of layers."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import Any

from spconv_cy.checks import is_integer, is_one_of, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional.dense import as_tensor, concatenate, leaky_relu
from spconv_cy.layers.ahead import expect
from spconv_cy.layers.layer import Layer, Role
from spconv_cy.layers.listening import listens
from spconv_cy.layers.listening import step as call
from spconv_cy.layers.place import locate
from spconv_cy.layers.plan import Plan, Step, steps, with_sum
from spconv_cy.layers.rows import on_rows
from spconv_cy.layers.submatrix import computed, run, whole
from spconv_cy.sites.algebra import HOW
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import ArrayLike

CONVOLUTION = re.compile(r"\d+S?C\d+(/\d+)?")


class Sequential(Layer):
    """Apply layers one after the other.

    `net[i]` is the i-th layer, `len(net)` the number of layers.

    Args:
        layers: Layers.
    """

    _planned: tuple[tuple[list[Any], tuple[Step, ...]], ...] = ()        # ((what the steps depend on, steps), ...)

    def __init__(self, *layers: Layer) -> None:
        self.layers: list[Layer] = checked_layers(self, layers)

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Apply all layers."""
        return self._run(self._steps(fuse=not listens()), x)

    def _run(self, planned: tuple[Step, ...], x: Any) -> SparseTensor | Tensor:
        given, selection = x, None
        expect(self, x)
        for step in planned:
            try:
                x, selection = run(step, x, selection)
            except Exception as error:
                locate(error, self, *step.blamed(error, self.layers), given)  # type: ignore[arg-type]
                raise
        return whole(x, selection)

    def plan(self) -> Plan:
        """Return the steps that a call runs now, in order; print it to see which layers are computed together.

        >>> from spconv_cy.layers.activation import ReLU
        >>> from spconv_cy.layers.convolution import NetworkInNetwork
        >>> print(Sequential(NetworkInNetwork(3, 4), ReLU(), NetworkInNetwork(4, 2)).plan())
        layers[0]: NetworkInNetwork(3, 4) + ReLU()
        layers[2]: NetworkInNetwork(4, 2)
        """
        return Plan(self._steps())

    def _steps(self, fuse: bool = True) -> tuple[Step, ...]:
        # Computed once for each mode, and again if a layer or its role has changed.
        now: list[Any] = [fuse, self.__dict__.get("how")]
        for layer in self.layers:
            now += layer, layer.role, layer.training, layer.__dict__.get("rng")
        for then, planned in self._planned:
            if len(then) == len(now) and all(map(operator.is_, then, now)):
                return planned
        planned = self._made(fuse)
        self._planned = ((now, planned), *self._planned[:2])
        return planned

    def _made(self, fuse: bool) -> tuple[Step, ...]:
        return steps(self.layers, fuse=fuse)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the current layers or, for a subclass with its own constructor, the arguments of that constructor."""
        return (tuple(self.layers), {}) if type(self).__init__ is Sequential.__init__ else super().arguments()

    def __getitem__(self, i: Any) -> Any:
        if not isinstance(i, slice) and (not is_integer(i) or not -len(self) <= i < len(self)):
            kind = IndexError if is_integer(i) else TypeError
            raise kind(expected(type(self).__name__, f"an index of one of its {len(self)} layers", f"{i!r}"))
        return self.layers[i]

    def __len__(self) -> int:
        return len(self.layers)

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the field size that gives `out_size` after all layers."""
        for layer in reversed(self.layers):
            out_size = layer.in_size(out_size)
        return out_size

    def notation(self) -> str:
        """Join the notations of the layers with dashes.

        After a convolution VLReLU is left out, and a convolution without an activation is followed by "linear".
        """
        words = [layer.spec() for layer in self.layers]
        shown = []
        for i, word in enumerate(words):
            after_convolution = i > 0 and CONVOLUTION.fullmatch(words[i - 1])
            if not (after_convolution and word == "VLReLU"):
                shown.append(word)
            follows = words[i + 1] if i + 1 < len(words) else ""
            if CONVOLUTION.fullmatch(word) and not follows.startswith(("VLReLU", "ReLU", "LReLU", "BN")):
                shown.append("linear")
        return "-".join(shown)


class Residual(Sequential):
    """Add the input to the output of the layers: shortcut(x) + f(x).

    Args:
        layers: Layers that keep the sites, applied one after the other.
        shortcut: Layer for the other branch, such as a NetworkInNetwork if channels change; None: the input itself.
        how: for branches with different sites, "outer", "inner" or "left": the result is at the sites of either, of
            both, or of the shortcut, as SparseTensor.add; None: the sites must be the same.

    Raises:
        ShapeError: at the call, the channels of the branches differ, or their sites do and `how` is None.

    Source: He et al. 2016, arXiv:1512.03385.
    """

    role = Role.ACTIVATES

    def __init__(self, *layers: Layer, shortcut: Layer | None = None, how: str | None = None) -> None:
        super().__init__(*layers)
        self.shortcut, self.how = shortcut, checked_how(self, how)
        if shortcut is not None:
            checked_layers(self, [shortcut])

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Apply the layers and the shortcut, and add the results."""
        return self.activated(x)

    def activated(self, x: SparseTensor | Tensor | ArrayLike, slope: float | None = None) -> SparseTensor | Tensor:
        """Apply the layers and the shortcut, add the results, and apply a leaky ReLU of that slope unless it is None.

        The last layer adds the other branch to its own result, if it can.
        """
        x = x if isinstance(x, SparseTensor) else as_tensor(x)
        planned = self._steps(fuse=not listens())
        adds = bool(planned) and planned[-1].adds
        y: Any = self._run(planned[:-1] if adds else planned, x)
        start: Any = x if self.shortcut is None else branch(self, "shortcut", self.shortcut, x, x)
        if adds:
            last = planned[-1]
            try:
                return computed(last, last.layer, y, start, slope)
            except Exception as error:
                locate(error, self, *last.blamed(error, self.layers), x)  # type: ignore[arg-type]
                raise
        y = start.add(y, how=self.how) if self.how and isinstance(start, SparseTensor) else start + y
        return y if slope is None else on_rows(lambda rows: leaky_relu(rows, slope), y)

    def _made(self, fuse: bool) -> tuple[Step, ...]:
        planned = super()._made(fuse)
        return with_sum(planned) if fuse and self.how is None else planned

    def plan(self) -> Plan:
        """Return the steps that a call runs now: those of the layers, and of the shortcut from the input."""
        shortcut = () if self.shortcut is None else (Step("shortcut", self.shortcut),)
        return Plan((*self._steps(), *shortcut), "add")

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the layers, the shortcut and `how` as they are now."""
        if type(self).__init__ is not Residual.__init__:
            return super().arguments()
        options = {"shortcut": self.shortcut, "how": self.how}
        return tuple(self.layers), {name: value for name, value in options.items() if value is not None}

    def notation(self) -> str:
        """Return "": the notation of the papers has no branches."""
        return ""


class Concatenate(Layer):
    """Apply several branches to the same input and concatenate their channels.

    Args:
        branches: Layers whose outputs have the same sites.
        how: for branches with different sites, "outer", "inner" or "left": the result is at the sites of any, of all,
            or of the first, as SparseTensor.concatenate; None: the sites must be the same.

    Raises:
        ShapeError: at the call, the sites of the branches differ and `how` is None.
    """

    def __init__(self, *branches: Layer, how: str | None = None) -> None:
        self.how = checked_how(self, how)
        if not branches:
            raise ShapeError(expected("Concatenate", "at least one branch", "none"))
        self.branches = checked_layers(self, branches)

    def __call__(self, x: SparseTensor | Tensor | ArrayLike) -> SparseTensor | Tensor:
        """Apply the branches and concatenate their channels."""
        parts = [branch(self, f"branches[{i}]", layer, x, x) for i, layer in enumerate(self.branches)]
        if isinstance(parts[0], Tensor):
            return concatenate(*parts)
        first = parts[0]
        if self.how:
            return first.concatenate(*parts[1:], how=self.how)
        for part in parts[1:]:
            if part.grid is not first.grid or (part.ground is None) != (first.ground is None):
                raise ShapeError(expected("Concatenate", "branches with the same grid, all or none with a ground state",
                                          f"{first} and {part}", "give how= for different sites"))
        ground = None if first.ground is None else concatenate(*(part.ground for part in parts))
        return first.with_features(concatenate(*(part.features for part in parts)), ground)

    def plan(self) -> Plan:
        """Return the branches, each of which takes the input."""
        return Plan(tuple(Step(f"branches[{i}]", layer) for i, layer in enumerate(self.branches)), "concatenate")

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the branches and `how` as they are now."""
        if type(self).__init__ is not Concatenate.__init__:
            return super().arguments()
        return tuple(self.branches), {"how": self.how} if self.how else {}

    def in_size(self, out_size: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the field size of the first branch; all branches have the same sites."""
        return self.branches[0].in_size(out_size)


def branch(container: Layer, path: str, layer: Layer, x: Any, given: Any) -> Any:
    """Apply one layer of a container; errors say where it is in the container, which was called with `given`."""
    try:
        return call(layer, x)
    except Exception as error:
        locate(error, container, path, layer, given)
        raise


def checked_layers(container: Layer, layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of a container as a list; raise TypeError if one is not a Layer."""
    who = type(container).__name__
    if len(layers) == 1 and isinstance(layers[0], (list, tuple, dict)):
        values = ".values()" if isinstance(layers[0], dict) else ""
        raise TypeError(expected(who, "layers as separate arguments", kind_of(layers[0]),
                                 f"call {who}(*layers{values})"))
    for layer in layers:
        if isinstance(layer, type):
            raise TypeError(expected(who, "layers", f"the class {layer.__name__}",
                                     f"call it with its arguments, {layer.__name__}(...)"))
        if not isinstance(layer, Layer):
            raise TypeError(expected(who, "layers", kind_of(layer),
                                     "write a class with Layer as its base"))
    return list(layers)


def checked_how(layer: Layer, how: str | None) -> str | None:
    """Return how branches with different sites are joined; raise ShapeError if it is unknown."""
    if not is_one_of(how, (None, *HOW)):
        raise ShapeError(expected(type(layer).__name__, f"how to be None, {', '.join(map(repr, HOW))}", f"{how!r}"))
    return how
