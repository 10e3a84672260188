"""Weights of MinkowskiEngine: taps in one axis, the first spatial axis fastest."""

from __future__ import annotations

import numpy as np

from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.peers.layout import Kernel, Peer, Readings, col_major, linear, to_col_major
from spconv_cy.types import Array


def read(array: Array, name: str, kernel: Kernel) -> Readings:
    """Return the reading "kernel": (k, c, o), of one tap also (c, o), of a channelwise convolution (k, c).

    The reading "linear" is that of a MinkowskiLinear.
    """
    if name == "weight":
        return linear(array, name, kernel)
    if is_channelwise(kernel):
        return {"kernel": col_major(array[..., None], kernel)} if array.shape == (kernel.volume, kernel.groups) else {}
    given = array[None] if array.ndim == 2 else array
    if given.shape != (kernel.volume, kernel.channels_in, kernel.channels_out) or kernel.groups > 1:
        return {}
    if is_cross(kernel):
        return {"kernel": given[np.argsort(cross_order(kernel))]}
    return {"kernel": col_major(given, kernel)} if kernel.is_box else {}


def write(weight: Array, kernel: Kernel, reading: str) -> Array:
    """Return (k, c, o); of one tap without a stride (c, o); of a channelwise convolution (k, c)."""
    if is_channelwise(kernel):
        return to_col_major(weight[..., 0], kernel)[..., 0]
    if kernel.groups > 1 or not (kernel.is_box or is_cross(kernel)):
        raise ShapeError(expected("MinkowskiEngine", "all taps of a box or a cross of odd size, without groups",
                                  f"{kernel.groups} groups, shape {kernel.window and kernel.window.shape!r}"))
    if is_cross(kernel):
        return weight[cross_order(kernel)]
    return weight[0] if kernel.volume == 1 and not kernel.is_strided else to_col_major(weight, kernel)


def is_channelwise(kernel: Kernel) -> bool:
    """Return True if each channel has taps of its own and nothing else, as in a MinkowskiChannelwiseConvolution."""
    return kernel.is_box and 1 < kernel.groups == kernel.channels_in == kernel.channels_out


def is_cross(kernel: Kernel) -> bool:
    """Return True if the taps are those of MinkowskiEngine's HYPER_CROSS."""
    window = kernel.window
    return (window is not None and window.taps is None and window.shape == "cross"
            and all(n % 2 for n in window.size))


def cross_order(kernel: Kernel) -> Array:
    """Return the numbers of our taps in the order of HYPER_CROSS.

    The centre is first. Then each axis has the steps +1 to +r, then -r to -1.
    """
    assert kernel.window is not None
    size = kernel.window.size
    middle = tuple(n // 2 for n in size)
    taps = [middle]
    for axis, r in enumerate(middle):
        for step in (*range(1, r + 1), *range(-r, 0)):
            taps.append(tuple(m + step * (i == axis) for i, m in enumerate(middle)))
    place = {tap: i for i, tap in enumerate(sorted(taps))}
    return np.array([place[tap] for tap in taps])


MINKOWSKI = Peer("minkowski", "MinkowskiEngine", read, write, "kernel", ("bn", "linear"), {"norm": "bn"}, bias_axes=2)
