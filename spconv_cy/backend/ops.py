"""The verbs that a backend speaks, in plain numpy: the reference for all others, in any float dtype."""

import numpy as np

from spconv_cy.backend.precision import rounded
from spconv_cy.dlpack import as_numpy
from spconv_cy.errors import ShapeError
from spconv_cy.operands import (
    check_affine,
    check_conv,
    check_conv_dw,
    check_equal,
    check_max_pool,
    check_rows,
    check_scatter,
    check_segments,
    check_winner,
)


class Ops:
    """Plain numpy, one thread; as a backend ("reference") it computes in float64.

    n input rows, m output rows, c and o channels in and out, k offsets, b samples. Every verb gives the same bits for
    any number of threads. A rulebook is read through its arrays alone.
    """

    name = "reference"
    xp = np
    float_dtypes = (np.float64,)
    copies = None                                                        # a GPU's stream for what batches will need

    def asarray(self, array, dtype=None):
        """Return `array` as a C-contiguous array of this backend, without a copy where it is one already.

        What speaks DLPack, as other libraries' arrays do, is read where it lies. Without a dtype, floats, integers and
        booleans become the backend's float.

        Raises:
            ShapeError: complex numbers, objects or text; a masked array; numbers that the result's float does not hold.
            BackendError: an array of another library that is not in the CPU's memory.
        """
        wanted = np.dtype(self.float_dtypes[0] if dtype is None else dtype)
        if type(array) is np.ndarray and array.dtype is wanted and wanted.kind in "fiub":
            flags = array.flags
            if flags.c_contiguous and flags.aligned:
                return array
        array = as_numpy(array, "features")
        try:
            array = np.asarray(array)
        except ValueError as error:
            if "inhomogeneous" not in str(error):                        # such as what a Tensor in a list says
                raise ShapeError(f"features: {error}") from None
            raise ShapeError("features: rows of unequal length came; an array of numbers fits") from None
        if array.dtype.kind not in "fiub":
            check_whole(array)
            raise ShapeError(f"features: dtype {array.dtype} came; floats, integers or booleans fit")
        array = cast(array, wanted)
        return array if array.flags.aligned else array.copy()            # compiled loops read whole numbers

    def on_host(self, array, dtype=None):
        """Return `array` as `asarray` does, but as a numpy array, wherever it lies.

        Raises:
            ShapeError: complex numbers, objects or text.
        """
        return Ops.asarray(self, array, dtype)

    def to_numpy(self, array):
        """Return `array` as a numpy array."""
        return np.asarray(array)

    def conv(self, x, w, rulebook, *, bias=None, slope=None, precision="float32"):
        """Sum x[in] @ w[k] over the pairs (in, out) of each offset k, into y[out].

        Args:
            x: (n, c).
            w: (k, c, o), or (k, g, c/g, o/g) for g groups.
            rulebook: Rulebook of n input rows and k offsets.
            bias: (1, o), the start of each row's sum, or None: zero.
            slope: where given, a leaky ReLU of this slope is applied to the sums.
            precision: to which x and w are rounded first: "float32", "tf32" or "float16"; sums keep at least float32.

        Returns:
            (m, o); rounded to float16, with that precision.

        Raises:
            ShapeError: x, w, bias and rulebook do not fit.
            BackendError: a precision that the backend does not have.
        """
        x, w = rounded(x, precision), rounded(w, precision)
        channels_out = check_conv("conv", x, w, rulebook, bias)
        y = np.zeros((rulebook.n_out, channels_out), x.dtype)
        if bias is not None:
            y += bias
        for k, in_rows, out_rows in _offsets(rulebook):
            y[out_rows] += _grouped(x[in_rows], w[k])
        y = y if slope is None else np.where(y >= 0, y, y * y.dtype.type(slope))
        return rounded(y, precision) if precision == "float16" else y

    def conv_dw(self, x, dy, rulebook, groups=1, *, precision="float32"):
        """Return the weight gradient of conv: sums of x[in]^T dy[out] over the pairs of each offset.

        Args:
            x: (n, c).
            dy: (m, o).
            rulebook: Rulebook.
            groups: g.
            precision: to which x and dy are rounded first, as in conv.

        Returns:
            (k, c, o), or (k, g, c/g, o/g) for more than one group; never float16.
        """
        x, dy = rounded(x, precision), rounded(dy, precision)
        check_conv_dw(x, dy, rulebook, groups)
        c, o = x.shape[1], dy.shape[1]
        dw = np.zeros((rulebook.n_offsets, groups, c // groups, o // groups), x.dtype)
        for k, in_rows, out_rows in _offsets(rulebook):
            xs = x[in_rows].reshape(len(in_rows), groups, c // groups)
            dys = dy[out_rows].reshape(len(in_rows), groups, o // groups)
            for group in range(groups):
                dw[k, group] = xs[:, group].T @ dys[:, group]
        return dw if groups > 1 else dw[:, 0]

    def max_pool(self, x, rulebook, ground=None):
        """Take the maximum over the active rows of each window, and over the ground state where one is missing.

        The first of equals in offset order wins, an active row beats an equal ground, a NaN beats any number.

        Args:
            x: (n, c).
            rulebook: Rulebook.
            ground: (1, c), competing where `fan_in < volume` and where a window holds no active row, or None.

        Returns:
            y (m, c) and winner (m, c) int32: the input row that won, -1 for the ground (or for zero, where a window
            holds no active row and ground is None).
        """
        check_max_pool(x, rulebook, ground)
        y = np.full((rulebook.n_out, x.shape[1]), -np.inf, x.dtype)
        winner = np.full(y.shape, -1, np.int32)
        for _, in_rows, out_rows in _offsets(rulebook):
            _compete(y, winner, out_rows, x[in_rows], in_rows[:, None].astype(np.int32))
        if ground is not None:
            open_rows = np.flatnonzero(open_windows(rulebook))
            _compete(y, winner, open_rows, np.broadcast_to(ground, (len(open_rows), x.shape[1])), np.int32(-1))
        else:
            y[rulebook.fan_in == 0] = 0
        return y, winner

    def max_pool_dx(self, dy, winner, n, rulebook=None):
        """Give each dy to the row that won: dx (n, c) and, for winner -1, dground (1, c).

        The rulebook of the pooling whose winners these are may be given, where none of its pairs (in, out) comes twice,
        as in those of all windows; a backend can then be faster.
        """
        check_winner(dy, winner, n)
        dx = np.zeros((n + 1, dy.shape[1]), dy.dtype)
        columns = np.broadcast_to(np.arange(dy.shape[1]), dy.shape)
        np.add.at(dx, (winner, columns), dy)                             # -1 is the last row: the ground's
        return dx[:n], dx[n:].copy()

    def sum_pool(self, x, rulebook):
        """Sum the active rows of each window: (n, c) -> (m, c)."""
        check_rows("sum_pool", x, rulebook)
        y = np.zeros((rulebook.n_out, x.shape[1]), x.dtype)
        for _, in_rows, out_rows in _offsets(rulebook):
            y[out_rows] += x[in_rows]
        return y

    def scatter_add(self, x, rows, m):
        """Add row i of x (n, c) to row rows[i] of the result (m, c), in the order of i."""
        check_scatter(x, rows, m)
        y = np.zeros((m, x.shape[1]), x.dtype)
        np.add.at(y, rows, x)
        return y

    def segment_sum(self, x, starts):
        """Sum the rows starts[i] to starts[i+1] of x (n, c): (b, c); an empty segment gives 0."""
        check_segments("segment_sum", x, np.asarray(starts))
        y = np.zeros((len(starts) - 1, x.shape[1]), x.dtype)
        for i in range(len(y)):
            y[i] = x[starts[i]:starts[i + 1]].sum(0)
        return y

    def segment_max(self, x, starts):
        """Return the maxima of the rows starts[i] to starts[i+1], (b, c), and the rows that won, int32.

        The first of equals wins, a NaN beats any number; an empty segment gives 0 and -1.
        """
        check_segments("segment_max", x, np.asarray(starts))
        y = np.zeros((len(starts) - 1, x.shape[1]), x.dtype)
        winner = np.full(y.shape, -1, np.int32)
        for i, (low, high) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
            if high > low:
                winner[i] = low + x[low:high].argmax(0)
                y[i] = x[low:high].max(0)
        return y, winner

    def leaky_relu(self, x, slope):
        """Return x (n, c) where it is 0 or more, slope * x elsewhere."""
        return self.xp.where(x >= 0, x, x * x.dtype.type(slope))

    def leaky_relu_dx(self, y, dy, slope):
        """Return dy where the output y is above 0, slope * dy elsewhere; both (n, c)."""
        check_equal("leaky_relu_dx", y, dy)
        return self.xp.where(y > 0, dy, dy * dy.dtype.type(slope))

    def moments(self, x):
        """Return (3, c): columns' means, what a float of x cannot hold of them, biased variances; no rows: zeros."""
        if not len(x):
            return self.xp.zeros((3, x.shape[1]), x.dtype)
        mean = x.mean(0)
        return self.xp.stack([mean, self.xp.zeros_like(mean), ((x - mean) ** 2).mean(0)])

    def affine(self, x, rows, slope=1.0):
        """Map each column: z = (x - centre - rest) * scale + shift, what is below 0 times slope.

        Args:
            x: (n, c).
            rows: (4, c): centre, rest (the centre's last bits), scale, shift.
            slope: of what is below 0.
        """
        check_affine("affine", x, rows)
        return self.leaky_relu((x - rows[0] - rows[1]) * rows[2] + rows[3], slope)

    def affine_sums(self, x, dy, rows, slope=1.0):
        """Return (2, c): the columns' sums of dz, the gradient of z in `affine`, and of dz * (x - centre - rest)."""
        check_affine("affine_sums", x, rows, dy)
        dz = self.leaky_relu_dx(self.affine(x, rows), dy, slope)
        return self.xp.stack([dz.sum(0), (dz * (x - rows[0] - rows[1])).sum(0)])

    def affine_dx(self, x, dy, rows, ab, slope=1.0):
        """Return dz * scale + (x - centre - rest) * a + b, for rows a and b (2, c): dx where they depend on x."""
        check_affine("affine_dx", x, rows, dy, ab)
        return self.leaky_relu_dx(self.affine(x, rows), dy, slope) * rows[2] + ((x - rows[0] - rows[1]) * ab[0] + ab[1])

    def __repr__(self):
        return f"<{self.name} backend>"


def own(made, given):
    """Return `made`, which Ops.asarray has made of `given`; a copy where it may be the same memory."""
    apart = isinstance(given, (list, tuple)) or isinstance(given, np.ndarray) and not (
        isinstance(made, np.ndarray) and np.may_share_memory(made, given))
    return made if apart else made.copy()


def cast(array, dtype, who="features"):
    """Return a numpy array as a C-contiguous one of that dtype, itself where it is one.

    Raises:
        ShapeError: a finite number that float32 or a longer float does not hold.
    """
    if not (array.dtype.kind == dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize > 2):
        return np.asarray(array, dtype, order="C")
    try:
        with np.errstate(over="raise"):
            return np.asarray(array, dtype, order="C")
    except FloatingPointError:
        pass                                                             # which number, is told below
    beyond = array[np.isfinite(array) & (abs(array) > np.finfo(dtype).max)]
    if beyond.size:
        refuse_beyond(beyond[0], dtype, who)
    with np.errstate(over="ignore"):                                     # what only rounds to infinity, or a warning
        return np.asarray(array, dtype, order="C")


def refuse_beyond(value, dtype, who="features"):
    """Raise ShapeError of a number that a dtype does not hold."""
    remedy = ', or use("reference"), which keeps float64' if dtype == np.float32 else ""
    raise ShapeError(f"{who}: expected numbers that {dtype} holds, up to {np.finfo(dtype).max:.3g}, got {value!s}; "
                     f"scale them{remedy}")


def check_whole(array):
    """Raise ShapeError of a Python int that made an array one of objects, since no integer dtype holds it."""
    for value in array.flat if array.dtype == object else ():
        if isinstance(value, int) and not -2**63 <= value < 2**64:
            raise ShapeError(f"features: expected numbers, got the whole number {value!r:.40}, which no integer dtype "
                             "holds; make it a float, or scale it")


def open_windows(rulebook):
    """Return (n_out,) booleans: where the ground state competes, for want of an active site or of all."""
    return (rulebook.fan_in < rulebook.volume) | (rulebook.fan_in == 0)


def _offsets(rulebook):
    pointers = rulebook.offset_ptr
    for k in range(rulebook.n_offsets):
        pairs = slice(pointers[k], pointers[k + 1])
        yield k, rulebook.in_rows[pairs], rulebook.out_rows[pairs]


def _grouped(x, w):
    if w.ndim == 2:
        return x @ w
    groups, c, o = w.shape
    return np.einsum("ngc,gco->ngo", x.reshape(len(x), groups, c), w).reshape(len(x), groups * o)


def _compete(y, winner, rows, values, names):
    better = (values > y[rows]) | (np.isnan(values) & ~np.isnan(y[rows]))
    # A row that holds -inf only must still have a winner: the first active site.
    better |= (y[rows] == -np.inf) & (winner[rows] == -1) & (values == -np.inf)
    y[rows] = np.where(better, values, y[rows])
    winner[rows] = np.where(better, names, winner[rows])
