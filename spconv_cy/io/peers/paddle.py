"""Weights of Paddle's sparse layers: the channels last, as in spconv 1.x; linear layers are (c, o)."""

from __future__ import annotations

from spconv_cy.io.peers.layout import Kernel, Peer, Readings, only_boxes
from spconv_cy.types import Array


def read(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "rsck" (*size, c, o), or "matrix" (c, o) of a paddle.nn.Linear."""
    if array.shape[-2:] != (kernel.channels_in, kernel.channels_out) or kernel.groups > 1:
        return {}
    if array.ndim == 2:
        return {"matrix": array[None]} if kernel.volume == 1 else {}
    return {"rsck": array} if kernel.is_size(array.shape[:-2]) else {}


def write(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (*size, c, o); of a NetworkInNetwork by the reading, "matrix" (c, o) or (1, 1, 1, c, o)."""
    if kernel.window is None and reading == "matrix":
        return weight[0]
    only_boxes(kernel, "Paddle")
    return weight.reshape(*(kernel.size or (1, 1, 1)), *weight.shape[1:])


PADDLE = Peer("paddle", "paddle.sparse", read, write, statistics=("_mean", "_variance"),
              counts_steps=False)
