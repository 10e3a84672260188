"""Channel attention: the rows of each sample are multiplied by a row that is computed from the whole sample."""

from __future__ import annotations

import math

import numpy as np

from spconv_cy.checks import generator, is_integer, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional import conv, gather, global_pool, glorot_uniform, reshape, sigmoid
from spconv_cy.layers.activation import ReLU, Sigmoid
from spconv_cy.layers.container import Sequential, branch, checked_layers
from spconv_cy.layers.convolution import NetworkInNetwork
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_sparse
from spconv_cy.layers.layer import Layer, WorkingMemory
from spconv_cy.layers.pooling import GlobalPooling
from spconv_cy.layers.restoring import refuse_ground
from spconv_cy.sites import Grid, Window
from spconv_cy.tensor import SparseTensor, Tensor
from spconv_cy.types import Seed


class _SampleScaled(Layer):
    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Multiply the rows of each sample by a row of its own."""
        checked_sparse(self, x)
        refuse_ground(self, x, "each sample has factors of its own")
        factors = self.factors(x)
        if not isinstance(factors, Tensor) or factors.shape not in [(x.grid.samples, n) for n in (1, x.channels)]:
            raise ShapeError(expected(f"{self}", f"layers that give a Tensor ({x.grid.samples}, 1 or {x.channels}), a "
                                      "row for each sample", f"{kind_of(factors)} {getattr(factors, 'shape', '')}",
                                      "begin the layers with a GlobalPooling"))
        samples = np.repeat(np.arange(x.grid.samples), np.diff(x.grid.batch_starts))
        return x.with_features(x.features * gather(factors, samples))

    def factors(self, x: SparseTensor) -> Tensor:
        """Return the factors of the samples of x, a Tensor (b, c) or (b, 1)."""
        raise NotImplementedError


class SampleScale(_SampleScaled):
    """Multiply the rows of each sample by a row that layers compute from the input: x * f(x).

    Args:
        layers: Layers, applied one after the other, that make of a SparseTensor one row for each sample, such as
            GlobalPooling(), NetworkInNetwork(c, c), Sigmoid(). Rows of one number scale all channels alike.

    Attributes:
        gate: Sequential of the layers.

    Raises:
        ShapeError: at the call, the layers give something else, or the input has a ground state: each sample would
            have another one.

    Source: Hu et al. 2018, arXiv:1709.01507; MinkowskiEngine (broadcast multiplication).
    """

    def __init__(self, *layers: Layer) -> None:
        self.gate = Sequential(*checked_layers(self, layers))

    @property
    def working_memory(self) -> WorkingMemory | None:  # type: ignore[override]
        """WorkingMemory where the layers begin with a GlobalPooling; None: they may take any amount."""
        return WorkingMemory(out=1.1) if type(next(iter(self.gate.layers), None)) is GlobalPooling else None

    def factors(self, x: SparseTensor) -> Tensor:
        """Return what the layers give for x."""
        return branch(self, "gate", self.gate, x, x)  # type: ignore[no-any-return]

    def arguments(self) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return the layers as they are now or, for a subclass with its own constructor, that one's arguments."""
        return (tuple(self.gate.layers), {}) if type(self).__init__ is SampleScale.__init__ else super().arguments()


class SqueezeExcitation(SampleScale):
    """Multiply each channel of a sample by a number from 0 to 1, which two linear layers compute from the averages.

    The factors are sigmoid(W2 relu(W1 a + b1) + b2), where a is the average over the active sites of the sample.

    Args:
        channels: of the input.
        reduction: the first linear layer has channels // reduction outputs, at least 1.
        rng: seed or numpy Generator for the weights.

    Attributes:
        gate: Sequential; gate[1] and gate[3] are the linear layers.

    Raises:
        ShapeError: arguments do not fit; at the call, other channels or an input with a ground state.

    Source: Hu et al. 2018, arXiv:1709.01507.
    """

    def __init__(self, channels: int, reduction: int = 16, *, rng: Seed = None) -> None:
        channels, reduction = checked_counts(self, channels=channels, reduction=reduction)
        rng, inner = generator("SqueezeExcitation", rng), max(1, channels // reduction)
        super().__init__(GlobalPooling(), NetworkInNetwork(channels, inner, rng=rng), ReLU(),
                         NetworkInNetwork(inner, channels, rng=rng), Sigmoid())


class EfficientChannelAttention(_SampleScaled):
    """Multiply each channel of a sample by a number from 0 to 1, computed from the averages of neighbouring channels.

    The factors are the sigmoid of a convolution of the averages along the channels, with one filter and zeros beyond
    the first and the last channel.

    Args:
        channels: of the input.
        size: of the filter, an odd number; None: by the rule of the paper, which grows with log2(channels).
        rng: seed or numpy Generator for the weight.

    Attributes:
        weight: Tensor (size, 1, 1).

    Raises:
        ShapeError: arguments do not fit; at the call, other channels or an input with a ground state.

    Source: Wang et al. 2020, arXiv:1910.03151 (ECA-Net).

    >>> [EfficientChannelAttention(channels).size for channels in (16, 64, 256)]
    [3, 3, 5]
    """

    working_memory = WorkingMemory(out=1.1)

    def __init__(self, channels: int, size: int | None = None, *, rng: Seed = None) -> None:
        self.channels, = checked_counts(self, channels=channels)
        if size is None:
            size = int((math.log2(self.channels) + 1) / 2) | 1
        if not is_integer(size) or size < 1 or size % 2 == 0:
            raise ShapeError(expected("EfficientChannelAttention", "size to be an odd number from 1 up", f"{size!r}"))
        self.size = int(size)
        self.weight = glorot_uniform((self.size, 1, 1), generator("EfficientChannelAttention", rng))

    def factors(self, x: SparseTensor) -> Tensor:
        """Return the factors of the samples of x, a Tensor (b, c)."""
        checked_channels(self, x.channels, self.channels)
        shape = x.grid.samples, self.channels
        means = global_pool(x.features, None, x.grid.batch_starts)
        sites = np.ascontiguousarray(np.indices(shape, np.int32).reshape(2, -1).T)
        _, rulebook = Grid.from_sites(sites, self.channels, x.grid.samples).rules(Window(1, self.size, 1, 1, 0,
                                                                                         "submanifold"))
        return sigmoid(reshape(conv(reshape(means, (-1, 1)), self.weight, rulebook, None), shape))

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:  # type: ignore[override]
        """Return the multiply-adds that gave y for x: those of the convolution along the channels, three times."""
        return (x.grid.samples * self.channels * self.size,) * 3
