"""Convolutions by the tensor cores of an NVIDIA GPU: float16 or TF32 inputs, float32 sums; kernels of conv_mma.cu."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.backend.placed import placed
from spconv_cy.errors import BackendError, expected
from spconv_cy.operands import check_conv
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.backend.structure import Rulebook

i32, i64, f16, f32 = np.int32, np.int64, np.float16, np.float32
NEEDS = {"float16": 75, "tf32": 80}                                      # compute capability, times ten
VECTOR = 8                                                               # channels are padded to a multiple of this
NARROW = 32                                                              # channels out up to which tiles are 128 x 32
SIDE = 64                                                                # channels of a weight gradient's tile


def is_vector(a: Any) -> bool:
    """Return True if a CuPy array begins at an address from which vectors of 16 bytes can be read."""
    return bool(a.data.ptr % 16 == 0)


class TensorCores:
    """The two operations of convolution in one precision.

    If the channels of a group are not a multiple of 8, they are copied and padded with zeros first, so that all reads
    are vectors of 16 bytes. Weights are cast at each use, to the layout that the kernel reads: k * c * o numbers.

    Args:
        ops: CudaOps, for its other operations.
        kernels: Kernels.
        empty: function of (who, shape, dtype) that makes an array.
        precision: "float16" or "tf32".

    Raises:
        BackendError: the GPU has no tensor cores of this format.
    """

    def __init__(self, ops: Any, kernels: Any, empty: Callable[..., Array], precision: str) -> None:
        has = int(ops.xp.cuda.Device().compute_capability)
        if has < NEEDS[precision]:
            fits = [name for name, least in NEEDS.items() if least <= has] + ["float32"]
            raise BackendError(expected(
                "conv", f"an NVIDIA GPU of compute capability {NEEDS[precision] / 10} or more for {precision}",
                has / 10, f"call precision({' or '.join(map(repr, fits))})"))
        self._ops, self._xp, self._kernels, self._empty = ops, ops.xp, kernels, empty
        self._dtype = f16 if precision == "float16" else f32

    def conv(self, x: Array, w: Array, rulebook: Rulebook, bias: Array | None, slope: float | None) -> Array:
        """Return Ops.conv, of the precision's dtype, for x and w in float32 or float16, and a float32 bias or None."""
        channels_out = check_conv("conv", x, w, rulebook, bias)
        w = w if w.ndim == 4 else w[:, None]
        k, groups, _, o = w.shape
        y = self._empty("conv", (rulebook.n_out, channels_out), self._dtype)
        if not y.size:
            return y
        x, w, rules = self._padded(x, groups), self._packed(w), placed(rulebook, self._ops)
        rows, columns = (128, 32) if o <= NARROW else (64, 64)
        self._kernels.launch(
            f"mma_{rows}x{columns}", (-(-rulebook.n_out // rows), -(-o // columns), groups), rows * columns // 32,
            x, w, self._empty("conv", (1, 1), f32) if bias is None else bias, rules.table, rules.masks, rules.order, y,
            i32(rulebook.n_out), i32(k), i32(w.shape[3]), i32(o), i32(groups), i32(bias is not None),
            i32(slope is not None), f32(0 if slope is None else slope))
        return y

    def conv_dw(self, x: Array, dy: Array, rulebook: Rulebook, groups: int, splits: int, chunk: int) -> Array:
        """Return sums of x[in]^T dy[out] over chunks of each offset's pairs: (splits, k, g, c/g, o/g) float32."""
        k, c, o = rulebook.n_offsets, x.shape[1] // groups, dy.shape[1] // groups
        part = self._empty("conv_dw", (splits, k, groups, c, o), f32)
        if part.size:
            x, dy, rules = self._padded(x, groups), self._padded(dy, groups), placed(rulebook, self._ops)
            self._kernels.launch(
                "mma_dw_part", (k, -(-c // SIDE) * -(-o // SIDE) * groups, splits), 128, x, dy, rules.in_rows,
                rules.out_rows, rules.offset_ptr, part, i32(k), i32(c), i32(o), i32(groups),
                i32(x.shape[1] // groups), i32(dy.shape[1] // groups), i64(chunk))
        return part

    def _padded(self, x: Array, groups: int) -> Array:
        """Return rows in the precision's dtype, with the channels of each group padded to a multiple of 8."""
        rows = self._with_vectors(x.reshape(len(x), groups, x.shape[1] // groups))
        return rows.reshape(len(x), groups * rows.shape[2])

    def _packed(self, w: Array) -> Array:
        """Return (k, groups, o, c) of w (k, groups, c, o), c padded."""
        return self._with_vectors(w.swapaxes(2, 3))

    def _with_vectors(self, a: Array) -> Array:
        *shape, c = a.shape
        if c % VECTOR == 0:
            a = self._ops.allocated("conv", a.shape, self._dtype, partial(self._stored, a))
            if is_vector(a):
                return a
        wide = self._ops.zeros("conv, padding", (*shape, -(-c // VECTOR) * VECTOR), self._dtype)
        wide[..., :c] = a
        return wide

    def _stored(self, a: Array) -> Array:
        return self._xp.ascontiguousarray(a.astype(self._dtype, copy=False))
