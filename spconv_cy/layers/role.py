"""What a layer tells about itself, from which the plan of a network is made."""

from collections.abc import Iterable
from enum import Flag, auto
from typing import Any, Protocol

import numpy as np


class Role(Flag):
    """What a container may assume of a layer. A layer says it in its attribute `role`, a class attribute or a property.

    A role describes how the class computes. A subclass that defines `__call__`, `activated` or `rows` again, but no
    `role`, has `Role.NONE`: it is called as it is, whatever its base says.

    Attributes:
        NONE: nothing is known; the layer is called with all channels.
        CHANNELWISE: each channel is computed by itself, and zeros give zeros, so that the layer can run on some of the
            channels.
        ACTIVATES: `activated(x, slope)` returns the result through a leaky ReLU of that slope in the same pass.
        MIXES: channels are combined in `weight` (k, c, o) and `bias` (1, o) or None alone, so that a copy with some of
            their rows and columns, `channels_in` and `channels_out` is a layer too.
        LEAKY: a leaky ReLU of slope `slope`.
        DROPS: dropout of whole channels: in training `draw(c)` returns those that are kept, which are multiplied by
            `factor`.

    >>> from spconv_cy.layers.activation import ReLU
    >>> ReLU().role == Role.CHANNELWISE | Role.LEAKY
    True
    """

    NONE = 0
    CHANNELWISE = auto()
    ACTIVATES = auto()
    MIXES = auto()
    LEAKY = auto()
    DROPS = auto()


class Planned(Protocol):
    """What the plan of a network reads of each of its layers."""

    training: bool

    @property
    def role(self) -> Role:
        """Return what may be assumed of the layer."""

    def generators(self) -> dict[str, np.random.Generator]:
        """Return the generators that a call draws from."""

    def plan(self) -> Iterable[Any]:
        """Return the plan of the layer itself."""
