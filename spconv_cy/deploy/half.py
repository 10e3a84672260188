"""Products in bfloat16 or 8 bits, with sums in float32 or int32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.errors import BackendError, ShapeError, expected

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
LARGEST_SUM = (2**31 - 1) // 255
NAMES = ("scale", "bias", "rows", "x", "y", "residual")


def check_installed() -> None:
    """Raise BackendError if the compiled core is not installed."""
    if compiled is None:
        raise BackendError(expected("freeze", "the compiled core for bfloat16 and int8", "an installation without",
                                    "leave out precision="))


class Small:
    """A Product of weights in bfloat16 or 8 bits.

    Args:
        precision: "bfloat16" or "int8".
        state: {"weight": (k, c, o), uint16 or int8; perhaps "bias": (1, o) and "rows": (4, o), as for Float32}. For
            8 bits also "scale": (o,), what a sum stands for; "x": (2, c), the step and the zero of each input; perhaps
            "y": (2,), those of the result if it has 8 bits; perhaps "residual": (2, o), those of the rows to add.

    Raises:
        BackendError: the compiled core is not installed.
        ShapeError: steps and zeros that are none; see `check_steps`.
    """

    def __init__(self, precision: str, state: dict[str, Array]) -> None:
        check_installed()
        name = _set_for(precision, state["weight"].shape[1])
        self.precision, self._packed = precision, compiled.Packed(state["weight"], name)
        self._own = {name: state[name] for name in NAMES if name in state}
        for steps in (self._own[name] for name in ("x", "y", "residual") if name in self._own):
            check_steps(steps)
        self.nbytes = int(self._packed.nbytes)
        emulates = compiled.sets(precision)[name]
        self.kernels = name if emulates is None else f"{name} (emulates {emulates})"
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
        compiled.conv(x, self._packed, rulebook.pairs, scale=scale, shift=shift, begin=self.prepare(ground),
                      residual=residual, residual_scale=added, slope=slope, to=y.dtype, step=step, zero=int(zero), y=y,
                      room=room, n_threads=n_threads)

    def scratch_bytes(self, rulebook: Rulebook, n_threads: int) -> int:
        """See Product.scratch_bytes."""
        return int(self._packed.scratch_bytes(rulebook.pairs, n_threads))

    def state(self) -> dict[str, Array]:
        """Return what the object was made of."""
        return {"weight": self._packed.weights(), **self._own}

    def __reduce__(self) -> tuple[Any, ...]:
        return Small, (self.precision, self.state())

    def bias_at(self, ground: Array) -> Array:
        """Return (1, o): the sum over all offsets for rows of a ground state (1, c), with the bias, in float32.

        In 8 bits it is exact but for the last roundings, so that it has the same bits on every processor.
        """
        weights = self._packed.weights()
        if self.precision == "int8":
            steps = self._own["x"]
            row = encoded(ground, steps).astype(np.int64) - steps[1].astype(np.int64)
            y = (row @ weights.sum(0, dtype=np.int64)).astype(np.float32) * self._own["scale"]
        else:
            y = (rounded(ground).astype(np.float64) @ widened(weights).sum(0, dtype=np.float64)).astype(np.float32)
        bias = self._own.get("bias")
        return y if bias is None else y + bias

    def _map(self, bias: Array | None) -> tuple[Array, Array]:
        """Return what sums are multiplied by, and what is added then."""
        bias = self._own.get("bias") if bias is None else bias
        o = self._packed.shape[2]
        scale = self._own.get("scale", np.ones(o, np.float32))
        shift = np.zeros(o, np.float32) if bias is None else bias[0]
        rows = self._own.get("rows")
        return (scale, shift) if rows is None else (scale * rows[2], (shift - rows[0] - rows[1]) * rows[2] + rows[3])

    def prepare(self, ground: Array | None) -> Any:
        """Return what pairs begin with at a ground state, as `run` takes it; that of the last one is kept."""
        key = b"" if ground is None or not ground.any() else ground.tobytes()
        found, begin = self._begin
        if found != key:
            begin = self._begun(ground)
            self._begin = key, begin
        return begin

    def _begun(self, ground: Array | None) -> Any:
        """Return what each pair begins with, since its row stands for x minus a ground state."""
        rows, weights = None, self._packed.weights()
        if self.precision == "int8":
            row = self._own["x"][1] if ground is None else encoded(ground, self._own["x"])[0]
            if row.any():
                rows = -np.einsum("c,kco->ko", row.astype(np.int32), weights, dtype=np.int32)
        elif ground is not None:
            rows = -np.einsum("c,kco->ko", rounded(ground)[0].astype(np.float64), widened(weights).astype(np.float64))
        return self._packed.begin(rows)


def check_steps(steps: Array) -> None:
    """Raise ShapeError unless an array (2,) or (2, c) holds steps above 0 and zeros, whole numbers from 0 to 255."""
    step, zero = steps
    if not (np.isfinite(step) & (step > 0) & (zero >= 0) & (zero <= 255) & (zero == np.rint(zero))).all():
        raise ShapeError(expected("Frozen", "steps above 0 and zeros from 0 to 255 for rows of 8 bits", "others"))


def _set_for(precision: str, c: int) -> str:
    """Return the name of the set that multiplies rows of c numbers best: tiles of 64 bytes if they are half full."""
    name: str = compiled.in_use(precision)[0]
    if name == "amx" and 2 * c * np.dtype(ROWS[precision]).itemsize < 64:
        return next(other for other in compiled.sets(precision) if other != name)
    return name


def widened(a: Array) -> Array:
    """Return bfloat16 numbers in uint16 as float32."""
    return (a.astype(np.uint32) << 16).view(np.float32)


def shortened(x: Array) -> Array:
    """Return an array of float32 numbers as bfloat16 in uint16."""
    rows = np.ascontiguousarray(x.reshape(-1, x.shape[-1]), np.float32)
    return compiled.encode(rows, "uint16")[:, :x.shape[-1]].reshape(x.shape).copy()


def rounded(x: Array) -> Array:
    """Return the float32 numbers that bfloat16 has nearest to x."""
    return widened(shortened(x))


def encoded(x: Array, steps: Array) -> Array:
    """Return rows of float32 as uint8, as the kernels do it, for steps (2, c): the step and the zero of each column."""
    step, zero = steps
    return (np.rint(np.clip(x * (np.float32(1) / step), -zero, 255 - zero)) + zero).astype(np.uint8)


def quantised(w: Array, steps: Array) -> tuple[Array, Array]:
    """Return (int8 weights, what a sum of products stands for (o,)) of float32 weights (k, c, o) for inputs in steps.

    Each output has a scale of its own, and the weights of an input are multiplied by its step.
    """
    wide = w * steps[0][:, None]
    scale = np.abs(wide).max((0, 1), initial=0) / np.float32(LARGEST)
    scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
    return np.clip(np.rint(wide / scale), -LARGEST, LARGEST).astype(np.int8), scale
