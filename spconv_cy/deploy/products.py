"""Where a frozen convolution computes: weights packed for the machine, and the product by a rulebook."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spconv_cy.backend.switch import ops_named

try:
    import spconv_cy.compiled.frozen as compiled
    from spconv_cy.compiled.memory import exact
except ImportError:
    compiled, exact = None, np.empty                                     # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spconv_cy.sites import Rulebook
    from spconv_cy.types import Array


class Product(Protocol):
    """A convolution and the map of its columns, with weights in the form in which they are multiplied; see `packed`.

    Attributes:
        precision: name of the numbers: "float32", or those of a module that packs others.
        nbytes: bytes that the packed weights take.
    """

    precision: str
    nbytes: int

    def run(self, x: Array, rulebook: Rulebook, y: Array, bias: Array | None, slope: float | None,
            residual: Array | None, n_threads: int, room: Array | None = None) -> None:
        """Write leaky(map(x @ w by the rulebook + bias) + residual) into y (n_out, o).

        Args:
            x, y, residual: rows whose columns lie side by side; from row to row it may be any distance. y may be
                residual.
            rulebook: Rulebook.
            bias: (1, o) in place of that of the weights, or None.
            slope: of the leaky ReLU, or None.
            n_threads: number of threads.
            room: (scratch_bytes / 4,) float32 for sums, or None.
        """

    def scratch_bytes(self, rulebook: Rulebook, n_threads: int) -> int:
        """Return the bytes that `run` takes for a rulebook beside its arguments."""

    def state(self) -> dict[str, Array]:
        """Return the arrays that a file keeps, from which `packed` makes the same object."""


class Float32:
    """Float32 weights in the order in which the compiled kernels read them.

    Args:
        state: {"weight": (k, c, o), or (k, g, c, o) for g groups; perhaps "bias": (1, o); perhaps "rows": (4, o), a
            map of the columns as for Ops.affine}.
        room: memory for the packed weight, or None.

    Attributes:
        crc: CRC-32 of the weight where it was taken, or None.
    """

    precision = "float32"

    def __init__(self, state: dict[str, Array], room: Room | None = None) -> None:
        w = state["weight"]
        self._packed = compiled.Packed(w, None if room is None else room.take(w.shape))
        self.crc = self._packed.crc
        self._bias, self._rows = state.get("bias"), state.get("rows")
        self.nbytes = int(self._packed.nbytes)

    def run(self, x: Array, rulebook: Rulebook, y: Array, bias: Array | None, slope: float | None,
            residual: Array | None, n_threads: int, room: Array | None = None, before: Before | None = None,
            then: Then | None = None) -> None:
        """See Product.run.

        Args:
            before: (rows, their product, slope): the residual is computed from them with the rows that it is added to.
            then: (product, slope): y gets the product of the result's rows instead of them.
        """
        compiled.conv(x, self._packed, rulebook.pairs, y, self._bias if bias is None else bias, self._rows, slope,
                      residual, n_threads, room, before and (before[0], *before[1]._beside(before[2])),
                      then and then[0]._beside(then[1]))

    def _beside(self, slope: float | None) -> tuple[compiled.Packed, Array | None, Array | None, float | None]:
        return self._packed, self._bias, self._rows, slope

    def scratch_bytes(self, rulebook: Rulebook, n_threads: int, before: Float32 | None = None,
                      then: Float32 | None = None) -> int:
        """See Product.scratch_bytes; before, then: as of `run`."""
        packed = [None if product is None else product._packed for product in (before, then)]
        return self._packed.scratch_bytes(rulebook.pairs, n_threads, *packed)

    def can_be_beside(self) -> bool:
        """Return True for the product of each row by itself, in one group."""
        return self._packed.n_offsets == 1 and self._packed.groups == 1

    def is_whole(self) -> bool:
        """Return True for a product in one group."""
        return self._packed.groups == 1

    def state(self) -> dict[str, Array]:
        """Return what the object was made of, the weights (k, g, c, o)."""
        return {"weight": self._packed.weight(), **_given(bias=self._bias, rows=self._rows)}


Before = tuple["Array", Float32, float | None]
Then = tuple[Float32, float | None]


class Plain:
    """Float32 weights for an installation without the compiled core; arguments as for Float32."""

    precision = "float32"

    def __init__(self, state: dict[str, Array]) -> None:
        w = np.array(state["weight"], np.float32)
        self._weight = w if w.ndim == 4 else w[:, None]
        self._bias, self._rows = state.get("bias"), state.get("rows")
        self.nbytes = self._weight.nbytes

    def run(self, x: Array, rulebook: Rulebook, y: Array, bias: Array | None, slope: float | None,
            residual: Array | None, n_threads: int, room: Array | None = None) -> None:
        """See Product.run."""
        bias = self._bias if bias is None else bias
        y[...] = ops_named("reference").conv_after(x, self._weight, rulebook, bias=bias, slope=slope, rows=self._rows,
                                                   residual=residual)[0]

    def scratch_bytes(self, rulebook: Rulebook, n_threads: int) -> int:
        """Return the bytes of gathered rows and products, in double precision at most."""
        c, o = self._weight.shape[-2], self._weight.shape[-1]
        return 8 * (c + 2 * o) * max(rulebook.n_out, rulebook.n_in)

    def state(self) -> dict[str, Array]:
        """Return what the object was made of, the weights (k, g, c, o)."""
        return {"weight": self._weight, **_given(bias=self._bias, rows=self._rows)}


class Room:
    """Memory for the packed weights of a network in one piece: for large ones the system has large pages.

    Those are filled in half the time. The memory stays as long as one of the weights.

    Args:
        shapes: of the float32 weights, in their order.
    """

    def __init__(self, shapes: Iterable[tuple[int, ...]]) -> None:
        counts = [compiled.packed_floats(shape) for shape in shapes] if compiled else []
        self._left = exact((sum(counts),))

    def take(self, shape: tuple[int, ...]) -> Array:
        """Return the memory of the next weight."""
        count = compiled.packed_floats(shape)
        found, self._left = self._left[:count], self._left[count:]
        return found


def packed(precision: str, state: dict[str, Any], room: Room | None = None) -> Product:
    """Return the Product of a precision for the arrays that `state()` of one gave."""
    if precision != "float32":
        made: Product = import_module("spconv_cy.deploy.half").Small(precision, state)
        return made
    return Float32(state, room) if compiled else Plain(state)


def _given(**arrays: Array | None) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if array is not None}


def mapped(x: Array, y: Array, rows: Array | None, residual: Array | None, slope: float | None, n_threads: int) -> None:
    """Write leaky((x - rows[0] - rows[1]) * rows[2] + rows[3] + residual) into y, which may be x; None: left out."""
    if compiled:
        compiled.mapped(x, y, rows, residual, slope, n_threads)
        return
    z = x if rows is None else (x - rows[:1] - rows[1:2]) * rows[2:3] + rows[3:]
    z = z if residual is None else z + residual
    y[...] = z if slope is None else np.where(z > 0, z, z * np.float32(slope))


def max_pooled(x: Array, rulebook: Rulebook, y: Array, ground: Array | None, slope: float | None,
               n_threads: int) -> None:
    """Write the maxima over the windows of a rulebook, with the ground state, through a leaky ReLU into y."""
    if compiled:
        compiled.max_pool(x, rulebook.pairs, y, ground, rulebook.volume, slope, n_threads)
        return
    found = ops_named("reference").max_pool(x, rulebook, ground)[0]
    y[...] = found if slope is None else np.where(found > 0, found, found * np.float32(slope))
