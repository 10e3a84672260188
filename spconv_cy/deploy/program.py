"""Programs: steps that compute a part of a network, and the memory that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.config import threads
from spconv_cy.deploy.rules import Found, Link, Rules
from spconv_cy.deploy.steps import Apply, Run, Step, Value
from spconv_cy.tensor import SparseTensor, Tensor

if TYPE_CHECKING:
    from spconv_cy.types import Array

try:
    from spconv_cy.compiled.memory import empty
except ImportError:
    empty = np.empty                                                     # type: ignore[assignment]


class Program:
    """Steps in the order in which they run; value 0 is the input, the last step writes the result.

    Args:
        values: list of Value.
        steps: list of Step.
        links: list of Link.
        output: number of the value that is the result.
    """

    def __init__(self, values: Sequence[Value], steps: Sequence[Step], links: Sequence[Link], output: int) -> None:
        self.values, self.steps, self.output, self.rules = list(values), list(steps), output, Rules(links)
        self._places = [value.place for value in values]
        self._grounds: dict[bytes, tuple[list[Any], dict[int, Array]]] = {}
        self._ends = self._last_uses()

    def _last_uses(self) -> list[list[int]]:
        """Return for each step the values that no later step reads."""
        last = {}
        for i, step in enumerate(self.steps):
            for value in (*step.reads(), step.y):
                last[value] = i
        ends: list[list[int]] = [[] for _ in self.steps]
        for value, i in last.items():
            if value not in (0, self.output):
                ends[i].append(value)
        return ends

    def __call__(self, x: Any) -> Any:
        """Return the result for a SparseTensor, or a Tensor of rows without sites."""
        if not isinstance(x, SparseTensor):
            return Tensor.of(self._run(_float32(x), None, len(x.data), None).values[self.output])
        found = self.rules.find(x.grid)
        ground = None if x.ground is None else _float32(x.ground)
        run = self._run(_float32(x.features), found, x.grid.n, ground)
        y, place, ground = Tensor.of(run.values[self.output]), self._places[self.output], run.grounds[self.output]
        if place < 0:
            return y
        grid = found.grids[place]
        return SparseTensor(y, grid, None if ground is None else Tensor.of(ground),
                            x.point_rows if grid is x.grid else None)

    def _run(self, rows: Array, found: Found | None, n: int, ground: Array | None) -> Run:
        grounds, biases = ([None] * len(self.values), {}) if ground is None else self.grounds(ground)
        values: list[Any] = [None] * len(self.values)
        values[0] = rows
        run = Run(self._places, found, n, values, grounds, biases, threads())
        for step, ends in zip(self.steps, self._ends, strict=True):
            y = None if isinstance(step, Apply) else self._room(run, step.y)
            made = step.run(run, y)
            values[step.y] = made if y is None else y
            for value in ends:
                values[value] = None
        return run

    def _room(self, run: Run, number: int) -> Array:
        value = self.values[number]
        if value.inside is None:
            if run.values[number] is None:
                run.values[number] = empty((run.count(number), value.channels))
            return run.values[number]                                    # type: ignore[no-any-return]
        wide, column = value.inside
        return self._room(run, wide)[:, column:column + value.channels]

    def grounds(self, ground: Array) -> tuple[list[Any], dict[int, Array]]:
        """Return the ground states of all values and the biases of convolutions, for the input's; the last are kept."""
        key = ground.tobytes()
        kept = self._grounds.get(key)
        if kept is None:
            grounds: list[Any] = [None] * len(self.values)
            biases: dict[int, Array] = {}
            grounds[0] = ground
            for step in self.steps:
                grounds[step.y] = step.ground(grounds, biases)
            kept = grounds, biases
            self._grounds = {key: kept}
        return kept


def _float32(x: Any) -> Array:
    return np.require(x.data, np.float32, ["C", "A"])
