"""Steps of frozen networks that read or write rows of bfloat16 or 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.deploy.half import Small, compiled, encoded
from spconv_cy.deploy.products import packed
from spconv_cy.deploy.steps import Convolve, Map, MaxPool

if TYPE_CHECKING:
    from spconv_cy.deploy.steps import Ground, Run
    from spconv_cy.types import Array


@dataclass(eq=False)
class SmallConvolve(Convolve):
    """A convolution whose Product is a Small; attributes as for Convolve."""

    product: Small

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        bias = run.biases.get(self.y)
        ground = None if bias is None else run.grounds[self.x]
        residual = None if self.residual is None else run.values[self.residual]
        self.product.run(run.values[self.x], self.rulebook(run), y, bias, self.slope, residual,  # type: ignore[arg-type]
                         run.n_threads, ground=ground)

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground; with the weights that the numbers stand for, in float32."""
        plain = packed("float32", self.product.plain())
        return Convolve(self.x, self.y, self.link, plain, self.turned, self.slope, self.residual).ground(grounds, biases)


@dataclass(eq=False)
class Convert(Map):
    """The numbers of x in the kind of y, from or to float32.

    Attributes:
        rows: (2, c) float32, the step and the zero of each channel in 8 bits; None for bfloat16.
    """

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        x, rows = run.values[self.x], self.rows
        if y.dtype == np.float32:                                        # type: ignore[union-attr]
            scale, shift = (None, None) if rows is None else (rows[0], -rows[0] * rows[1])
            compiled.decode(x, y.shape[1], scale=scale, shift=shift, y=y, n_threads=run.n_threads)  # type: ignore[union-attr]
            return
        step, zero = (None, 0) if rows is None else (float(rows[0, 0]), int(rows[1, 0]))
        compiled.encode(x, y.dtype, step=step, zero=zero, y=y, n_threads=run.n_threads)  # type: ignore[union-attr]

    def ground(self, grounds: list[Ground], biases: dict[int, Array]) -> Ground:
        """See Step.ground."""
        return grounds[self.x]


@dataclass(eq=False)
class SmallMaxPool(MaxPool):
    """Maxima of rows of bfloat16 or 8 bits; the leaky ReLU is none, or a ReLU with the background "zero".

    Attributes:
        rows: as for Convert.
    """

    rows: Array | None = None

    def run(self, run: Run, y: Array | None) -> Any:
        """See Step.run."""
        ground, x = run.grounds[self.x], run.values[self.x]
        book = run.found.books[self.link]                                # type: ignore[union-attr]
        relu = self.background == "zero"
        c = x.shape[1] if self.rows is None else self.rows.shape[1]
        row = np.zeros((1, c), np.float32) if ground is None or relu else ground
        row = compiled.encode(row, "uint16") if self.rows is None else encoded(row, self.rows)
        row = np.ascontiguousarray(np.pad(row, ((0, 0), (0, x.shape[1] - row.shape[1]))))
        is_open = None
        if relu:
            is_open = np.ones(book.n_out, np.uint8)
        elif ground is not None:
            is_open = _core.open_windows(book.pairs, book.volume)
        compiled.max_pool(x, book.pairs, row, is_open, y=y, n_threads=run.n_threads)
