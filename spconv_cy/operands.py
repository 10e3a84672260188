"""Checks of the arrays that backend operations take: the one place for it, called by each backend and by the core."""

from __future__ import annotations

from typing import NoReturn, Protocol

from spconv_cy.errors import ShapeError, expected
from spconv_cy.types import Array


class Counts(Protocol):
    """The counts of a rulebook, which a Rulebook and its Pairs both have."""

    @property
    def n_in(self) -> int:
        """Number of input rows."""

    @property
    def n_out(self) -> int:
        """Number of output rows."""

    @property
    def n_offsets(self) -> int:
        """Number of offsets."""


def check_matrix(who: str, array: Array) -> None:
    """Raise ShapeError unless an array is (n, c)."""
    if array.ndim != 2:
        raise ShapeError(expected(who, "an array (n, c) of rows by channels", f"shape {array.shape}"))


def check_conv(who: str, x: Array, w: Array, rulebook: Counts, bias: Array | None = None) -> int:
    """Return the number of channels out of a convolution; raise ShapeError if the arrays do not fit each other."""
    fits = x.ndim == 2 and w.ndim in (3, 4) and (len(x), len(w)) == (rulebook.n_in, rulebook.n_offsets)
    groups = w.shape[1] if w.ndim == 4 else 1
    if not fits or groups < 1 or x.shape[1] != groups * w.shape[-2]:
        raise ShapeError(expected(
            who, f"features (n_in, c) and weights (offsets, c, o) or (offsets, groups, c/groups, o/groups) for "
            f"{rulebook.n_in} input rows and {rulebook.n_offsets} offsets",
            f"features {x.shape} and weights {w.shape}"))
    channels_out = groups * w.shape[-1]
    if bias is not None and bias.shape != (1, channels_out):
        raise ShapeError(expected(who, f"bias (1, {channels_out})", f"shape {bias.shape}"))
    return channels_out


def check_conv_after(channels: int, rulebook: Counts, rows: Array | None, residual: Array | None) -> None:
    """Raise ShapeError if the column-wise map or the rows to add do not fit the result of a convolution."""
    if rows is not None and rows.shape != (4, channels):
        raise ShapeError(expected("conv", f"rows (4, {channels}) of a map", f"shape {rows.shape}"))
    if residual is not None and residual.shape != (rulebook.n_out, channels):
        raise ShapeError(expected("conv", f"a residual ({rulebook.n_out}, {channels})", f"shape {residual.shape}"))


def check_conv_dw(x: Array, dy: Array, rulebook: Counts, groups: int) -> None:
    """Raise ShapeError if the arrays of a weight gradient do not fit each other."""
    if x.ndim != 2 or dy.ndim != 2 or (len(x), len(dy)) != (rulebook.n_in, rulebook.n_out):
        raise ShapeError(expected(
            "conv_dw", f"features (n_in, c) and gradients (n_out, o) for {rulebook.n_in} input and {rulebook.n_out} "
            "output rows", f"features {x.shape} and gradients {dy.shape}"))
    if groups < 1 or x.shape[1] % groups or dy.shape[1] % groups:
        raise ShapeError(expected("conv_dw", f"groups that divide {x.shape[1]} channels in and {dy.shape[1]} channels "
                                  "out", groups))


def check_rows(who: str, x: Array, rulebook: Counts) -> None:
    """Raise ShapeError unless features are (n_in, c)."""
    if x.ndim != 2 or len(x) != rulebook.n_in:
        raise ShapeError(expected(who, f"features (n_in, c) for {rulebook.n_in} input rows", f"shape {x.shape}"))


def check_max_pool(x: Array, rulebook: Counts, ground: Array | None) -> None:
    """Raise ShapeError unless features are (n_in, c), and the ground state (1, c)."""
    check_rows("max_pool", x, rulebook)
    if ground is not None and ground.shape != (1, x.shape[1]):
        raise ShapeError(expected("max_pool", f"ground (1, {x.shape[1]})", f"shape {ground.shape}"))


def check_winner(dy: Array, winner: Array, n: int, transposed: Counts | None = None) -> None:
    """Raise ShapeError if winners do not fit dy, or name rows that are not there.

    If the transposed rulebook is given, only its counts are checked, because the loops then do not read the values of
    `winner` as row numbers.
    """
    if dy.ndim != 2 or dy.shape != winner.shape or n < 0:
        raise ShapeError(expected("max_pool_dx", "dy and winner of one shape (n_out, c), and n >= 0",
                                  f"dy {dy.shape}, winner {winner.shape} and n {n}"))
    if transposed is not None:
        if (transposed.n_out, transposed.n_in) != (n, len(dy)):
            raise ShapeError(expected("max_pool_dx", f"a rulebook of {n} input and {len(dy)} output rows",
                                      f"one of {transposed.n_out} and {transposed.n_in}"))
    elif winner.size and not -1 <= winner.min() <= winner.max() < n:
        raise ShapeError(expected("max_pool_dx", f"winners from -1 to {n - 1}", f"{winner.min()} to {winner.max()}"))


def check_take(x: Array, rows: Array, ground: Array | None = None, weights: Array | None = None) -> None:
    """Raise ShapeError unless rows (m,) hold numbers from -1 to n - 1 for x (n, c), and the ground state is (1, c).

    With weights (k, m), rows are (k, m), and there is no ground state.
    """
    fits = rows.ndim == 1 if weights is None else rows.ndim == 2 and rows.shape == weights.shape and ground is None
    if x.ndim != 2 or not fits or ground is not None and ground.shape != (1, x.shape[1]):
        raise ShapeError(expected("take", "x (n, c), rows (m,) and ground (1, c) or None, or rows and weights (k, m)",
                                  ", ".join(f"{name} {array.shape}" for name, array in (
                                      ("x", x), ("rows", rows), ("ground", ground), ("weights", weights))
                                      if array is not None)))
    _check_numbers("take", rows, -1, len(x))


def check_scatter(x: Array, rows: Array, m: int, weights: Array | None = None) -> None:
    """Raise ShapeError unless rows (n,) hold a number from 0 to m - 1 for each row of x.

    With weights (k, n), rows are (k, n), from -1.
    """
    fits = rows.shape == x.shape[:1] if weights is None else rows.shape == weights.shape == (len(rows), *x.shape[:1])
    if x.ndim != 2 or not fits or m < 0:
        raise ShapeError(expected("scatter_add", "x (n, c), rows (n,), or rows and weights (k, n), and m >= 0",
                                  f"x {x.shape}, rows {rows.shape}, "
                                  f"{'' if weights is None else f'weights {weights.shape} '}and m {m}"))
    _check_numbers("scatter_add", rows, 0 if weights is None else -1, m)


def _check_numbers(who: str, rows: Array, low: int, high: int) -> None:
    if rows.size and not low <= rows.min() <= rows.max() < high:
        raise ShapeError(expected(who, f"rows from {low} to {high - 1}", f"{rows.min()} to {rows.max()}"))


def check_segments(who: str, x: Array, starts: Array) -> None:
    """Raise ShapeError unless starts (b+1,) are integers that ascend from 0 or more to at most the rows of x."""
    if x.ndim != 2 or starts.ndim != 1 or len(starts) < 1 or starts.dtype.kind not in "iu" \
            or (starts[1:] < starts[:-1]).any() or starts[0] < 0 or starts[-1] > len(x):
        raise ShapeError(expected(who, "features (n, c) and starts (b+1,) that ascend from 0 or more to at most n",
                                  f"features {x.shape} and starts {starts!r:.60}"))


def check_equal(who: str, a: Array, b: Array) -> None:
    """Raise ShapeError unless two arrays have one shape (n, c)."""
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(expected(who, "two arrays of one shape (n, c)", f"{a.shape} and {b.shape}"))


def check_sum(a: Array, b: Array, out: Array | None) -> None:
    """Raise ShapeError unless the arrays of a sum have one shape."""
    if a.shape != b.shape or out is not None and out.shape != a.shape:
        raise ShapeError(expected("add", "arrays of one shape",
                                  " and ".join(str(given.shape) for given in (a, b, out) if given is not None)))


def check_parts(parts: tuple[Array, ...]) -> int:
    """Return the number of columns of all parts; raise ShapeError unless they are arrays (n, c) with n rows each."""
    if any(part.ndim != 2 for part in parts) or len({len(part) for part in parts}) != 1:
        raise ShapeError(expected("concatenate", "at least one array (n, c), all with equal numbers of rows",
                                  ", ".join(str(part.shape) for part in parts) or "none"))
    return sum(part.shape[1] for part in parts)


def check_widths(x: Array, widths: tuple[int, ...]) -> None:
    """Raise ShapeError unless x is (n, c) and widths are numbers of columns that add up to c."""
    if x.ndim != 2 or min(widths, default=0) < 0 or sum(widths) != x.shape[1]:
        raise ShapeError(expected("split", "an array (n, c) and widths that add up to c", f"{x.shape} and {widths}"))


def check_labels(who: str, x: Array, labels: Array, counts: Array | None, found: Array | None = None) -> None:
    """Raise ShapeError unless x is (n, c), labels and counts are (n,), and found is (n, 2)."""
    wanted = [(labels, (len(x),)), (counts, (len(x),)), (found, (len(x), 2))]
    if x.ndim != 2 or any(array is not None and array.shape != shape for array, shape in wanted):
        raise ShapeError(expected(who, "x (n, c), labels (n,), counts (n,) or None, and sums (n, 2)", " and ".join(
            str(array.shape) for array in (x, labels, counts, found) if array is not None)))


def refuse_label(who: str, label: int, c: int) -> NoReturn:
    """Raise ShapeError for a label that is no class of c."""
    raise ShapeError(expected(who, f"labels from -1 to {c - 1}", label))


def check_affine(who: str, x: Array, rows: Array, dy: Array | None = None, ab: Array | None = None) -> None:
    """Raise ShapeError if the arrays of a column-wise map do not fit: rows (4, c), dy like x, ab (2, c)."""
    if x.ndim != 2 or rows.shape != (4, x.shape[1]):
        raise ShapeError(expected(who, "x (n, c) and rows (4, c): centre, rest, scale, shift",
                                  f"x {x.shape} and rows {rows.shape}"))
    if dy is not None:
        check_equal(who, x, dy)
    if ab is not None and ab.shape != (2, x.shape[1]):
        raise ShapeError(expected(who, f"ab (2, {x.shape[1]})", f"shape {ab.shape}"))
