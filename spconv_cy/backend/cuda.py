"""Backend operations on an NVIDIA GPU: CuPy arrays and the kernels of cuda/. CuPy is imported at first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy import operands
from spconv_cy.backend import gathered
from spconv_cy.backend.copying import CopyStream
from spconv_cy.backend.numbers import refuse_beyond, refuse_dtype
from spconv_cy.backend.ops import Ops, shares
from spconv_cy.backend.placed import placed
from spconv_cy.backend.tensor_cores import TensorCores, is_vector
from spconv_cy.dlpack import unreadable
from spconv_cy.errors import BackendError, ShapeError, expected
from spconv_cy.types import Array

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from spconv_cy.backend.structure import Rulebook

i32, i64, f16, f32 = np.int32, np.int64, np.float16, np.float32
CHUNK = 256                                                              # rows that one thread sums
PAIRS = 512                                                              # pairs of an offset that one block multiplies
MOST_SPLITS = 32                                                         # parts of an offset's pairs, each with its dw
GPU = 2                                                                  # kDLCUDA of the DLPack protocol
FROM_CPU = "an array from the CPU"
NARROW = 32                                                              # channels out up to which tiles are 128 x 32


class CudaOps(Ops):
    """Operations on CuPy arrays of float32, on the current GPU; other numbers are converted first.

    Convolutions in the precision float16 return float16. Other operations return float16 rows for float16 rows; sums
    over rows, and gradients of weights, are float32.

    No sum uses an atomic: results have the same bits at every run on one card.

    Raises:
        BackendError: no CuPy, no usable GPU, no NVRTC or no cuBLAS; the message says what to install.
    """

    name = "cuda"
    float_dtypes = (np.float32, np.float16)

    def __init__(self) -> None:
        # Imported here, so that an installation without this folder works until cuda is asked for.
        from spconv_cy.cuda.loader import Kernels

        self.xp = _cupy()
        self._kernels = Kernels(self.xp)
        self.copies = CopyStream(self.xp)
        self.capability = int(self.xp.cuda.Device().compute_capability)

    def asarray(self, array: object, dtype: DTypeLike | None = None) -> Array:
        """See Ops.asarray; arrays in the CPU's memory are copied to the GPU."""
        here = self._in_gpu_memory(array)
        if here is None:
            return self.uploaded(FROM_CPU, super().asarray(array, dtype))
        if here.dtype.kind not in "fiub":
            refuse_dtype(here)
        with np.errstate(over="ignore"):                                 # checked below
            # Not ascontiguousarray, which changes shape () to (1,).
            made = self.xp.asarray(here, f32 if dtype is None else dtype, order="C")
        if here.dtype == np.float64 and made.dtype == f32:
            beyond = self.xp.isinf(made) & self.xp.isfinite(here)
            if beyond.any():
                refuse_beyond(float(here[beyond].reshape(-1)[0]), made.dtype)
        return made

    def on_host(self, array: object, dtype: DTypeLike | None = None) -> Array:
        """See Ops.on_host; arrays in the GPU's memory are copied from there."""
        here = self._in_gpu_memory(array)
        return super().on_host(array if here is None else here.get(), dtype)

    def to_numpy(self, array: Array) -> Array:
        """See Ops.to_numpy."""
        return array.get() if isinstance(array, self.xp.ndarray) else np.asarray(array)

    def conv(self, x: Array, w: Array, rulebook: Rulebook, *, bias: Array | None = None, slope: float | None = None,
             precision: str = "float32") -> Array:
        """See Ops.conv; precisions other than float32 use the tensor cores."""
        bias = None if bias is None else self._rows("conv", bias, f32)
        if precision != "float32":
            return self._tensor_cores(precision).conv(self._rows("conv", x), self._on_device(w), rulebook, bias, slope)
        x, w = self._rows("conv", x, f32), self._on_device(w)
        channels_out = operands.check_conv("conv", x, w, rulebook, bias)
        w = w if w.ndim == 4 else w[:, None]
        k, groups, c, o = w.shape
        if gathered.is_gathered(x.dtype, self.capability, c, o, rulebook):
            y = gathered.conv(self, x, w, rulebook, bias)
            return y if slope is None else self.leaky_relu(y, slope)
        y = self._empty("conv", (rulebook.n_out, channels_out))
        if not y.size:
            return y
        turned = not w.flags.c_contiguous and w.swapaxes(2, 3).flags.c_contiguous
        w = w if turned else self.xp.ascontiguousarray(w)
        rules = placed(rulebook, self)
        # A slice of a larger array may begin anywhere: vectors are read only if all their addresses are aligned.
        wide = c % 4 == 0 and (turned or o % 4 == 0) and is_vector(x) and is_vector(w)
        rows, columns = (128, 32) if o <= NARROW else (64, 64)
        self._kernels.launch(
            f"conv_{'turned_' if turned else ''}{rows}x{columns}",
            (-(-rulebook.n_out // rows), -(-o // columns), groups), rows * columns // 16,
            x, w, x if bias is None else bias, rules.table, rules.masks, rules.order, y, i32(rulebook.n_out), i32(k),
            i32(c), i32(o), i32(groups), i32(wide), i32(bias is not None), i32(slope is not None),
            f32(0 if slope is None else slope))
        return y

    def conv_dw(self, x: Array, dy: Array, rulebook: Rulebook, groups: int = 1, *,
                precision: str = "float32") -> Array:
        """See Ops.conv_dw; precisions other than float32 use the tensor cores."""
        stored = f32 if precision == "float32" else None                 # None: float16 may stay
        x, dy = self._rows("conv_dw", x, stored), self._rows("conv_dw", dy, stored)
        operands.check_conv_dw(x, dy, rulebook, groups)
        k, c, o = rulebook.n_offsets, x.shape[1] // groups, dy.shape[1] // groups
        if precision == "float32" and gathered.is_gathered(x.dtype, self.capability, c, o, rulebook):
            dw = gathered.conv_dw(self, x, dy, rulebook, groups)
            return dw if groups > 1 else dw[:, 0]
        longest = int(np.diff(rulebook.offset_ptr).max(initial=0))
        splits = int(np.clip(-(-longest // PAIRS), 1, MOST_SPLITS))
        chunk = -(-longest // splits)
        if precision != "float32":
            part = self._tensor_cores(precision).conv_dw(x, dy, rulebook, groups, splits, chunk)
        else:
            part = self._empty("conv_dw", (splits, k, groups, c, o))
            if part.size:
                rules = placed(rulebook, self)
                self._kernels.launch("conv_dw_part", (k, -(-c // 32) * -(-o // 32) * groups, splits), 256, x, dy,
                                     rules.in_rows, rules.out_rows, rules.offset_ptr, part, i32(k), i32(c), i32(o),
                                     i32(groups), i64(chunk))
        dw = self._column_sums(part.reshape(splits, -1)).reshape(k, groups, c, o)
        return dw if groups > 1 else dw[:, 0]

    def max_pool(self, x: Array, rulebook: Rulebook, ground: Array | None = None) -> tuple[Array, Array]:
        """See Ops.max_pool."""
        x = self._rows("max_pool", x)
        ground = None if ground is None else self._rows("max_pool", ground, x.dtype)
        operands.check_max_pool(x, rulebook, ground)
        y = self._empty("max_pool", (rulebook.n_out, x.shape[1]), x.dtype)
        winner, rules = self._empty("max_pool", y.shape, i32), placed(rulebook, self)
        self._kernels.stride("max_pool", y.size, x, x if ground is None else ground, rules.table, rules.open, y, winner,
                             i32(len(y)), i32(rulebook.n_offsets), i32(x.shape[1]), i32(ground is not None))
        return y, winner

    def max_pool_dx(self, dy: Array, winner: Array, n: int,
                    rulebook: Rulebook | None = None) -> tuple[Array, Array]:
        """See Ops.max_pool_dx."""
        dy, c = self._rows("max_pool_dx", dy), dy.shape[1]
        transposed = None if rulebook is None else rulebook.T
        operands.check_winner(dy, winner, n, transposed)
        winner = self._whole(winner, i32)
        if transposed is None:
            # -1 becomes the last row, the ground's. Each element of the result is the sum of a segment of sorted ones.
            rows = self.xp.where(winner < 0, n, winner).astype(i64)
            places = (rows * c + self.xp.arange(c, dtype=i64)).reshape(-1)
            dx = self._scatter(dy.reshape(-1, 1), places, (n + 1) * c).reshape(n + 1, c)
            return dx[:n].astype(dy.dtype, copy=False), dx[n:].copy()
        dx, rules = self._empty("max_pool_dx", (n, c), dy.dtype), placed(transposed, self)
        self._kernels.stride("max_pool_dx", dx.size, dy, winner, rules.table, dx, i32(n), i32(transposed.n_offsets),
                             i32(c))
        return dx, self._column_sums(self.xp.where(winner < 0, dy, dy.dtype.type(0)))

    def sum_pool(self, x: Array, rulebook: Rulebook) -> Array:
        """See Ops.sum_pool."""
        x = self._rows("sum_pool", x)
        operands.check_rows("sum_pool", x, rulebook)
        y = self._empty("sum_pool", (rulebook.n_out, x.shape[1]), x.dtype)
        self._kernels.stride("sum_pool", y.size, x, placed(rulebook, self).table, y, i32(len(y)),
                             i32(rulebook.n_offsets), i32(x.shape[1]))
        return y

    def scatter_add(self, x: Array, rows: Array, m: int, mean: bool = False, weights: Array | None = None) -> Array:
        """See Ops.scatter_add."""
        if weights is not None:
            return super().scatter_add(x, rows, m, mean, weights)
        x = self._rows("scatter_add", x)
        operands.check_scatter(x, rows, m)
        y = self._scatter(x, self._whole(rows, i64), m)
        return (y * self.asarray(shares(self.to_numpy(rows), m)) if mean else y).astype(x.dtype, copy=False)

    def segment_sum(self, x: Array, starts: Array) -> Array:
        """See Ops.segment_sum."""
        x, starts = self._rows("segment_sum", x), np.asarray(self.to_numpy(starts), i64)
        operands.check_segments("segment_sum", x, starts)
        if len(starts) == 2:
            return self._column_sums(x[starts[0]:starts[1]])
        counts = np.diff(starts)
        if counts.max(initial=0) > CHUNK:
            # Long segments take two passes: sums of chunks, then sums of those, both in order.
            chunks = np.maximum(-(-counts // CHUNK), 1)
            ends = np.concatenate([[0], np.cumsum(chunks)])
            places = np.arange(ends[-1]) - np.repeat(ends[:-1], chunks)
            lows = np.minimum(np.repeat(starts[:-1], chunks) + places * CHUNK, np.repeat(starts[1:], chunks))
            return self.segment_sum(self._summed(x, np.append(lows, starts[-1])), ends)
        return self._summed(x, starts)

    def segment_max(self, x: Array, starts: Array) -> tuple[Array, Array]:
        """See Ops.segment_max."""
        x, starts = self._rows("segment_max", x), np.asarray(self.to_numpy(starts), i64)
        operands.check_segments("segment_max", x, starts)
        y = self._empty("segment_max", (len(starts) - 1, x.shape[1]), x.dtype)
        winner = self._empty("segment_max", y.shape, i32)
        self._kernels.stride("segment_max", y.size, x, self._whole(starts, i64), y, winner, i64(len(y)),
                             i32(x.shape[1]))
        return y, winner

    def leaky_relu(self, x: Array, slope: float) -> Array:
        """See Ops.leaky_relu."""
        x = self._rows("leaky_relu", x)
        y = self._empty("leaky_relu", x.shape, x.dtype)
        self._kernels.stride("leaky_relu", x.size, x, y, i64(x.size), f32(slope))
        return y

    def leaky_relu_dx(self, y: Array, dy: Array, slope: float) -> Array:
        """See Ops.leaky_relu_dx."""
        y = self._rows("leaky_relu_dx", y)
        dy = self._rows("leaky_relu_dx", dy, y.dtype)
        operands.check_equal("leaky_relu_dx", y, dy)
        dx = self._empty("leaky_relu_dx", y.shape, y.dtype)
        self._kernels.stride("leaky_relu_dx", y.size, y, dy, dx, i64(y.size), f32(slope))
        return dx

    def moments(self, x: Array) -> Array:
        """See Ops.moments."""
        x = self._rows("moments", x)
        n, c = x.shape
        if not x.size:
            return self.xp.zeros((3, c), f32)
        mean = self._column_sums(x) / f32(n)
        chunks = -(-n // CHUNK)
        part = self._empty("moments", (chunks, 2 * c))
        self._kernels.stride("moments_part", chunks * c, x, mean, part, i64(n), i32(c), i64(CHUNK), i64(chunks))
        rest, square = self._column_sums(part).reshape(2, c) / f32(n)    # of the distances from the rounded mean
        return self.xp.stack([mean[0], rest, self.xp.maximum(square - rest * rest, f32(0))])

    def affine(self, x: Array, rows: Array, slope: float = 1.0, residual: Array | None = None) -> Array:
        """See Ops.affine."""
        if residual is not None:
            x = self._rows("affine", x)
            operands.check_affine("affine", x, rows, residual)
            y = self.affine(x.astype(f32, copy=False), rows) + residual
            return (y if slope == 1.0 else self.leaky_relu(y, slope)).astype(x.dtype, copy=False)
        x, rows = self._rows("affine", x), self._rows("affine", rows, f32)
        operands.check_affine("affine", x, rows)
        y = self._empty("affine", x.shape, x.dtype)
        self._kernels.stride("affine", x.size, x, rows, y, i64(len(x)), i32(x.shape[1]), f32(slope))
        return y

    def affine_sums(self, x: Array, dy: Array, rows: Array, slope: float = 1.0) -> Array:
        """See Ops.affine_sums."""
        x, rows = self._rows("affine_sums", x), self._rows("affine_sums", rows, f32)
        dy = self._rows("affine_sums", dy, x.dtype)
        operands.check_affine("affine_sums", x, rows, dy)
        (n, c), chunks = x.shape, -(-len(x) // CHUNK)
        part = self._empty("affine_sums", (chunks, 2 * c))
        self._kernels.stride("affine_sums_part", chunks * c, x, dy, rows, part, i64(n), i32(c), i64(CHUNK), i64(chunks),
                             f32(slope))
        return self._column_sums(part).reshape(2, c)

    def affine_dx(self, x: Array, dy: Array, rows: Array, ab: Array, slope: float = 1.0) -> Array:
        """See Ops.affine_dx."""
        x, rows, ab = self._rows("affine_dx", x), self._rows("affine_dx", rows, f32), self._rows("affine_dx", ab, f32)
        dy = self._rows("affine_dx", dy, x.dtype)
        operands.check_affine("affine_dx", x, rows, dy, ab)
        dx = self._empty("affine_dx", x.shape, x.dtype)
        self._kernels.stride("affine_dx", x.size, x, dy, rows, ab, dx, i64(len(x)), i32(x.shape[1]), f32(slope))
        return dx

    def add_rows(self, y: Array, rows: Array, part: Array) -> None:
        """Add part (p, c) to the rows (p,) int32 of y, in place; no row may come twice."""
        part = self.xp.ascontiguousarray(part)
        self._kernels.stride("add_rows", part.size, part, rows, y, i64(len(part)), i32(part.shape[1]))

    def _tensor_cores(self, precision: str) -> TensorCores:
        return TensorCores(self, self._kernels, self._empty, precision)

    def _scatter(self, x: Array, rows: Array, m: int) -> Array:
        order = self.xp.argsort(rows)                                    # CuPy's is stable
        starts = self.xp.searchsorted(rows[order], self.xp.arange(m + 1, dtype=i64)).astype(i64)
        return self._summed(x, starts, order.astype(i64))

    def _summed(self, x: Array, starts: Array, order: Array | None = None) -> Array:
        starts = self._whole(starts, i64)
        y = self._empty("segment_sum", (len(starts) - 1, x.shape[1]))
        self._kernels.stride("segment_sum", y.size, x, starts if order is None else order, starts, y, i64(len(y)),
                             i32(x.shape[1]), i32(order is not None))
        return y

    def _column_sums(self, x: Array) -> Array:
        # Sums of chunks of rows, then of chunks of those sums, until one is left; nothing is copied from the CPU.
        while True:
            chunks, c = max(1, -(-len(x) // CHUNK)), x.shape[1]
            y = self._empty("segment_sum", (chunks, c))
            self._kernels.stride("chunk_sum", y.size, x, y, i64(len(x)), i32(c), i64(CHUNK), i64(chunks))
            if chunks == 1:
                return y
            x = y

    def _in_gpu_memory(self, array: Any) -> Any:
        """Return an array in the GPU's memory, or a list of such rows, as one CuPy array; None for anything else."""
        if isinstance(array, self.xp.ndarray):
            return array
        if isinstance(array, (list, tuple)) and array and all(isinstance(row, self.xp.ndarray) for row in array):
            if len({row.shape for row in array}) > 1:
                raise ShapeError(expected("features", "an array of numbers", "rows of unequal length"))
            return self.xp.stack(array)
        if not _on_a_gpu(array):
            return None
        try:
            return self.xp.from_dlpack(array)
        except (BufferError, RuntimeError, TypeError) as error:
            raise unreadable(array, error) from error

    def _rows(self, who: str, array: Array, dtype: DTypeLike | None = None) -> Array:
        is_half = isinstance(array, self.xp.ndarray) and array.dtype == f16
        array = self.asarray(array, f16 if dtype is None and is_half else dtype)
        operands.check_matrix(who, array)
        return array

    def _on_device(self, w: Array) -> Array:
        # Weights keep their strides: those of dx have swapped axes, for which there is a kernel.
        return w if isinstance(w, self.xp.ndarray) and w.dtype == f32 else self.asarray(w)

    def _whole(self, numbers: Array, dtype: DTypeLike) -> Array:
        if isinstance(numbers, self.xp.ndarray):
            return self.xp.ascontiguousarray(numbers.astype(dtype, copy=False))
        return self.uploaded(FROM_CPU, np.ascontiguousarray(numbers, dtype))

    def uploaded(self, who: str, array: Array) -> Array:
        """Return a copy of a numpy array in the GPU's memory; errors name `who`."""
        return self.allocated(who, array.shape, array.dtype, partial(self.xp.asarray, array))

    def _empty(self, who: str, shape: tuple[int, ...], dtype: DTypeLike = f32) -> Array:
        return self.allocated(who, shape, dtype, partial(self.xp.empty, shape, dtype))

    def zeros(self, who: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of zeros; errors name `who`."""
        return self.allocated(who, shape, dtype, partial(self.xp.zeros, shape, dtype))

    def allocated(self, who: str, shape: tuple[int, ...], dtype: DTypeLike, make: Callable[[], Array]) -> Array:
        """Return make(), which needs memory for an array of a shape and dtype.

        Raises:
            BackendError: the memory is not enough; the message says for what, and how much was needed.
        """
        try:
            return make()
        except self.xp.cuda.memory.OutOfMemoryError as error:
            size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
            raise BackendError(expected(
                who, f"{size:,} bytes of free GPU memory for an array {tuple(shape)} of {np.dtype(dtype)}",
                f"less ({error})", 'use a smaller batch, or use("cpu")')) from error


def _on_a_gpu(array: Any) -> bool:
    speaks = not isinstance(array, np.ndarray) and hasattr(array, "__dlpack_device__")
    return speaks and array.__dlpack_device__()[0] == GPU


def _cupy() -> Any:
    """Return CuPy; raise BackendError if it cannot compile and run kernels here."""
    try:
        import cupy
    except ImportError as error:
        raise BackendError(expected("cuda backend", "CuPy", "none", 'pip install "spconv_cy[cuda]"')) from error
    if not cupy.cuda.is_available():
        raise BackendError(expected(
            "cuda backend", "a usable NVIDIA GPU", f"none (CuPy {cupy.__version__}, driver version "
            f"{cupy.cuda.runtime.driverGetVersion()})", 'use("cpu") works'))
    try:
        cupy.cuda.nvrtc.getVersion()
    except RuntimeError as error:
        raise BackendError(expected("cuda backend", "NVRTC, which compiles the kernels", "a GPU without it",
                                    "pip install nvidia-cuda-nvrtc")) from error
    try:
        _ = cupy.cuda.cublas                                             # loaded when it is read
    except ImportError as error:
        raise BackendError(expected("cuda backend", "cuBLAS, which multiplies dense matrices", "a GPU without it",
                                    "pip install nvidia-cublas")) from error
    return cupy
