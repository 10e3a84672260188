"""A sparse autoencoder: each sample becomes one short code, from which a decoder creates the sites again."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional import gather, mse, softmax_cross_entropy
from spconv_cy.layers import Convolution, GlobalPooling, Layer, NetworkInNetwork, Sequential, TransposedConvolution
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.models.blocks import Blocks, checked_whole
from spconv_cy.sites.grid import Grid
from spconv_cy.tensor import SparseTensor, Tensor, as_tensor
from spconv_cy.types import ArrayLike, IntegerArray, Seed


class Reconstruction(NamedTuple):
    """The result of an Autoencoder.

    Attributes:
        code: Tensor (b, code).
        y: the reconstructed SparseTensor, with the field and the channels of the input.
        scores: for each level, coarse to fine, Tensor (n, 2): the scores of "no site" and "site".
        truths: for each level, (n,) whole numbers, 1 where the input has a site.
        source: the input.
    """

    code: Tensor
    y: SparseTensor
    scores: list[Tensor]
    truths: list[IntegerArray]
    source: SparseTensor


class Autoencoder(Layer):
    """Encode each sample as a row of `code` numbers, and decode rows into sites and their features.

    The encoder goes down to one site per sample by submanifold and strided convolutions. The decoder does not know the
    sites of the input. Its transposed convolutions create every site that a window touches, two scores at each level
    say which of them exist, and the others are pruned. In training the sites of the input are always kept, because the
    finer levels cannot learn a site that a coarser level has pruned.

    Args:
        levels: number of levels of stride 2, 1 or more.
        base: channels of the first level; level i, counted from 0, has (i + 1) * base.
        code: length of a code.
        channels_in: channels of the input.
        d: dimension.
        size: sites along each axis at the coarsest level; the field has size * 2^levels.
        rng: seed or numpy Generator.

    Raises:
        ShapeError: arguments that are not whole numbers from 1 up; in calls, a tensor with another field or other
            channels, or codes of another length.

    Source: the decoder of Tatarchenko et al. 2017, arXiv:1703.09438, with MinkowskiEngine's pruning, which also keeps
    the true sites in training.

    >>> net = Autoencoder(2, 4, code=8, rng=0).eval()
    >>> x = SparseTensor.from_sites([[0, 3, 4], [1, 5, 5]], [[1.0], [0.5]], 16, samples=2)
    >>> found = net(x)
    >>> found.code.shape, found.y.grid.size, net.decode(found.code).grid.n == found.y.grid.n
    ((2, 8), (16, 16), True)
    """

    def __init__(self, levels: int, base: int, code: int, channels_in: int = 1, *, d: int = 2, size: int = 4,
                 rng: Seed = None) -> None:
        levels, base, code, channels_in, d, size = checked_whole(
            "Autoencoder", levels=levels, base=base, code=code, channels_in=channels_in, d=d, size=size)
        make, widths = Blocks(d, {"debias": False}, rng), [base * (i + 1) for i in range(levels + 1)]
        self.field = (size * 2**levels,) * d
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.stem = Sequential(*make.submanifold(channels_in, base))
        self.down = [Sequential(*make.halved(fine, coarse), *make.submanifold(coarse, coarse))
                     for fine, coarse in steps]
        self.to_code = Sequential(Convolution(d, widths[-1], code, size, rng=make.rng), GlobalPooling())
        # The first creates the coarsest level from the one site of a code; the others double the sites along each axis.
        shapes = [(code, widths[-1], size, 1), *((coarse, fine, 2, 2) for fine, coarse in reversed(steps))]
        self.up = [Sequential(*make.activated(TransposedConvolution(d, below, width, side, stride, bias=False,
                                                                    rng=make.rng)),
                              *make.submanifold(width, width)) for below, width, side, stride in shapes]
        self.occupied = [NetworkInNetwork(width, 2, rng=make.rng) for _, width, _, _ in shapes]
        self.features = NetworkInNetwork(base, channels_in, rng=make.rng)

    def __call__(self, x: SparseTensor) -> Reconstruction:  # type: ignore[override]
        """Return the Reconstruction of a SparseTensor with this field; its ground state is taken as zero."""
        code, grids = self._encoded(x)
        y, scores, truths = self._decoded(code, grids)
        return Reconstruction(code, y, scores, truths, x)

    def encode(self, x: SparseTensor) -> Tensor:
        """Return the codes (b, code) of a SparseTensor with this field; the code of an empty sample is zero."""
        return self._encoded(x)[0]

    def decode(self, code: Tensor | ArrayLike) -> SparseTensor:
        """Return the SparseTensor that is decoded from codes (b, code)."""
        code = code if isinstance(code, Tensor) else as_tensor(as_array("Autoencoder", code))
        numbers = cast(Convolution, self.up[0].layers[0]).channels_in
        if len(code.shape) != 2 or code.shape[1] != numbers:
            raise ShapeError(expected("Autoencoder", f"codes (b, {numbers})", code.shape))
        return self._decoded(code, None)[0]

    def _encoded(self, x: SparseTensor) -> tuple[Tensor, list[Grid]]:
        checked_sparse(self, x)
        if x.grid.size != self.field:
            raise ShapeError(expected("Autoencoder", f"a field of size {self.field}", x))
        x = _sparse(self.stem, SparseTensor(x.features, x.grid))
        grids = [x.grid]
        for layer in self.down:
            x = _sparse(layer, x)
            grids.append(x.grid)
        return cast(Tensor, self.to_code(x)), grids[::-1]

    def _decoded(self, code: Tensor,
                 grids: list[Grid] | None) -> tuple[SparseTensor, list[Tensor], list[IntegerArray]]:
        """Return (y, scores, truths); grids: those of the input, coarse to fine, or None if they are not known."""
        samples, d = len(code), len(self.field)
        sites = np.zeros((samples, d + 1), np.int32)
        sites[:, 0] = np.arange(samples)
        y = SparseTensor.from_sites(sites, code, 1, samples, ground=None)
        scores: list[Tensor] = []
        truths: list[IntegerArray] = []
        for level, (layer, occupied) in enumerate(zip(self.up, self.occupied, strict=True)):
            y = _sparse(layer, y)
            score = _sparse(occupied, y).features
            keep = score.numpy()
            keep = keep[:, 1] > keep[:, 0]
            if grids is not None:
                truth = grids[level].rows_of(y.sites) >= 0
                scores.append(score)
                truths.append(truth.astype(np.int64))
                keep = keep | truth if self.training else keep
            y = y.prune(keep)
        return _sparse(self.features, y), scores, truths


def _sparse(layer: Layer, x: SparseTensor) -> SparseTensor:
    return cast(SparseTensor, layer(x))


@known_arguments
def reconstruction_loss(found: Reconstruction, labels: object = None) -> Tensor:
    """Return the loss of a Reconstruction, shape (): cross-entropies of the sites plus the squared error of features.

    The cross-entropy is that of each level's scores. The squared error is the mean at those sites of the input that
    were created, in training all of them.

    Args:
        found: Reconstruction.
        labels: ignored; `fit` passes them to every loss.

    Raises:
        TypeError: `found` is no Reconstruction.
    """
    if not isinstance(found, Reconstruction):
        raise TypeError(expected("reconstruction_loss", "the Reconstruction that an Autoencoder returns",
                                 kind_of(found)))
    rows = found.y.grid.rows_of(found.source.sites)
    there = np.flatnonzero(rows >= 0)
    loss = mse(gather(found.y.features, rows[there]), gather(found.source.features, there))
    for score, truth in zip(found.scores, found.truths, strict=True):
        loss = loss + softmax_cross_entropy(score, truth)
    return loss
