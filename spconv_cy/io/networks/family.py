"""What is known about the checkpoints of one family of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from spconv_cy.checks import kind_of, shortened
from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.io.modules import Module
    from spconv_cy.layers import Layer

Modules: TypeAlias = "Mapping[str, Module]"
Names = dict[str, str]


@dataclass(eq=False, repr=False)
class Family:
    """A family of networks: how a checkpoint names its modules, and how the network is built from their shapes.

    Attributes:
        name: the word for `network` and `names` of `convert`.
        builder: our function, for errors.
        first: by source, the array that marks the prefix of the network's names, such as "conv_input.0.weight", or
            several, the first of which that is found counts.
        build: function from (modules, source) to a network with the sizes of the modules.
        table: function from (network, source) to {module: layer}.
        one_by_one: reading of the weights of size 1; None: their shapes tell.
        linear: modules that are linear layers of torch.
        unused: beginnings of the paths of modules that the network's forward pass does not use.
        synonyms: {module in the table: its path in other versions of the published code}.
        part: True if the network is a part of the published one, so that other modules are left over.
    """

    name: str
    builder: str
    first: Mapping[str, str | tuple[str, ...]]
    build: Callable[[Modules, str], Layer]
    table: Callable[[Layer, str], Names]
    one_by_one: str | None = None
    linear: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    part: bool = False

    def prefix(self, state: Mapping[str, Array], source: str) -> str:
        """Return the prefix of the network's names; raise ShapeError if there is none, or several."""
        firsts = self.first[source]
        found: list[str] = []
        for first in (firsts,) if isinstance(firsts, str) else firsts:
            found = found or [name[:-len(first)] for name in state if name == first or str(name).endswith(f".{first}")]
        if len(found) != 1:
            wanted = firsts if isinstance(firsts, str) else " or ".join(firsts)
            got = f"several: {shortened(found)}" if found else f"names such as {shortened(list(state), 3) or 'none'}"
            raise ShapeError(expected("convert", f"an array {wanted}, with which {self.name} begins", got,
                                      "give prefix=" if found else "give a Layer and names={module: layer}"))
        return found[0]

    def built(self, modules: Modules, source: str) -> Layer:
        """Return a network with the sizes of the modules; raise ShapeError if the family has none of such modules."""
        try:
            return self.build(modules, source)
        except (KeyError, IndexError, StopIteration) as error:
            raise ShapeError(expected("convert", f"the modules of {self.name}", f"others: {error} is missing",
                                      "give a Layer and names={module: layer}")) from error
        except ShapeError as error:
            if str(error).startswith("convert"):
                raise
            told = "those of a larger network" if str(error).startswith("load") else f"others ({error})"
            raise ShapeError(expected("convert", f"sizes of {self.name} that the arrays of the checkpoint have", told,
                                      "check network= and source=")) from error

    def names(self, net: Layer, source: str, who: str = "convert") -> Names:
        """Return {module: layer} of a network that `builder` built; raise ShapeError if it is another."""
        try:
            return self.table(net, source)
        except (AttributeError, IndexError, TypeError) as error:
            raise ShapeError(expected(who, f"a network of {self.builder} for {self.name}", kind_of(net),
                                      "give names={module: layer}")) from error

    def readings(self, names: Names, wanted: str | Mapping[str, str] | None) -> dict[str, str]:
        """Return the reading of weights of size 1 by module: as wanted, otherwise that of the family."""
        every = wanted if isinstance(wanted, str) else self.one_by_one
        known = {} if every is None else dict.fromkeys(names, every)
        known |= {path: "linear" for path in self.linear if path in names}
        return known | (dict(wanted) if isinstance(wanted, Mapping) else {})


def width(module: Module) -> int:
    """Return the channels of a module: the numbers of its bias, or of another row."""
    arrays = [module.arrays[name] for name in ("bias", "weight", "running_mean") if name in module.arrays]
    return int(np.asarray(arrays[0]).size) if arrays else 0


def inputs(module: Module, source: str) -> int:
    """Return the input channels of a convolution's module."""
    shape = weight_shape(module)
    return int(shape[-1] if source == "spconv2" else shape[-2])


def weight_shape(module: Module) -> tuple[int, ...]:
    """Return the shape of a convolution's weight; raise IndexError if it is none."""
    shape = np.shape(module.arrays["kernel" if "kernel" in module.arrays else "weight"])
    if len(shape) < 2:
        raise IndexError(f"a weight of two or more axes in {module.path!r}")
    return shape


def in_row(theirs: str, ours: str, conv: int, norm: int | None = None, at: int = 0) -> Names:
    """Return {module: layer} of a convolution and its batch normalisation, numbered in both sequences."""
    norm = conv + 1 if norm is None else norm
    return {f"{theirs}.{conv}": f"{ours}.{at}", f"{theirs}.{norm}": f"{ours}.{at + 1}"}
