"""Steps of frozen networks that read or write rows of bfloat16 or 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.deploy.half import Small, encoded
from spconv_cy.deploy.products import mapped
from spconv_cy.deploy.steps import Convolve, Join, Map, MaxPool

try:
    import spconv_cy.compiled.small as compiled
    from spconv_cy.compiled.frozen import open_windows
except ImportError:
    compiled = open_windows = None                                       # type: ignore[assignment]

if TYPE_CHECKING:
    from spconv_cy.deploy.steps import Ground, Run
    from spconv_cy.types import Array


@dataclass(eq=False, repr=False)
class SmallConvolve(Convolve):
    """A convolution whose Product is a Small; attributes as for Convolve."""

    product: Small

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        bias = run.biases.get(self.y)
        ground = None if bias is None else run.grounds[self.x]
        residual = None if self.residual is None else run.values[self.residual]
        self.product.run(run.values[self.x], self.rulebook(run), y, bias, self.slope, residual,  # type: ignore[arg-type]
                         run.n_threads, run.room, ground)

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground; of the numbers that the weights and the ground state have here."""
        x = grounds[self.x]
        if x is None:
            return None
        row = self.product.bias_at(x)
        self.product.prepare(x if self.link is not None else None)
        if self.link is not None:
            biases[self.y] = row
        y = np.empty_like(row)
        mapped(row, y, self.product.state().get("rows"), None if self.residual is None else grounds[self.residual],
               self.slope, 1)
        return y


@dataclass(eq=False, repr=False)
class Convert(Map):
    """The numbers of x in the kind of y, which a map of each column may pass first; see Map.

    Attributes:
        before: (2, c), the step and the zero of each column of x, if it has 8 bits.
        after: (2,), those of y, if it has 8 bits.
    """

    before: Array | None = None
    after: Array | None = None

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        scale, shift = self.scales()
        step, zero = (None, 0) if self.after is None else (float(self.after[0]), int(self.after[1]))
        compiled.mapped(run.values[self.x], run.channels[self.x], y.dtype,  # type: ignore[union-attr]
                        scale=scale, shift=shift, slope=self.slope, step=step, zero=zero, y=y, n_threads=run.n_threads)

    def scales(self) -> tuple[Array | None, Array | None]:
        """Return what the numbers of x are multiplied by, and what is added then."""
        scale, shift = (None, None) if self.before is None else (self.before[0], -self.before[0] * self.before[1])
        if self.rows is None:
            return scale, shift
        factor, less = self.rows[2], self.rows[3] - (self.rows[0] + self.rows[1]) * self.rows[2]
        return (factor, less) if scale is None else (scale * factor, shift * factor + less)


@dataclass(eq=False, repr=False)
class SmallMaxPool(MaxPool):
    """Maxima of rows of bfloat16 or 8 bits; without a leaky ReLU, or with the background "zero".

    Attributes:
        before: as for Convert.
    """

    before: Array | None = None

    def window_bytes(self, ground: bool) -> int:
        """See MaxPool.window_bytes."""
        return super().window_bytes(ground) or int(self.background == "zero")

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        ground, x, c = run.grounds[self.x], run.values[self.x], run.channels[self.x]
        book = run.found.books[self.link]                                # type: ignore[union-attr]
        is_open = None
        if self.background == "zero":
            ground, is_open = None, np.ones(book.n_out, np.uint8)
        elif ground is not None:
            is_open = open_windows(book.pairs, book.volume)
        row = np.zeros((1, c), np.float32) if ground is None else ground
        row = compiled.encode(row, "uint16") if self.before is None else encoded(row, self.before)
        row = np.ascontiguousarray(np.pad(row, ((0, 0), (0, x.shape[1] - row.shape[1]))))
        compiled.max_pool(x, book.pairs, row, is_open, y=y, n_threads=run.n_threads)


@dataclass(eq=False, repr=False)
class SmallJoin(Join):
    """The columns of several values of bfloat16 or 8 bits side by side; all but the last are whole words of 4 bytes."""

    def copy(self, x: Array, to: Array, n_threads: int) -> None:
        """See Join.copy."""
        to[...] = x
