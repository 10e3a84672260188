"""Frozen networks: parts that are computed by steps, and layers that are called as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from spconv_cy import layers as library
from spconv_cy.autograd import no_grad
from spconv_cy.checks import as_array, described, is_one_of
from spconv_cy.deploy import text
from spconv_cy.deploy.limits import at_points, by_samples, checked_bytes, fits, grid_of, needed, refuse, shown
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.stages import Scales, check_scales, fits_in, programs_of, run
from spconv_cy.deploy.stages import needed as stages_needed
from spconv_cy.deploy.steps import Convolve
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import Layer
from spconv_cy.state import checked_like, checked_names
from spconv_cy.tensor import SparseTensor, Tensor


class Frozen(Layer):
    """A network for inference on the CPU; `sp.freeze` makes it, and `sp.save` and `sp.load` keep it in a file.

    A call gives what the network gives in evaluation mode, and records nothing. Any number of threads may call it at
    the same time. The sites and rulebooks of the last call are kept, and used again if the sites are the same.

    Args:
        plan: the steps as JSON text, with zeros for weights.
        layers: Layers that are called as they are.
        memory: limit of a call in bytes, or None.

    Attributes:
        limit: bytes that a call may take, or None.
        layers: list of the Layers that are called as they are.
        precision: "float32", "bfloat16" or "int8".
        kernels: names of the instruction sets that multiply in bfloat16 or int8, and those whose bits they emulate.
    """

    def __init__(self, plan: str, *layers: Layer, memory: int | None = None) -> None:
        parts = [_part(part, layers) for part in json.loads(plan)]
        check_scales(parts)
        self._set(parts, list(layers), None if memory is None else checked_bytes(memory))

    @classmethod
    def of(cls, parts: list[Any], memory: int | str | None = None) -> Frozen:
        """Return the frozen network of Programs, and Layers between them."""
        frozen = cls("[]")
        layers: list[Layer] = []
        for part in parts:
            if isinstance(part, Program):
                text.described(part, layers)
            elif not isinstance(part, Scales):
                layers.append(part)
        frozen._set(list(parts), layers, None if memory is None else checked_bytes(memory))
        return frozen

    def _set(self, parts: list[Any], layers: list[Layer], memory: int | None) -> None:
        self.limit, self.layers = memory, [layer.eval() for layer in layers]
        numbers = {id(layer): i for i, layer in enumerate(self.layers)}  # in `layers` alone, whose arrays are the state
        self._order = tuple(numbers.get(id(part), part) for part in parts)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The Programs, and the Layers between them; a Pyramid is one Scales and the Programs of its levels."""
        return tuple(self.layers[part] if isinstance(part, int) else part for part in self._order)

    @property
    def precision(self) -> str:
        """Name of the numbers that are multiplied: "float32", "bfloat16" or "int8"."""
        small = self._small()
        return small[0].precision if small else "float32"

    @property
    def kernels(self) -> str:
        """Names of the instruction sets that multiply in bfloat16 or int8, and those whose bits they emulate; or ""."""
        return ", ".join(dict.fromkeys(getattr(product, "kernels", "none yet") for product in self._small()))

    def _small(self) -> list[Any]:
        return [step.product for program in programs_of(self.parts) for step in program.steps
                if isinstance(step, Convolve) and step.product.precision != "float32"]

    def __call__(self, x: Any, *more: Any, memory: int | str | None = None) -> Any:
        """Return what the network gives for x in evaluation mode.

        Args:
            x: SparseTensor; or what else the network takes.
            more: what a network that is called as it is takes besides, such as the counts of a PCGCDecoder.
            memory: limit of this call in bytes, or such as "500MB"; None: that of the network.

        Raises:
            MemoryError: the call would take more; nothing has been computed then.
            TypeError: x is something else, or the network takes nothing more.
        """
        if more and (len(self.parts) != 1 or isinstance(self.parts[0], Program)):
            raise TypeError(expected("Frozen", "one argument", f"{1 + len(more)}", "this network takes no more"))
        limit = self.limit if memory is None else checked_bytes(memory)
        given = x if isinstance(x, (SparseTensor, Tensor)) else Tensor(_rows(x))
        with no_grad():
            if limit is not None and isinstance(given, SparseTensor):
                return self._within(given, limit)
            return run(self.parts, given, more)

    def memory(self, sites: Any, *, size: Any = None, samples: int | None = None, ground: str | None = None) -> int:
        """Return the most bytes that a call takes for sites: rulebooks, rows and the result, without x and the weights.

        The rulebooks are found for it; the next call uses them.

        Args:
            sites: SparseTensor, Grid, or array (n, 1+d) of sites, the batch index first; a SparseTensor if the network
                gives a row for each point.
            size, samples: of the field, as for Grid.from_sites, if an array is given.
            ground: "zero" or None, as for SparseTensor.from_sites, if no SparseTensor is given.

        Raises:
            TypeError: the network has layers whose memory is not known before they run; it gives a row for each point,
                and sites is no SparseTensor made of points.
            ShapeError: sites of another dimension, or another ground.
        """
        if not is_one_of(ground, ("zero", None)):
            raise ShapeError(expected("Frozen.memory", "ground to be 'zero' or None", repr(ground)))
        stages, points = self._planned()
        program, grid = stages[0], grid_of(sites, size, samples)
        row = getattr(sites, "ground", None)
        if row is None and ground is not None and not isinstance(sites, SparseTensor):
            row = Tensor(np.zeros((1, program.values[0].channels), np.float32))
        if len(stages) > 1:
            return stages_needed(stages, grid, None if row is None else row.data)
        needs = needed(program, grid, None if row is None else row.data)
        return at_points(program, sites, needs) if points else needs

    def weight_bytes(self) -> int:
        """Return the bytes of the packed weights."""
        return sum(program.weight_bytes() for program in programs_of(self.parts))

    def forget(self) -> None:
        """Drop the sites and rulebooks that are kept of the last call."""
        for program in programs_of(self.parts):
            program.forget()

    def train(self, mode: bool = True) -> Frozen:
        """Return the network itself: it is always in evaluation mode."""
        self.training = False
        return self

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return a dict of arrays: those of the steps, and of the layers that are called as they are."""
        own = {f"steps.{i}.{name}": array for i, part in enumerate(self.parts) if isinstance(part, Program)
               for name, array in text.arrays(part).items()}
        return {**own, **super().state()}

    def load_state(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Copy arrays into the steps and layers; see Layer.load_state."""
        self.fill(state)

    def fill(self, state: Mapping[str, np.ndarray[Any, Any]],
             done: Callable[[Any, int | None], None] | None = None) -> None:
        """Do what `load_state` does; done: as for `text.set_arrays`, called with the arrays of the steps."""
        own = self.state()
        checked_names("load_state", state, own)
        given = {name: checked_like("load_state", name, state[name], array) for name, array in own.items()
                 if name.startswith("steps.")}
        super().load_state({name: array for name, array in state.items() if name not in given})
        for i, part in enumerate(self.parts):
            if isinstance(part, Program):
                head = f"steps.{i}."
                found = {name[len(head):]: array for name, array in given.items() if name.startswith(head)}
                text.set_arrays(part, found, done)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the constructor's arguments."""
        layers: list[Layer] = []
        plan: list[Any] = []
        for part in self.parts:
            if isinstance(part, Program):
                plan.append(text.described(part, layers))
            elif isinstance(part, Scales):
                plan.append([part.count, part.pyramid.factor])
            else:
                plan.append(len(layers))
                layers.append(part)
        return (json.dumps(plan), *layers), {} if self.limit is None else {"memory": self.limit}

    def __repr__(self) -> str:
        names = [f"{len(part.steps)} steps" if isinstance(part, Program) else type(part).__name__
                 for part in self.parts if not isinstance(part, Scales)]
        limit = "" if self.limit is None else f", memory={shown(self.limit)!r}"
        if self.precision != "float32":
            others = [name for part in self.parts if isinstance(part, Program) for name in text.in_float32(part)]
            limit += f", precision={self.precision!r} by {self.kernels}; in float32: {', '.join(others) or 'none'}"
        return f"Frozen({', '.join(names)}{limit})"

    def _planned(self) -> tuple[list[Any], list[library.ToPoints]]:
        """Return the parts, a Program first, and the ToPoints after a single one if there is one."""
        first, after = self.parts[:1], list(self.parts[1:])
        if not first or not isinstance(first[0], Program):
            raise refuse([part.pyramid if isinstance(part, Scales) else part for part in self.parts
                          if not isinstance(part, Program)])
        if [type(part) is library.ToPoints and not part.layers for part in after] == [True]:
            return list(first), after
        others = [part for part in after
                  if not isinstance(part, (Program, Scales)) and type(part) is not library.Collapse]
        if others:
            raise refuse(others)
        return list(self.parts), []

    def _within(self, x: SparseTensor, limit: int) -> Any:
        stages, points = self._planned()
        if len(stages) > 1:
            try:
                fits_in(stages, x, limit)
            except MemoryError:
                self.forget()
                raise
            return run(stages, x)
        program = stages[0]
        if fits(program, x, limit, bool(points)):
            return points[0](program(x)) if points else program(x)
        return by_samples(program, x, limit)


def _part(text_of: Any, layers: Sequence[Layer]) -> Any:
    if isinstance(text_of, int):
        return layers[text_of]
    return Scales(*text_of) if isinstance(text_of, list) else text.built(text_of, layers)


def _rows(x: Any) -> Any:
    """Return what a call was given, neither a SparseTensor nor a Tensor, as an array.

    Raises:
        TypeError: it is no array of numbers.
    """
    found = as_array("Frozen", x)
    if found.dtype.kind in "OUSMm":
        raise TypeError(expected("Frozen", "a SparseTensor or rows of numbers", described(x)))
    return found
