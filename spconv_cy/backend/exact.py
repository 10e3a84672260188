"""Sums over rows in float64 whose bits depend on no order, and matrix products of rows by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.backend.structure import Rulebook

BLOCK = 32                              # rows of a product of a BLAS, which then treats each of them in the same way
BITS, SUM_BITS = 53, 80                 # of a float64; of the terms of a sum, below the largest
PRODUCT_BITS = 62                       # of the factors of a product
LARGE = 2.0**400                        # beyond, and below its inverse, digits would leave the range of a float64


class Alone:
    """The rows of one process: what is the largest, the sum and the number of all rows is so already."""

    def largest(self, a: Array) -> Array:
        """Return the largest of each element over all parts."""
        return a

    def total(self, a: Array) -> Array:
        """Return the sum of each element over all parts."""
        return a

    def count(self, n: int) -> int:
        """Return the sum of the parts' numbers."""
        return n


ALONE = Alone()


def rows_times(x: Array, w: Array) -> Array:
    """Return x @ w for x (n, c); a row of the result has the same bits whatever the other rows are.

    A BLAS adds the terms of an element in an order that depends on the number of rows and on its place among them. Here
    it is called for blocks of 32 rows, all of which it treats alike.
    """
    n, (c, o) = len(x), w.shape
    blocks = -(-n // BLOCK)
    if n % BLOCK:
        x = np.concatenate([x, np.zeros((blocks * BLOCK - n, c), x.dtype)])
    return np.matmul(x.reshape(blocks, BLOCK, c), w).reshape(blocks * BLOCK, o)[:n]


def column_sums(x: Array, starts: Array | None = None, group: Alone = ALONE) -> Array:
    """Return the sums (b, c) of the segments of x (n, c) float64; their bits do not depend on the order of the rows.

    Each number is split into digits, integers of so few bits that their sums are exact in float64.

    Args:
        x: (n, c).
        starts: (b+1,), where the segments begin and end; None: one segment of all rows.
        group: of the processes that have the other rows.
    """
    starts = np.array([0, len(x)]) if starts is None else starts
    bits = max(1, BITS - 1 - _log2(group.count(len(x))))
    split = _Digits(x, bits, -(-SUM_BITS // bits), group)
    digits = group.total(np.stack([plain_sums(digit, starts) for digit in split.digits]))
    found = np.ldexp(_joined(list(digits), bits), split.exponents)
    return np.asarray(found if split.fits.all() else np.where(split.fits, found, group.total(plain_sums(x, starts))))


def products(x: Array, dy: Array, rulebook: Rulebook, groups: int, group: Alone = ALONE) -> Array:
    """Return what Ops.conv_dw does for float64, (k, g, c/g, o/g), with bits that do not depend on the order of pairs.

    Both factors are split into digits, so that a BLAS computes the sums of their products exactly.

    Args:
        x, dy, rulebook, groups: as for Ops.conv_dw.
        group: of the processes that have other pairs.
    """
    (n, c), (m, o) = x.shape, dy.shape
    bits = max(1, (BITS - 1 - _log2(group.count(m))) // 2)
    count = -(-PRODUCT_BITS // bits)
    left, right = _Digits(x, bits, count, group), _Digits(dy, bits, count, group)
    xs = np.stack(left.digits, 1).reshape(n, count, groups, c // groups)
    dys = np.stack(right.digits, 1).reshape(m, count, groups, o // groups)
    sums = np.zeros((rulebook.n_offsets, groups, count * c // groups, count * o // groups))
    pointers = rulebook.offset_ptr
    for k in range(rulebook.n_offsets):
        pairs = slice(pointers[k], pointers[k + 1])
        a, b = xs[rulebook.in_rows[pairs]], dys[rulebook.out_rows[pairs]]
        for g in range(groups):
            sums[k, g] = a[:, :, g].reshape(len(a), sums.shape[2]).T @ b[:, :, g].reshape(len(b), sums.shape[3])
    sums = group.total(sums).reshape(len(sums), groups, count, c // groups, count, o // groups)
    levels = [sum(sums[:, :, s, :, level - s] for s in range(max(0, level - count + 1), min(level, count - 1) + 1))
              for level in range(2 * count - 1)]
    exponents = left.exponents.reshape(groups, -1, 1) + right.exponents.reshape(groups, 1, -1)
    found = np.ldexp(_joined(levels, bits), exponents)
    if left.fits.all() and right.fits.all():
        return np.asarray(found)
    fits = left.fits.reshape(groups, -1, 1) & right.fits.reshape(groups, 1, -1)
    return np.where(fits, found, group.total(plain_products(x, dy, rulebook, groups)))


def moments(x: Array, group: Alone = ALONE) -> Array:
    """Return what Ops.moments does for float64, of the rows of all parts."""
    n = max(1, group.count(len(x)))
    mean = column_sums(x, None, group) / n
    return np.concatenate([mean, np.zeros_like(mean), column_sums((x - mean) ** 2, None, group) / n])


def total(losses: Array, group: Alone = ALONE) -> Array:
    """Return the sum of numbers (n,), shape ()."""
    return np.asarray(column_sums(losses[:, None], None, group)[0, 0])


def plain_sums(x: Array, starts: Array) -> Array:
    """Return the sums (b, c) of the segments of x in the order of numpy."""
    return np.array([x[low:high].sum(0) for low, high in zip(starts[:-1], starts[1:], strict=True)],
                    x.dtype).reshape(len(starts) - 1, x.shape[1])


def plain_products(x: Array, dy: Array, rulebook: Rulebook, groups: int) -> Array:
    """Return what `products` does, in the order of a BLAS, for floats of any kind."""
    c, o = x.shape[1], dy.shape[1]
    sums = np.zeros((rulebook.n_offsets, groups, c // groups, o // groups), x.dtype)
    pointers = rulebook.offset_ptr
    for k in range(rulebook.n_offsets):
        pairs = slice(pointers[k], pointers[k + 1])
        a = x[rulebook.in_rows[pairs]].reshape(pointers[k + 1] - pointers[k], groups, c // groups)
        b = dy[rulebook.out_rows[pairs]].reshape(len(a), groups, o // groups)
        for g in range(groups):
            sums[k, g] = a[:, g].T @ b[:, g]
    return sums


class _Digits:
    """The numbers of float64 rows as sums of digits: integers times powers of 2 that are common to a column.

    Attributes:
        digits: arrays like x, the first for the highest bits.
        exponents: (c,) integers; x is the sum of digits[i] * 2 ** (exponents - i * bits).
        fits: (c,) booleans, False for a column with numbers that are too large, too small or not finite, whose digits
            are 0.
    """

    def __init__(self, x: Array, bits: int, count: int, group: Alone) -> None:
        size = np.abs(x).max(0, initial=0)
        size = group.largest(np.where(np.isnan(size), np.inf, size))
        self.fits = ((size == 0) | (size < LARGE) & (size > 1 / LARGE)) & (bits > 3)
        if not self.fits.all():
            x, size = np.where(self.fits, x, 0.0), np.where(self.fits, size, 0.0)
        self.exponents = np.frexp(size)[1].astype(np.int64) - bits
        rest = x * np.ldexp(1.0, -self.exponents)
        self.digits: list[Array] = []
        for _ in range(count):
            digit = np.rint(rest)
            rest = (rest - digit) * 2.0**bits
            self.digits.append(digit)


def _joined(digits: list[Any], bits: int) -> Any:
    found = digits[-1]
    for digit in digits[-2::-1]:
        found = digit + found * 2.0**-bits
    return found


def _log2(n: int) -> int:
    return max(1, n - 1).bit_length()
