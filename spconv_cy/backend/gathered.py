"""Convolution on a GPU by gathering: the rows of an offset, one product of cuBLAS, and a sum in the order of offsets.

Within an offset no row comes twice, so that its products are added without atomics; cuBLAS gives the same bits at every
run on one card as long as its own atomics are not asked for, which CuPy does not.
"""

from functools import partial

import numpy as np

from spconv_cy.backend.placed import placed
from spconv_cy.config import cuda_convolution

# Where gathering replaces the kernels of tiles: any row that fits. Tiles move fewer bytes a pair, but multiply more
# slowly than cuBLAS, and rows that have no pair too; a product needs so many pairs that it is worth its three launches.
# Channels are those from which benchmarks/cuda_account.py finds gathering faster: not measured, `make bench-cuda` does.
GATHERED = (
    # dtype     compute capability from   channels, the fewer of in and out of a group, from   pairs an offset from
    ("float32", 90, 256, 2048),
    ("float32", 0, 1024, 2048),
)


def is_gathered(dtype, capability, c, o, rulebook):
    """Say whether a convolution of c to o channels of a group is to be gathered; the setting decides over the table."""
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


def conv(ops, x, w, rulebook, bias):
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


def conv_dw(ops, x, dy, rulebook, groups):
    """Return Ops.conv_dw as (k, g, c/g, o/g)."""
    shape = rulebook.n_offsets, groups, x.shape[1] // groups, dy.shape[1] // groups
    if _keeps_rows(rulebook):
        return _turned_product(x, dy, groups).reshape(shape)
    dw = ops.zeros("conv_dw", shape, x.dtype)
    for k, in_rows, out_rows in _offsets(ops, rulebook):
        dw[k] = _turned_product(_rows(ops, "conv_dw", x, in_rows), _rows(ops, "conv_dw", dy, out_rows), groups)
    return dw


def _rows(ops, who, x, rows):
    return ops.allocated(f"{who}, gathering", (len(rows), x.shape[1]), x.dtype, partial(x.take, rows, axis=0))


def _offsets(ops, rulebook):
    rules, pointers = placed(rulebook, ops), rulebook.offset_ptr.tolist()
    for k in range(rulebook.n_offsets):
        pairs = slice(pointers[k], pointers[k + 1])
        if pairs.stop > pairs.start:
            yield k, rules.in_rows[pairs], rules.out_rows[pairs]


def _keeps_rows(rulebook):
    # As Rulebook.identity has it: each row is paired with itself, and no row number needs to be read.
    return rulebook.n_offsets == 1 and rulebook.in_rows is rulebook.out_rows and rulebook.n_pairs == rulebook.n_out


def _product(rows, w):
    groups, c, o = w.shape
    if groups == 1:
        return rows @ w[0]
    part = rows.reshape(-1, groups, c).swapaxes(0, 1) @ w
    return part.swapaxes(0, 1).reshape(-1, groups * o)


def _turned_product(rows, dys, groups):
    if groups == 1:
        return rows.T @ dys
    rows, dys = (a.reshape(len(a), groups, -1).swapaxes(0, 1) for a in (rows, dys))
    return rows.swapaxes(1, 2) @ dys
