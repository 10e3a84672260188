"""Weights of fVDB, in the order of torch's dense convolutions, and of WarpConvNet, in ours."""

from __future__ import annotations

from spconv_cy.io.peers.layout import Kernel, Peer, Readings, linear, only_boxes
from spconv_cy.types import Array


def read_fvdb(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "kcrs": (o, c, *size), of one tap also (o, c)."""
    if array.ndim == 2:
        return linear(array, name, kernel)
    fits = array.shape[:2] == (kernel.channels_out, kernel.channels_in) and kernel.is_size(array.shape[2:])
    if not fits or kernel.groups > 1:
        return {}
    return {"kcrs": array.transpose(*range(2, array.ndim), 1, 0)}


def write_fvdb(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (o, c, *size); of one tap without a stride (o, c)."""
    only_boxes(kernel, "fVDB")
    if kernel.volume == 1 and not kernel.is_strided:
        return weight[0].T
    box = weight.reshape(*kernel.size, *weight.shape[1:])
    return box.transpose(-1, -2, *range(box.ndim - 2))


def read_warpconvnet(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "taps": (k, c, o), or (k, g, c/g, o/g) with groups."""
    if array.ndim == 2:
        return linear(array, name, kernel)
    return {"taps": array} if array.shape == kernel.shape and kernel.is_box else {}


def write_warpconvnet(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (k, c, o), or (k, g, c/g, o/g) with groups."""
    if kernel.groups == 1:
        only_boxes(kernel, "WarpConvNet")
    return weight


FVDB = Peer("fvdb", "fVDB", read_fvdb, write_fvdb)
WARPCONVNET = Peer("warpconvnet", "WarpConvNet", read_warpconvnet, write_warpconvnet)
