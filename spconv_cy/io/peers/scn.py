"""Weights of SparseConvNet: taps in one axis, the last axis fastest, as ours."""

from __future__ import annotations

from spconv_cy.io.peers.layout import Kernel, Peer, Readings, linear, only_boxes
from spconv_cy.types import Array


def read(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "taps": (k, g, c/g, o/g), in old files (k, c, o).

    The reading "matrix" (c, o) is that of a NetworkInNetwork, "linear" (o, c) that of a torch.nn.Linear.
    """
    g = kernel.groups
    inner = (kernel.channels_in // g, kernel.channels_out // g)
    if array.ndim == 2:
        readings = {}
        if g == kernel.volume == 1 and array.shape == inner:
            readings["matrix"] = array[None]
        return readings | linear(array, name, kernel)
    fits = array.shape == (kernel.volume, g, *inner) or g == 1 and array.shape == kernel.shape
    only_full = kernel.window is None or kernel.is_box
    return {"taps": array.reshape(kernel.shape)} if fits and only_full else {}


def write(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (k, g, c/g, o/g); of a NetworkInNetwork by the reading, "matrix" (c, o) or "linear" (o, c)."""
    if kernel.window is None:
        return weight[0].T if reading == "linear" else weight[0]
    if kernel.groups == 1:
        only_boxes(kernel, "SparseConvNet")
        return weight[:, None]
    return weight


SCN = Peer("sparseconvnet", "SparseConvNet", read, write, counts_steps=False)
