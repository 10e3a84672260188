"""The sparse autoencoder: each sample becomes one short code, from which a decoder creates the sites anew."""

from typing import NamedTuple

import numpy as np

from spconv_cy.autograd import Tensor
from spconv_cy.checks import as_array
from spconv_cy.errors import ShapeError
from spconv_cy.functional.dense import as_tensor
from spconv_cy.functional.loss import mse, softmax_cross_entropy
from spconv_cy.functional.sparse import gather
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork
from spconv_cy.layers.inputs import checked_sparse
from spconv_cy.layers.layer import Layer
from spconv_cy.layers.pooling import GlobalPooling
from spconv_cy.layers.transposed import TransposedConvolution
from spconv_cy.models.blocks import Blocks, checked_whole
from spconv_cy.tensor import SparseTensor


class Reconstruction(NamedTuple):
    """What an Autoencoder made of its input.

    Attributes: code: Tensor (b, code); y: the SparseTensor that came back, of the input's field and channels; scores:
        of each level, coarse to fine, Tensor (n, 2): no site, site; truths: of each level (n,) whole numbers, 1 where
        the input has a site; source: the input.
    """

    code: Tensor
    y: SparseTensor
    scores: list
    truths: list
    source: SparseTensor


class Autoencoder(Layer):
    """Encode samples as rows of `code` numbers, and decode rows into sites and their features.

    The encoder goes down by submanifold convolutions and strided ones to one site a sample. The decoder is never told
    the sites: its transposed convolutions create all that windows touch, at each level two planes say which of them
    there are, and the rest is pruned. In training what the input has stays too, else a site that was missed at a coarse
    level could not be learnt at the finer ones.

    Args:
        levels: of stride 2, 1 or more.
        base: channels of the first level; level i has (i + 1) * base.
        code: numbers in a code.
        channels_in: of the input.
        d: dimension.
        size: sites an axis of the deepest level; the field is size * 2^levels.
        rng: seed or numpy Generator.

    Raises:
        ShapeError: arguments that are not whole numbers from 1 up; at the calls, a tensor of another field or of
            other channels, codes of another length.

    Source: the decoder of Tatarchenko et al. 2017, arXiv:1703.09438, with MinkowskiEngine's pruning; the union with the
    true sites in training as there.

    >>> net = Autoencoder(2, 4, code=8, rng=0).eval()
    >>> x = SparseTensor.from_sites([[0, 3, 4], [1, 5, 5]], [[1.0], [0.5]], size=16)
    >>> found = net(x)
    >>> found.code.shape, found.y.grid.size, net.decode(found.code).grid.n == found.y.grid.n
    ((2, 8), (16, 16), True)
    """

    def __init__(self, levels, base, code, channels_in=1, *, d=2, size=4, rng=None):
        levels, base, code, channels_in, d, size = checked_whole(
            "Autoencoder", levels=levels, base=base, code=code, channels_in=channels_in, d=d, size=size)
        make, widths = Blocks(d, {"debias": False}, rng), [base * (i + 1) for i in range(levels + 1)]
        self.field = (size * 2**levels,) * d
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.stem = Sequential(*make.submanifold(channels_in, base))
        self.down = [Sequential(*make.halved(fine, coarse), *make.submanifold(coarse, coarse))
                     for fine, coarse in steps]
        self.to_code = Sequential(Convolution(d, widths[-1], code, size, rng=make.rng), GlobalPooling())
        # A size of its own for the first, since a code is one site; then twice as many sites an axis each time.
        shapes = [(code, widths[-1], size, 1), *((coarse, fine, 2, 2) for fine, coarse in reversed(steps))]
        self.up = [Sequential(*make.activated(TransposedConvolution(d, came, width, side, stride, bias=False,
                                                                    rng=make.rng)),
                              *make.submanifold(width, width)) for came, width, side, stride in shapes]
        self.occupied = [NetworkInNetwork(width, 2, rng=make.rng) for _, width, _, _ in shapes]
        self.features = NetworkInNetwork(base, channels_in, rng=make.rng)

    def __call__(self, x):
        """Return the Reconstruction of a SparseTensor of the field; its ground state is taken as zero."""
        code, grids = self._encoded(x)
        return Reconstruction(code, *self._decoded(code, grids), x)

    def encode(self, x):
        """Return the codes (b, code) of a SparseTensor of the field; of a sample without sites zeros."""
        return self._encoded(x)[0]

    def decode(self, code):
        """Return the SparseTensor that codes (b, code), a Tensor or array, stand for."""
        code = code if isinstance(code, Tensor) else as_tensor(as_array("Autoencoder", code))
        numbers = self.up[0][0].channels_in
        if len(code.shape) != 2 or code.shape[1] != numbers:
            raise ShapeError(f"Autoencoder: codes {code.shape} came; (b, {numbers}) fit")
        return self._decoded(code, None)[0]

    def _encoded(self, x):
        checked_sparse(self, x)
        if x.grid.size != self.field:
            raise ShapeError(f"Autoencoder: {x} came; a field of {self.field} fits")
        x = self.stem(SparseTensor(x.features, x.grid))
        grids = [x.grid]
        for layer in self.down:
            x = layer(x)
            grids.append(x.grid)
        return self.to_code(x), grids[::-1]

    def _decoded(self, code, grids):
        """Return (y, scores, truths); the grids of the input, coarse to fine, or None: they are not known."""
        samples, d = len(code), len(self.field)
        sites = np.zeros((samples, d + 1), np.int32)
        sites[:, 0] = np.arange(samples)
        y, scores, truths = SparseTensor.from_sites(sites, code, 1, samples, ground=None), [], []
        for level, (layer, occupied) in enumerate(zip(self.up, self.occupied, strict=True)):
            y = layer(y)
            score = occupied(y).features
            keep = score.numpy()
            keep = keep[:, 1] > keep[:, 0]
            if grids is not None:
                truth = grids[level].rows_of(y.sites) >= 0
                scores.append(score)
                truths.append(truth.astype(np.int64))
                keep = keep | truth if self.training else keep
            y = y.prune(keep)
        return self.features(y), scores, truths


def reconstruction_loss(found, labels=None):
    """Return the loss of a Reconstruction, shape (): the cross-entropy of each level's sites, plus a squared error.

    The squared error is that of the features at the input's own sites, as far as they were created (in training all).
    As a loss for `fit` it takes labels and does not look at them.
    """
    if not isinstance(found, Reconstruction):
        raise TypeError(f"reconstruction_loss: a {type(found).__name__} came; the Reconstruction that an Autoencoder "
                        "gives fits")
    rows = found.y.grid.rows_of(found.source.sites)
    there = np.flatnonzero(rows >= 0)
    loss = mse(gather(found.y.features, rows[there]), gather(found.source.features, there))
    for score, truth in zip(found.scores, found.truths, strict=True):
        loss = loss + softmax_cross_entropy(score, truth)
    return loss
