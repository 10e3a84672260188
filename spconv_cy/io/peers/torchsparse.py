"""Weights of torchsparse: taps in one axis, the first axis fastest if their number is odd, else the last."""

from __future__ import annotations

import numpy as np

from spconv_cy.io.peers.layout import Kernel, Peer, Readings, col_major, linear, only_boxes, to_col_major
from spconv_cy.types import Array


def read(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "kernel": (k, c, o), of one tap also (c, o); "linear" of a torch.nn.Linear."""
    if name == "weight":
        return linear(array, name, kernel)
    given = array[None] if array.ndim == 2 else array
    fits = given.shape == (kernel.volume, kernel.channels_in, kernel.channels_out) and kernel.is_box
    if not fits or kernel.groups > 1:
        return {}
    return {"kernel": col_major(given, kernel) if kernel.volume % 2 else given}


def write(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (k, c, o); of one tap without a stride (c, o)."""
    only_boxes(kernel, "torchsparse")
    if kernel.volume == 1 and not kernel.is_strided:
        return weight[0]
    return to_col_major(weight, kernel) if kernel.volume % 2 else np.ascontiguousarray(weight)


TORCHSPARSE = Peer("torchsparse", "torchsparse 1.4, 2.x", read, write, "kernel")
