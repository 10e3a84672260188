"""Products in bfloat16 or 8 bits, with sums in float32 or int32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

try:
    import spconv_cy.compiled.small as compiled
except ImportError:
    compiled = None                                                      # type: ignore[assignment]

if TYPE_CHECKING:
    from spconv_cy.sites import Rulebook
    from spconv_cy.types import Array

# The dtype of rows of each precision.
ROWS = {"bfloat16": "uint16", "int8": "uint8"}
# Two weights of one output seldom make more than 128 together, which AVX2 multiplies with 8 bits in one go.
LARGEST = 96
NAMES = ("scale", "bias", "rows", "x", "y", "residual")


class Small:
    """A Product of weights in bfloat16 or 8 bits.

    Args:
        precision: "bfloat16" or "int8".
        state: {"weight": (k, c, o), uint16 or int8; perhaps "bias": (1, o) and "rows": (4, o), as for Float32}. For
            8 bits also "scale": (o,), what a sum stands for; "x": (2, c), the step and the zero of each input; perhaps
            "y": (2,), those of the result if it has 8 bits; perhaps "residual": (2, o), those of the rows to add.
    """

    def __init__(self, precision: str, state: dict[str, Array]) -> None:
        self.precision, self._packed = precision, compiled.Packed(state["weight"])
        self._own = {name: state[name] for name in NAMES if name in state}
        self.nbytes = int(self._packed.nbytes)
        self.kernels = self._packed.name
        self._begin = b"", self._begun(None)                             # for the ground state of the last call

    def run(self, x: Array, rulebook: Rulebook, y: Array, bias: Array | None, slope: float | None,
            residual: Array | None, n_threads: int, room: Array | None = None, ground: Array | None = None) -> None:
        """See Product.run; x has the precision's rows, y and residual have those or float32.

        Args:
            ground: (1, c), what is subtracted from x, or None.
        """
        own = self._own
        scale, shift = self._map(bias)
        step, zero = own["y"] if y.dtype == np.uint8 else (None, 0)
        added = None
        if residual is not None and residual.dtype == np.uint8:
            added = own["residual"][0]
            shift = shift - own["residual"][1] * added
        key = b"" if ground is None or not ground.any() else ground.tobytes()
        begin = self._begin
        if begin[0] != key:
            self._begin = begin = key, self._begun(ground if key else None)
        compiled.conv(x, self._packed, rulebook.pairs, scale=scale, shift=shift, begin=begin[1], residual=residual,
                      residual_scale=added, slope=slope, to=y.dtype, step=step, zero=int(zero), y=y,
                      n_threads=n_threads)

    def scratch_bytes(self, rulebook: Rulebook, n_threads: int) -> int:
        """See Product.scratch_bytes."""
        return int(self._packed.scratch_bytes(rulebook.pairs, n_threads))

    def state(self) -> dict[str, Array]:
        """Return what the object was made of."""
        return {"weight": self._packed.weights(), **self._own}

    def plain(self) -> dict[str, Array]:
        """Return the state of a Float32 of the same weights."""
        w = self._packed.weights()
        w = widened(w) if self.precision == "bfloat16" else w * (self._own["scale"] / self._own["x"][0][:, None])
        return {"weight": np.require(w, np.float32, ["C"]),
                **{name: self._own[name] for name in ("bias", "rows") if name in self._own}}

    def _map(self, bias: Array | None) -> tuple[Array, Array]:
        """Return what sums are multiplied by, and what is added then."""
        bias = self._own.get("bias") if bias is None else bias
        o = self._packed.shape[2]
        scale = self._own.get("scale", np.ones(o, np.float32))
        shift = np.zeros(o, np.float32) if bias is None else bias[0]
        rows = self._own.get("rows")
        return (scale, shift) if rows is None else (scale * rows[2], (shift - rows[0] - rows[1]) * rows[2] + rows[3])

    def _begun(self, ground: Array | None) -> Array | None:
        """Return what each pair begins with, since its row stands for x minus a ground state; None: nothing."""
        if self.precision == "int8":
            steps = self._own["x"]
            row = steps[1] if ground is None else encoded(ground, steps)[0]
            return _minus(row.astype(np.int32), self._packed.weights().astype(np.int32)) if row.any() else None
        if ground is None:
            return None
        row = widened(compiled.encode(ground, "uint16"))[0, :ground.shape[1]]
        return _minus(row.astype(np.float64), widened(self._packed.weights())).astype(np.float32)


def _minus(row: Array, weights: Array) -> Array:
    return -np.einsum("c,kco->ko", row, weights)                         # type: ignore[no-any-return]


def widened(a: Array) -> Array:
    """Return bfloat16 numbers in uint16 as float32."""
    return (a.astype(np.uint32) << 16).view(np.float32)


def encoded(x: Array, steps: Array) -> Array:
    """Return rows of float32 as uint8, as the kernels do it, for steps (2, c): the step and the zero of each column."""
    step, zero = steps
    return np.clip(np.rint(np.clip(x * (np.float32(1) / step), -zero, 255 - zero)) + zero, 0, 255).astype(np.uint8)


def quantised(w: Array, steps: Any) -> tuple[Array, Array]:
    """Return (int8 weights, what a sum of products stands for (o,)) of float32 weights (k, c, o) for inputs in steps.

    Each output has a scale of its own, and the weights of an input are multiplied by its step.
    """
    wide = w * steps[0][:, None]
    scale = np.abs(wide).max((0, 1), initial=0) / np.float32(LARGEST)
    scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
    return np.clip(np.rint(wide / scale), -LARGEST, LARGEST).astype(np.int8), scale
