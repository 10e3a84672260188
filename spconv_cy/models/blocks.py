"""Blocks that several networks are made of: convolution, batch normalisation and ReLU, and residual blocks of two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spconv_cy.checks import checked_integers, checked_numbers, generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    BatchNormalization,
    Convolution,
    Deconvolution,
    Dropout,
    EfficientChannelAttention,
    Layer,
    NetworkInNetwork,
    ReLU,
    Residual,
    Sequential,
    SubmanifoldConvolution,
)
from spconv_cy.layers.inputs import MOST_CHANNELS
from spconv_cy.sites.lattice import MAX_DIMENSION, Lattice
from spconv_cy.types import Seed

WIDEST = MOST_CHANNELS
MOST = {"l": 30, "levels": 30, "repeats": 1000, "reps": 1000, "parameters": 2**40, "d": MAX_DIMENSION}
TORCH: dict[str, Any] = {"eps": 1e-5, "momentum": 0.9}                   # torch's BatchNorm1d with its defaults
DETECTION: dict[str, Any] = {"eps": 1e-3, "momentum": 0.99}              # of SECOND and the detectors after it


class Blocks:
    """Lists of layers for one lattice, generator and kind of batch normalisation; biases only with `bias=True`.

    In the summaries below S is a submanifold convolution, C a convolution, I a Deconvolution, BN batch normalisation.

    Args:
        d: Lattice, or the dimension of the cubic one.
        norm: options of BatchNormalization.
        rng: seed or numpy Generator.
    """

    def __init__(self, d: int | Lattice, norm: Mapping[str, Any], rng: Seed) -> None:
        self.norm, self.d = norm, d
        self.rng = None if rng is None else generator("Blocks", rng)     # loaded weights need none

    def submanifold(self, channels_in: int, channels_out: int, size: int = 3) -> list[Layer]:
        """Return the layers S-BN-ReLU."""
        return self.activated(SubmanifoldConvolution(self.d, channels_in, channels_out, size, bias=False, rng=self.rng))

    def strided(self, channels_in: int, channels_out: int, size: int | tuple[int, ...] = 3,
                stride: int | tuple[int, ...] = 2, padding: int | tuple[int, ...] = 1) -> list[Layer]:
        """Return the layers C-BN-ReLU, for a field that the stride need not divide."""
        return self.activated(Convolution(self.d, channels_in, channels_out, size, stride, padding=padding,
                                          size_rule="floor", bias=False, rng=self.rng))

    def halved(self, channels_in: int, channels_out: int) -> list[Layer]:
        """Return the layers C-BN-ReLU with size and stride 2.

        Every cell of 2 x 2 x ... sites that holds an active site has one output site.
        """
        return self.activated(Convolution(self.d, channels_in, channels_out, 2, 2, sites="cell", bias=False,
                                          rng=self.rng))

    def restored(self, channels_in: int, channels_out: int) -> list[Layer]:
        """Return the layers I-BN-ReLU, which restore the sites that `halved` had."""
        return self.activated(Deconvolution(self.d, channels_in, channels_out, 2, 2, bias=False, rng=self.rng))

    def basic(self, channels_in: int, channels_out: int, *, bias: bool = False, attention: bool = False
              ) -> list[Layer]:
        """Return the layers of a basic block: S-BN-ReLU-S-BN with a shortcut around it, then ReLU.

        If the channels change, the shortcut is a convolution of size 1 and BN. With `attention` an
        EfficientChannelAttention follows the last BN.
        """
        shortcut = None
        if channels_in != channels_out:
            shortcut = Sequential(NetworkInNetwork(channels_in, channels_out, bias=False, rng=self.rng),
                                  BatchNormalization(channels_out, **self.norm))
        first, second = (SubmanifoldConvolution(self.d, channels, channels_out, 3, bias=bias, rng=self.rng)
                         for channels in (channels_in, channels_out))
        gate = [EfficientChannelAttention(channels_out, rng=self.rng)] if attention else []
        return [Residual(*self.activated(first), second, BatchNormalization(channels_out, **self.norm), *gate,
                         shortcut=shortcut), ReLU()]

    def chain(self, channels_in: int, channels_out: int, repeats: int, *, attention: bool = False) -> list[Layer]:
        """Return the layers of `repeats` basic blocks, the first of which changes the channels."""
        layers = []
        for channels in [channels_in] + [channels_out] * (repeats - 1):
            layers += self.basic(channels, channels_out, attention=attention)
        return layers

    def activated(self, layer: Convolution | NetworkInNetwork) -> list[Layer]:
        """Return the layers: the given one, BN and ReLU."""
        return [layer, BatchNormalization(layer.channels_out, **self.norm), ReLU()]


def checked_list(who: str, name: str, entries: object) -> None:
    """Raise ShapeError if an argument is neither a list nor a tuple."""
    if not isinstance(entries, (list, tuple)):
        raise ShapeError(expected(who, f"{name} to be a list", repr(entries)))


def checked_whole(who: str, **numbers: int) -> tuple[int, ...]:
    """Return sizes of a network as ints; raise ShapeError if one is not whole, below 1 or too large."""
    for name, n in numbers.items():
        checked_integers(who, 1, MOST.get(name, MOST_CHANNELS), **{name: n})
    return tuple(map(int, numbers.values()))


def dropped(share: float, rng: np.random.Generator) -> list[Layer]:
    """Return [Dropout(share)] with a seed drawn from `rng`, or [] if the share is 0."""
    checked_numbers("Dropout", 0, 1, p=share)
    return [Dropout(share, rng=rng.integers(2**63))] if share else []
