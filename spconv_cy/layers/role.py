"""Properties that layers declare, from which the plan of a network is made."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Flag, auto
from typing import Any, NamedTuple, Protocol

import numpy as np


class Role(Flag):
    """Properties of a layer that a container may rely on, given by its attribute `role`, which may be a property.

    A role describes how the class computes. A subclass that overrides `__call__`, `activated` or `rows` without setting
    `role` has `Role.NONE`, whatever the role of its base class: it is always called on its own, with all channels.

    Attributes:
        NONE: nothing is known; the layer is called with all channels.
        CHANNELWISE: each output channel depends only on the same input channel, and zeros give zeros, so the layer can
            run on a subset of the channels.
        ACTIVATES: `activated(x, slope)` returns the result through a leaky ReLU of that slope in the same pass.
        MIXES: channels are combined only by `weight` (k, c, o) and `bias` (1, o) or None, so a copy with some of their
            rows and columns, and with `channels_in` and `channels_out` set accordingly, is a valid layer.
        LEAKY: a leaky ReLU of slope `slope`.
        DROPS: dropout of whole channels: in training `draw(c)` returns those that are kept, which are multiplied by
            `factor`.
        NORMALIZES: batch normalisation of `channels` channels, which a layer that `fuses` computes with its own result.
        PICKS: each result is one of the inputs, the greatest, and `activated(x, slope)` is there. An activation before
            it is computed after it, on fewer rows.

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
    NORMALIZES = auto()
    PICKS = auto()


class WorkingMemory(NamedTuple):
    """What a call in evaluation mode takes at most beside its input and its result; `working_memory` of a layer is one.

    It is told in parts of the bytes of rows, so that `frozen.memory` of a frozen network is known before a call.

    Attributes:
        out: times the bytes of the rows out.
        given: times the bytes of the rows in.
        each: bytes for each row in.
        ground: times the bytes of the rows out, more, where the input has a ground state.
        chained: whether the result is computed by several operations of numpy, each of which reads the one before.
            Below 256 KB numpy writes each into memory of its own: once the rows out more.

    >>> WorkingMemory(out=1.5)
    WorkingMemory(out=1.5, given=0.0, each=0, ground=0.0, chained=False)
    """

    out: float = 0.0
    given: float = 0.0
    each: int = 0
    ground: float = 0.0
    chained: bool = False


class Planned(Protocol):
    """The attributes of a layer that the plan of a network reads."""

    training: bool
    fuses: bool

    @property
    def role(self) -> Role:
        """Return what may be assumed of the layer."""

    def generators(self) -> dict[str, np.random.Generator]:
        """Return the generators that a call draws from."""

    def plan(self) -> Iterable[Any]:
        """Return the plan of the layer itself."""
