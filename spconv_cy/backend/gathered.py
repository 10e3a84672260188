"""Convolution on a GPU by gathering: the rows of an offset, one product of cuBLAS, and a sum in the order of offsets.

Within an offset no row comes twice, so its products are added without atomics. cuBLAS gives the same bits at every run
on one card, because CuPy does not enable its atomics.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.backend.placed import placed
from spconv_cy.config import cuda_convolution
from spconv_cy.types import Array

if TYPE_CHECKING:
    from spconv_cy.backend.structure import Rulebook

# Gathering is used instead of the tile kernels if any line of the table applies. Tiles move fewer bytes for each pair,
# but they multiply more slowly than cuBLAS, and multiply rows without a pair, too. A product needs enough pairs to pay
# for its three launches. With at least these numbers of channels gathering is faster by the estimate of
# benchmarks/cuda_account.py; `make bench-cuda` measures it.
GATHERED = (
    # dtype     compute capability from   channels, the fewer of in and out of a group, from   pairs an offset from
    ("float32", 90, 256, 2048),
    ("float32", 0, 1024, 2048),
)


def is_gathered(dtype: Any, capability: int, c: int, o: int, rulebook: Rulebook) -> bool:
    """Return True if a convolution of c to o channels of a group is gathered; a setting overrides the table."""
    if not c * o * rulebook.n_pairs:
        return False
    asked = cuda_convolution()
    if asked is not None:
        return asked == "gathered"
    if _keeps_rows(rulebook):
        return True
    mean = rulebook.n_pairs / max(1, rulebook.n_offsets)
    return any(np.dtype(dtype) == kind and capability >= least and min(c, o) >= channels and mean >= pairs
               for kind, least, channels, pairs in GATHERED)


def conv(ops: Any, x: Array, w: Array, rulebook: Rulebook, bias: Array | None) -> Array:
    """Return Ops.conv without its slope, for w (k, g, c, o)."""
    _, groups, c, o = w.shape
    if _keeps_rows(rulebook):
        y = ops.allocated("conv", (len(x), groups * o), x.dtype, partial(_product, x, w[0]))
        return y if bias is None else y + bias
    y = ops.zeros("conv", (rulebook.n_out, groups * o), x.dtype)
    if bias is not None:
        y += bias
    for k, in_rows, out_rows in _offsets(ops, rulebook):
        rows = _rows(ops, "conv", x, in_rows)
        part = ops.allocated("conv, gathering", (len(rows), groups * o), x.dtype, partial(_product, rows, w[k]))
        ops.add_rows(y, out_rows, part)
    return y


def conv_dw(ops: Any, x: Array, dy: Array, rulebook: Rulebook, groups: int) -> Array:
    """Return Ops.conv_dw as (k, g, c/g, o/g)."""
    shape = rulebook.n_offsets, groups, x.shape[1] // groups, dy.shape[1] // groups
    if _keeps_rows(rulebook):
        return _turned_product(x, dy, groups).reshape(shape)
    dw = ops.zeros("conv_dw", shape, x.dtype)
    for k, in_rows, out_rows in _offsets(ops, rulebook):
        dw[k] = _turned_product(_rows(ops, "conv_dw", x, in_rows), _rows(ops, "conv_dw", dy, out_rows), groups)
    return dw


def _rows(ops: Any, who: str, x: Array, rows: Array) -> Array:
    return ops.allocated(f"{who}, gathering", (len(rows), x.shape[1]), x.dtype, partial(x.take, rows, axis=0))


def _offsets(ops: Any, rulebook: Rulebook) -> Iterator[tuple[int, Array, Array]]:
    rules, pointers = placed(rulebook, ops), rulebook.offset_ptr.tolist()
    for k in range(rulebook.n_offsets):
        pairs = slice(pointers[k], pointers[k + 1])
        if pairs.stop > pairs.start:
            yield k, rules.in_rows[pairs], rules.out_rows[pairs]


def _keeps_rows(rulebook: Rulebook) -> bool:
    # True for Rulebook.identity: each row is paired with itself, so no row number needs to be read.
    return rulebook.n_offsets == 1 and rulebook.in_rows is rulebook.out_rows and rulebook.n_pairs == rulebook.n_out


def _product(rows: Array, w: Array) -> Array:
    groups, c, o = w.shape
    if groups == 1:
        return rows @ w[0]
    part = rows.reshape(-1, groups, c).swapaxes(0, 1) @ w
    return part.swapaxes(0, 1).reshape(-1, groups * o)


def _turned_product(rows: Array, dys: Array, groups: int) -> Array:
    if groups == 1:
        return rows.T @ dys
    rows, dys = (a.reshape(len(a), groups, -1).swapaxes(0, 1) for a in (rows, dys))
    return rows.swapaxes(1, 2) @ dys
