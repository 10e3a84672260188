"""Programs: steps that compute a part of a network, in memory that is laid out before they run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.checks import kind_of
from spconv_cy.config import threads
from spconv_cy.deploy.joined import joined
from spconv_cy.deploy.memory import OBJECTS, Layout, held
from spconv_cy.deploy.rules import Found, Link, Rules, rules_bytes
from spconv_cy.deploy.steps import Apply, Convolve, MaxPool, Run, Step, Value, aligned
from spconv_cy.errors import ShapeError, expected
from spconv_cy.tensor import SparseTensor, Tensor

if TYPE_CHECKING:
    from spconv_cy.types import Array

try:
    from spconv_cy.compiled.memory import exact
except ImportError:
    exact = np.empty                                                     # type: ignore[assignment]


class Program:
    """Steps in the order in which they run; value 0 is the input, the last step writes the result.

    Args:
        values: list of Value.
        steps: list of Step.
        links: list of Link.
        output: number of the value that is the result.
        join: whether steps are joined where they can be; otherwise `watch` sees all values.

    Attributes:
        jobs: the steps as they run, some of them joined.
        watch: called with the Run and the number of each value that has been computed, or None.
    """

    def __init__(self, values: Sequence[Value], steps: Sequence[Step], links: Sequence[Link], output: int,
                 join: bool = True) -> None:
        self.values, self.steps, self.output = list(values), list(steps), output
        products = [step for step in steps if isinstance(step, Convolve)]
        self.rules = Rules(links, {step.link for step in products if step.turned and step.link is not None},
                           {values[step.x].place for step in products if step.link is None})
        self._join = join
        self._lay_out()
        self._places, self._channels = [value.place for value in values], [value.channels for value in values]
        self._bytes = any(value.dtype == "uint8" for value in values)
        self.watch: Any = None
        self._grounds: dict[bytes, tuple[list[Any], dict[int, Array]]] = {}
        self._plans: dict[Any, Any] = {}
        self._needs_sites = bool(links) or any(value.place < 0 for value in values)

    def _lay_out(self) -> None:
        self.jobs = joined(self.steps, self.output) if self._join else self.steps
        self.layout = Layout(self.values, self.jobs, self.output)

    def __call__(self, x: Any) -> Any:
        """Return the result for a SparseTensor, or a Tensor of rows without sites."""
        self._check(x)
        if not isinstance(x, SparseTensor):
            return Tensor.of(self._run(_float32(x), None, None))
        found = self.rules.find(x.grid)
        ground = None if x.ground is None else _float32(x.ground)
        y, place = Tensor.of(self._run(_float32(x.features), found, ground)), self._places[self.output]
        if place < 0:
            return y
        grid, ground = found.grids[place], None if ground is None else self.grounds(ground)[0][self.output]
        return SparseTensor(y, grid, None if ground is None else Tensor.of(ground),
                            x.point_rows if grid is x.grid else None)

    def _check(self, x: Any) -> None:
        shape, channels = x.shape, self.values[0].channels
        if self._needs_sites and not isinstance(x, SparseTensor):
            raise TypeError(expected("Frozen", "a SparseTensor", kind_of(x), "make one of arrays by "
                                     "SparseTensor.from_sites(sites, features)"))
        if len(shape) != 2 or shape[1] != channels:
            raise ShapeError(expected("Frozen", f"features (n, {channels})", f"shape {shape}"))
        if self._bytes:
            rows = x.features.data if isinstance(x, SparseTensor) else x.data
            if not (np.isfinite(rows.max(initial=0)) and np.isfinite(rows.min(initial=0))):
                raise ValueError(expected("Frozen", "finite features, since 8 bits have no NaN or infinity",
                                          "NaN or infinity", "remove such rows"))

    def bytes(self, found: Found, ground: Array | None = None, n_threads: int | None = None) -> int:
        """Return the most bytes that a call takes for these sites, with their rulebooks and the result."""
        run = self._begin(found, 0, ground, threads() if n_threads is None else n_threads)
        sizes, _, total, room = self._plan(run)
        own = held(total + 4 * room) + self.layout.made_bytes(sizes, ground is not None)
        windows = max((step.window_bytes(ground is not None) * run.count(step.y) for step in self.jobs
                       if isinstance(step, MaxPool)), default=0)
        return rules_bytes(found) + own + windows + OBJECTS * (len(self.jobs) + 4 * len(found.books) + 24)

    def grounds(self, ground: Array) -> tuple[list[Any], dict[int, Array]]:
        """Return the ground states of all values and the biases of convolutions, for the input's; the last are kept.

        Raises:
            ShapeError: a layer refuses a ground state, as it does in the network.
        """
        key = ground.tobytes()
        kept = self._grounds.get(key)
        if kept is None:
            grounds: list[Any] = [None] * len(self.values)
            biases: dict[int, Array] = {}
            grounds[0] = ground
            for step in self.steps:
                if grounds[step.x] is not None and self._spreads(step):
                    raise ShapeError(expected("Frozen", "a tensor with ground=None (the sites that a Deconvolution or "
                                              "TransposedConvolution writes have no common ground state)", "one with a "
                                              "ground state", "begin with ground=None (from_sites, from_points)"))
                grounds[step.y] = step.ground(grounds, biases)
            kept = grounds, biases
            self._grounds = {key: kept}
        return kept

    def _spreads(self, step: Step) -> bool:
        """Return True for a convolution to finer sites."""
        return isinstance(step, Convolve) and step.link is not None and (
            step.turned or self.rules.links[step.link].window.kind == "transposed")

    def weight_bytes(self) -> int:
        """Return the bytes of the packed weights."""
        return sum(step.product.nbytes for step in self.steps if isinstance(step, Convolve))

    def forget(self) -> None:
        """Drop what is kept of the last call."""
        self.rules.forget()
        self._plans = {}

    def weights_changed(self) -> None:
        """Forget what was computed from the weights, which have changed."""
        self.forget()
        self._lay_out()
        self._grounds = {}

    def _begin(self, found: Found | None, rows: int, ground: Array | None, n_threads: int) -> Run:
        grounds, biases = ([None] * len(self.values), {}) if ground is None else self.grounds(ground)
        return Run(self._places, found, rows, [None] * len(self.values), grounds, biases, n_threads, self.layout.dies,
                   channels=self._channels)

    def _run(self, rows: Array, found: Found | None, ground: Array | None) -> Array:
        run = self._begin(found, len(rows), ground, threads())
        sizes, offsets, total, room = self._plan(run)
        memory = exact((total // 4 + room,))
        run.room, run.values[0] = memory[total // 4:], rows
        if self.watch is not None:
            self.watch(run, 0)
        for run.step, step in enumerate(self.jobs):
            if isinstance(step, Apply):
                run.values[step.y] = step.run(run, None)
            else:
                y = self._rows(run, step.y, memory, offsets)
                step.run(run, y)
                run.values[step.y] = y
            for value in self.layout.ends[run.step]:
                run.values[value] = None
            if self.watch is not None:
                self.watch(run, step.y)
        return run.values[self.output]                                   # type: ignore[no-any-return]

    def _rows(self, run: Run, number: int, memory: Array, offsets: dict[int, int]) -> Array:
        value, buffer = self.values[number], self.layout.buffer[number]
        if value.inside is not None:
            wide, column = value.inside
            if run.values[wide] is None:
                run.values[wide] = self._rows(run, wide, memory, offsets)
            return run.values[wide][:, column:column + value.columns]   # type: ignore[no-any-return]
        if run.values[number] is not None:
            return run.values[number]                                    # type: ignore[no-any-return]
        shape = run.count(number), value.columns
        if buffer == self.output:
            return exact(shape, value.dtype)
        return np.ndarray(shape, value.dtype, memory, offsets[buffer])

    def _plan(self, run: Run) -> tuple[list[int], dict[int, int], int, int]:
        """Return (bytes of each value, first byte of each buffer, their sum, floats of room) for a call; few are kept.
        """
        counts = tuple(run.count(value) for value in range(len(self.values)))
        above = self._above(run)
        key = counts, run.n_threads, above
        kept = self._plans.get(key)
        if kept is None:
            sizes = [64 * -(-n * value.columns * np.dtype(value.dtype).itemsize // 64)
                     for n, value in zip(counts, self.values, strict=True)]
            kept = sizes, *self.layout.offsets(sizes), self._room(run, above)
            self._plans = {key: kept}
        return kept                                                      # type: ignore[no-any-return]

    def _above(self, run: Run) -> tuple[int, ...]:
        """Return the numbers of the steps that read their rows minus a ground state from the room; see Run.above."""
        return tuple(i for i, step in enumerate(self.jobs) if isinstance(step, Convolve) and step.middle in run.biases
                     and not self.layout.dies[i] and step.product.precision == "float32"
                     and run.grounds[step.x].any()) if run.biases else ()

    def _room(self, run: Run, above: Collection[int]) -> int:
        """Return the most float32 numbers of room that a step takes; above: what `_above` returns."""
        most = 0
        for i, step in enumerate(self.jobs):
            if isinstance(step, Convolve):
                floats = -(-step.scratch_bytes(run) // 4)
                if i in above:
                    floats += aligned(run.count(step.x) * self.values[step.x].channels)
                most = max(most, floats)
        return aligned(most)


def _float32(x: Any) -> Array:
    return np.require(x.data, np.float32, ["C", "A"])


