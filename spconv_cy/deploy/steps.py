"""The steps of a frozen network: each reads the rows of some values and writes those of another."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.deploy.products import Product, mapped, max_pooled, packed
from spconv_cy.errors import ShapeError, expected
from spconv_cy.sites import Grid, Rulebook, as_lattice
from spconv_cy.tensor import SparseTensor, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spconv_cy.deploy.rules import Found
    from spconv_cy.layers import Layer
    from spconv_cy.types import Array

Ground = Any                            # (1, c), or None


def aligned(numbers: int) -> int:
    """Return a number of float32 numbers rounded up to whole cache lines."""
    return -(-numbers // 16) * 16


@dataclass(eq=False, repr=False)
class Value:
    """Rows that a step writes: at the sites of a place, with a number of channels.

    Attributes:
        place: number of the place, as for Link; ROWS for rows without sites.
        channels: of the rows.
        inside: (value, first column) of the wider rows of which these are some columns, or None.
        dtype: of the numbers, such as "float32".
    """

    place: int
    channels: int
    inside: tuple[int, int] | None = None
    dtype: str = "float32"

    @property
    def columns(self) -> int:
        """Number of columns of the rows: as many as channels, or more so that they are whole words of 4 bytes."""
        each = 4 // np.dtype(self.dtype).itemsize
        return -(-self.channels // each) * each


@dataclass(eq=False, repr=False)
class Run:
    """What one call of a program holds.

    Attributes:
        places: the place of each value.
        found: Found, or None for rows without sites.
        rows: number of rows of an input without sites.
        values: arrays by number of the value.
        grounds: ground states by number of the value, (1, c) or None.
        biases: by number of the value, what a convolution adds where the input has a ground state.
        n_threads: of this call.
        room: memory for sums and for rows minus their ground state, float32, or None.
        step: number of the step that runs.
        dies: for each step whether x lies in memory that nothing reads later.
        channels: the number of channels of each value.
    """

    places: Sequence[int]
    found: Found | None
    rows: int
    values: list[Any]
    grounds: Sequence[Ground]
    biases: dict[int, Array]
    n_threads: int
    dies: Sequence[bool] = ()
    room: Any = None
    step: int = 0
    channels: Sequence[int] = ()

    def count(self, value: int) -> int:
        """Return the number of rows of a value."""
        place = self.places[value]
        if self.found is None:
            return self.rows
        return self.found.grids[0].samples if place < 0 else self.found.grids[place].n

    def identity(self, value: int) -> Rulebook:
        """Return the rulebook that pairs each row of a value with itself."""
        n = self.count(value)
        kept = None if self.found is None else self.found.identities.get(n)
        return Rulebook.identity(n) if kept is None else kept

    def above(self, value: int) -> tuple[Array, Any]:
        """Return (a value minus its ground state, the rest of the room); in place if nothing reads the value later."""
        x, room = self.values[value], self.room
        rows = np.zeros((4, x.shape[1]), np.float32)
        rows[0], rows[2] = self.grounds[value], 1
        y = x
        if not self.dies[self.step]:
            size = aligned(x.size)
            y, room = (np.empty(x.shape, np.float32), None) if room is None else (
                room[:x.size].reshape(x.shape), room[size:])
        mapped(x, y, rows, None, None, self.n_threads)
        return y, room

    def tensor(self, value: int) -> Any:
        """Return a value as a SparseTensor, or as a Tensor of rows without sites."""
        place, rows = self.places[value], Tensor.of(self.values[value])
        if self.found is None or place < 0:
            return rows
        ground = self.grounds[value]
        return SparseTensor(rows, self.found.grids[place], None if ground is None else Tensor.of(ground))


@dataclass(eq=False, repr=False)
class Step:
    """Base of steps.

    Attributes:
        x: number of the value that is read.
        y: number of the value that is written.
    """

    x: int
    y: int

    def reads(self) -> tuple[int, ...]:
        """Return the numbers of the values that are read."""
        return (self.x,)

    def pack(self, precision: str) -> None:
        """Put weights into the form in which they are multiplied, from the dict of arrays that tracing leaves."""

    def run(self, run: Run, y: Array | None) -> Any:
        """Write into y; or, for a step that makes its result itself, return it."""
        raise NotImplementedError

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """Return the ground state of y from those of the values before."""
        raise NotImplementedError


@dataclass(eq=False, repr=False)
class Convolve(Step):
    """A convolution with what follows it: leaky(map(x @ w by a rulebook + bias) + residual).

    Attributes:
        link: number of the link; None: each row by itself.
        product: Product, which holds the weights, the bias and the map.
        turned: whether the link's rulebook is used with inputs and outputs exchanged.
        slope: of the leaky ReLU, or None.
        residual: number of the value that is added, or None.
    """

    link: int | None
    product: Product
    turned: bool = False
    slope: float | None = None
    residual: int | None = None

    @property
    def before(self) -> Convolve | None:
        """The step that computes the residual inside this one, or None."""
        return None

    @property
    def then(self) -> Convolve | None:
        """The step that reads the result inside this one, or None."""
        return None

    @property
    def middle(self) -> int:
        """Number of the value of the convolution itself, without `then`."""
        return self.y

    def reads(self) -> tuple[int, ...]:
        """Return the numbers of the values that are read."""
        return (self.x,) if self.residual is None else (self.x, self.residual)

    def pack(self, precision: str) -> None:
        """See Step.pack."""
        if isinstance(self.product, dict):
            self.product = packed(precision, self.product)

    def __copy__(self) -> Convolve:
        # While layers are traced: the weights are shared, what is noted about them is not.
        found: Any = self.product
        product: Any = dict(found) if isinstance(found, dict) else found
        return replace(self, product=product)

    def rulebook(self, run: Run) -> Rulebook:
        """Return the rulebook of a call."""
        if self.link is None or run.found is None:
            return run.identity(self.x)
        book = run.found.books[self.link]
        return book.T if self.turned else book

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        x, bias, residual, room = self._inputs(run)
        self.product.run(x, self.rulebook(run), y, bias, self.slope, residual, run.n_threads, room)  # type: ignore[arg-type]

    def _inputs(self, run: Run) -> tuple[Array, Array | None, Array | None, Array]:
        """Return (rows, bias, residual, room) for the convolution itself."""
        x, room, bias = run.values[self.x], run.room, run.biases.get(self.middle)
        if bias is not None and run.grounds[self.x].any():
            x, room = run.above(self.x)
        return x, bias, None if self.residual is None else run.values[self.residual], room

    def scratch_bytes(self, run: Run) -> int:
        """Return the bytes of room that the step takes."""
        return self.product.scratch_bytes(self.rulebook(run), run.n_threads)

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground."""
        x = grounds[self.x]
        if x is None:
            return None
        state = self.product.state()
        plain, w = packed("float32", {name: state[name] for name in state if name != "rows"}), state["weight"]
        row, y = (np.empty((1, w.shape[1] * w.shape[3]), np.float32) for _ in range(2))
        plain.run(x, Rulebook.identity(1) if self.link is None else Rulebook.one_row(len(w)), row, None, None, None, 1)
        if self.link is not None:
            biases[self.y] = row
        mapped(row, y, state.get("rows"), None if self.residual is None else grounds[self.residual], self.slope, 1)
        return y


@dataclass(eq=False, repr=False)
class Map(Step):
    """A map of each column with what follows it: leaky((x - r0 - r1) * r2 + r3 + residual).

    Attributes:
        rows: (4, c) of the map, or None.
        slope: of the leaky ReLU, or None.
        residual: number of the value that is added, or None.
    """

    rows: Array | None = None
    slope: float | None = None
    residual: int | None = None

    def reads(self) -> tuple[int, ...]:
        """Return the numbers of the values that are read."""
        return (self.x,) if self.residual is None else (self.x, self.residual)

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        residual = None if self.residual is None else run.values[self.residual]
        mapped(run.values[self.x], y, self.rows, residual, self.slope, run.n_threads)  # type: ignore[arg-type]

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground."""
        x = grounds[self.x]
        if x is None:
            return None
        y = np.empty_like(x)
        mapped(x, y, self.rows, None if self.residual is None else grounds[self.residual], self.slope, 1)
        return y


@dataclass(eq=False, repr=False)
class MaxPool(Step):
    """Maxima over the windows of a link, through a leaky ReLU.

    Attributes:
        link: number of the link.
        background: "ground" or "zero", as for MaxPooling.
        slope: of the leaky ReLU, or None.
    """

    link: int
    background: str = "ground"
    slope: float | None = None

    def window_bytes(self, ground: bool) -> int:
        """Return the bytes that a window takes while the step runs; ground: whether the input has a ground state."""
        return 6 if ground else 0                                        # a count and a flag where it competes

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        ground = None if self.background == "zero" else run.grounds[self.x]
        slope = 0.0 if self.background == "zero" else self.slope
        book = run.found.books[self.link]                                # type: ignore[union-attr]
        max_pooled(run.values[self.x], book, y, ground, slope, run.n_threads)  # type: ignore[arg-type]

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground."""
        slope, x = 0.0 if self.background == "zero" else self.slope, grounds[self.x]
        return x if x is None or slope is None else np.where(x > 0, x, x * np.float32(slope))


@dataclass(eq=False, repr=False)
class Join(Step):
    """The columns of several values side by side; those that lie inside y already are not copied.

    Attributes:
        parts: numbers of the values.
    """

    parts: tuple[int, ...] = ()

    def reads(self) -> tuple[int, ...]:
        """Return the numbers of the values that are read."""
        return self.parts

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        column = 0
        for part in self.parts:
            x = run.values[part]
            to = y[:, column:column + x.shape[1]]                        # type: ignore[index]
            column += x.shape[1]
            if not np.may_share_memory(x, to):
                self.copy(x, to, run.n_threads)

    def copy(self, x: Array, to: Array, n_threads: int) -> None:
        """Copy the rows of x to those columns of the result."""
        mapped(x, to, None, None, None, n_threads)

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground."""
        parts = [grounds[part] for part in self.parts]
        return None if parts[0] is None else np.concatenate(parts, 1)


@dataclass(eq=False, repr=False)
class Apply(Step):
    """A layer's own call in evaluation mode, which makes its result itself.

    Attributes:
        layer: Layer.
    """

    layer: Layer

    def pack(self, precision: str) -> None:
        """Take a copy of the layer."""
        self.layer = deepcopy(self.layer)

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        x = run.tensor(self.x)
        found: Any = self.layer(x)
        rows, shape = getattr(found, "features", found), (run.count(self.y), run.channels[self.y])
        if getattr(rows, "shape", None) != shape:
            raise ShapeError(expected("Frozen", f"{type(self.layer).__name__} to give {shape[1]} channels at "
                                      f"{shape[0]} sites", f"{found}", "set working_memory = None: it is for layers "
                                      "that keep the sites; channels_out says how many channels they give"))
        made = np.require(rows.data, np.float32, ["C"])
        return made.copy() if np.may_share_memory(made, run.values[self.x]) else made   # whose place others use later

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground."""
        x = grounds[self.x]
        if x is None:
            return None
        window = getattr(self.layer, "window", None)
        lattice = as_lattice(1) if window is None else window.lattice
        empty = Grid.from_sites(np.zeros((0, lattice.d + 1), np.int32), None, 1, lattice)
        found = self.layer(SparseTensor(Tensor.of(x[:0]), empty, Tensor.of(x)))
        ground = getattr(found, "ground", None)
        return None if ground is None else ground.data
