"""SPVCNN: a residual U-Net on voxels beside a network on points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spconv_cy.checks import checked_numbers
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import Dropout, Layer, NetworkInNetwork, Sequential, interpolate, splat
from spconv_cy.models.blocks import TORCH, Blocks, checked_whole
from spconv_cy.types import Seed

if TYPE_CHECKING:
    from spconv_cy.tensor import SparseTensor

SMALL = 1e-8                                                             # added to the weights' sum, as in torchsparse


class SPVCNN(Layer):
    """Label every active site: MinkUNet42 on voxels, with three linear layers on the points beside it.

    The points are the sites of the input. Where the U-Net is coarsest, half way up and at its end, its features are
    interpolated at the points and added to what a linear layer makes of the features that the points had. After the
    first two the voxels get the average of their points.

    Args:
        channels_in: channels of the input.
        classes: number of classes.
        width: factor of all channels.
        dropout: share of the numbers that are dropped before the way up and half way.
        rng: seed or numpy Generator.

    Attributes:
        stem: Sequential of two submanifold convolutions of size 3.
        down, up, after: lists of the Sequentials of each level: a strided convolution and two blocks; a Deconvolution;
            two blocks after the concatenation.
        points: list of the three Sequentials of the points.
        classifier: NetworkInNetwork.

    Raises:
        ShapeError: arguments that do not fit; at the call, an input with a ground state.

    Source: Tang et al. 2020, arXiv:2007.16100.

    >>> SPVCNN(4, 19, rng=0).n_parameters()
    21778003
    """

    PLANES: ClassVar = (32, 32, 64, 128, 256, 256, 128, 96, 96)          # the stem, four levels down, four levels up

    def __init__(self, channels_in: int = 4, classes: int = 19, *, width: float = 1.0, dropout: float = 0.3,
                 rng: Seed = None) -> None:
        channels_in, classes = checked_whole("SPVCNN", channels_in=channels_in, classes=classes)
        checked_numbers("SPVCNN", 1 / 32, 2**10, width=width)
        checked_numbers("SPVCNN", 0, 1, dropout=dropout)
        base, *planes = (int(width * n) for n in self.PLANES)
        make = Blocks(3, TORCH, rng)
        below, above, sides = [base, *planes[:3]], planes[4:], [*planes[2::-1], base]
        self.stem = Sequential(*make.submanifold(channels_in, base), *make.submanifold(base, base))
        self.down = [Sequential(*make.halved(a, a), *make.chain(a, b, 2))
                     for a, b in zip(below, planes[:4], strict=True)]
        self.up = [Sequential(*make.restored(a, b)) for a, b in zip(planes[3:7], above, strict=True)]
        self.after = [Sequential(*make.chain(b + side, b, 2)) for b, side in zip(above, sides, strict=True)]
        self.points = [Sequential(*make.activated(NetworkInNetwork(a, b, rng=make.rng)))
                       for a, b in ((base, planes[3]), (planes[3], above[1]), (above[1], above[3]))]
        self.dropout = Dropout(dropout, kind="elements", inverted=True,
                               rng=None if make.rng is None else make.rng.integers(2**63))
        self.classifier = NetworkInNetwork(above[3], classes, rng=make.rng)

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Return the scores of the classes at the sites of x."""
        if getattr(x, "ground", None) is not None:
            raise ShapeError(expected("SPVCNN", "a tensor with ground=None", f"{x} with a ground state",
                                      "begin with ground=None (from_sites, from_points, from_dense)"))
        z: Any = self.stem(x)
        scales: list[Any] = [z]
        for level in self.down:
            scales.append(level(scales[-1]))
        y = scales.pop()
        for i, (up, after) in enumerate(zip(self.up, self.after, strict=True)):
            if i in (0, 2):                                              # at strides 16 and 4
                z = self._at_points(y, z, 16 >> i, i // 2)
                y = self.dropout(splat(z.sites, z.features, cell=16 >> i, kind="nearest", reduce="mean", grid=y.grid,
                                       ground=None))
            restored: Any = up(y)
            y = after(restored.concatenate(scales.pop()))
        return self.classifier(self._at_points(y, z, 1, 2))              # type: ignore[no-any-return]

    def _at_points(self, y: SparseTensor, z: SparseTensor, stride: int, i: int) -> SparseTensor:
        """Return the points z with the features of y there, and what the i-th linear layer makes of their own."""
        rest: Any = self.points[i](z)
        if stride == 1:
            return z.with_features(y.features + rest.features)
        # torchsparse divides by the sum of the weights and a small number, which counts where one corner is alone.
        ones = y.with_features(np.ones((y.grid.n, 1), y.features.dtype))
        found, weights = (interpolate(part, z.sites, cell=stride, centre=0.0) for part in (y, ones))
        return z.with_features(found * (1 / (weights.data + SMALL)) + rest.features)
