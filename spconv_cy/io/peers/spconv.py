"""Weights of spconv: 2.x with the output channels first, 1.x and mmcv with the channels last."""

from __future__ import annotations

import numpy as np

from spconv_cy.io.peers.layout import Kernel, Peer, Readings, linear, only_boxes
from spconv_cy.types import Array


def read_2(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the readings "krsc" (o, *size, c), "rskc" (*size, o, c), and of one tap "raw".

    A layer of one tap without a stride multiplies by the memory of its (o, 1, 1, 1, c) array taken as a (c, o) matrix:
    spconv does not transpose there.
    """
    if array.ndim < 3:
        return linear(array, name, kernel)
    if kernel.groups > 1:
        return {}
    (o, *inner, c), channels = array.shape, (kernel.channels_out, kernel.channels_in)
    readings: Readings = {}
    if (o, c) == channels and kernel.is_size(tuple(inner)):
        readings["krsc"] = np.moveaxis(array, 0, -1)
    if array.shape[-2:] == channels and kernel.is_size(array.shape[:-2]):
        readings["rskc"] = array.swapaxes(-1, -2)
    if readings and kernel.volume == 1:
        readings = {"krsc": next(iter(readings.values()))}
        if not kernel.is_strided:
            readings["raw"] = array.reshape(kernel.shape)
    return readings


def write_2(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (o, *size, c); of one tap by the reading, "raw" or "krsc"."""
    only_boxes(kernel, "spconv 2")
    size = kernel.size or (1, 1, 1)
    if kernel.volume == 1 and not kernel.is_strided and reading == "raw":
        return weight.reshape(kernel.channels_out, *size, kernel.channels_in)
    return np.moveaxis(weight.reshape(*size, *weight.shape[1:]), -1, 0)


def read_1(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "rsck", (*size, c, o)."""
    if array.ndim < 3:
        return linear(array, name, kernel)
    fits = array.shape[-2:] == (kernel.channels_in, kernel.channels_out) and kernel.is_size(array.shape[:-2])
    return {"rsck": array} if fits and kernel.groups == 1 else {}


def write_1(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (*size, c, o)."""
    only_boxes(kernel, "spconv 1")
    return weight.reshape(*(kernel.size or (1, 1, 1)), *weight.shape[1:])


SPCONV2 = Peer("spconv2", "spconv 2.x", read_2, write_2)
SPCONV1 = Peer("spconv1", "spconv 1.x, mmcv", read_1, write_1)
