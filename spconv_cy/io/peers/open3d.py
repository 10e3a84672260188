"""Weights of Open3D's sparse convolutions: the spatial axes in the order z, y, x for points given as x, y, z."""

from __future__ import annotations

from spconv_cy.io.peers.layout import Kernel, Peer, Readings, linear, only_boxes, reversed_axes
from spconv_cy.types import Array


def read(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "zyx": (*size, c, o) with the last axis of a point first; "linear" of a torch.nn.Linear."""
    if name == "weight":
        return linear(array, name, kernel)
    fits = array.shape[-2:] == (kernel.channels_in, kernel.channels_out) and kernel.is_size(array.shape[-3::-1])
    return {"zyx": reversed_axes(array)} if fits and kernel.groups == 1 else {}


def write(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (*size, c, o) with the last axis of a point first."""
    only_boxes(kernel, "Open3D")
    return reversed_axes(weight.reshape(*(kernel.size or (1, 1, 1)), *weight.shape[1:]))


OPEN3D = Peer("open3d", "Open3D", read, write, "kernel", ("net", "bn", "linear"),
              {"kernel": "net", "norm": "bn", "linear": "linear"}, skipped=("offset",))
