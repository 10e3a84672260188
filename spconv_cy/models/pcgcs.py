"""PCGCv2: an autoencoder of point clouds whose decoder creates sites and keeps those that it scores highest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spconv_cy.arguments import known_arguments
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    Concatenate,
    Convolution,
    Layer,
    NetworkInNetwork,
    ReLU,
    Residual,
    ScorePruning,
    Sequential,
    SubmanifoldConvolution,
    TransposedConvolution,
)
from spconv_cy.models.blocks import Blocks, checked_list, checked_whole
from spconv_cy.types import Seed

if TYPE_CHECKING:
    from spconv_cy.tensor import SparseTensor


@known_arguments
def pcgc_encoder(channels: Sequence[int] = (1, 16, 32, 64, 32, 8), *, d: int = 3, rng: Seed = None) -> Sequential:
    """Build the encoder of PCGCv2: strided convolutions with three blocks after each, and a convolution.

    Each level is one layer of the result, so that `for level in net: x = level(x)` gives the sites of all scales, which
    the decoder needs the numbers of.

    Args:
        channels: of the input, of the first convolution, of each level, and of the result.
        d: dimension.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor with `ground=None` -> SparseTensor.

    Source: Wang et al. 2021, arXiv:2011.03799.

    >>> len(pcgc_encoder(rng=0))
    4
    """
    make = begun("pcgc_encoder", channels, 4, d, rng)
    first, base, *widths, last = channels
    levels: list[Layer] = []
    for a, b in pairwise((base, *widths)):
        conv = same(make, a if levels else first, a)
        down = Convolution(d, a, b, 2, 2, sites="cell", rng=make.rng)
        levels.append(Sequential(conv, ReLU(), down, ReLU(), *inceptions(make, b)))
    return Sequential(*levels, same(make, widths[-1], last))


class PCGCDecoder(Layer):
    """Decode coarse sites with features into fine sites: the decoder of PCGCv2.

    A level creates the sites that a transposed convolution of size and stride 2 reaches, computes features and a score
    for each, and keeps the sites with high scores.

    Args:
        channels: of the input and of each level.
        d: dimension.
        rng: seed or numpy Generator.

    Attributes:
        levels: list of Sequentials, each of which ends with a ScorePruning.

    Raises:
        ShapeError: arguments that do not fit; at the call, as for ScorePruning.

    Source: Wang et al. 2021, arXiv:2011.03799.

    >>> from spconv_cy import SparseTensor
    >>> x = SparseTensor.from_sites([[0, 1, 2, 3]], [[1.0] * 8], ground=None)
    >>> PCGCDecoder(rng=0)(x, [3, 9, 20]).grid.n
    20
    """

    def __init__(self, channels: Sequence[int] = (8, 64, 32, 16), *, d: int = 3, rng: Seed = None) -> None:
        make = begun("PCGCDecoder", channels, 2, d, rng)
        self.levels = [
            Sequential(TransposedConvolution(d, a, b, 2, 2, rng=make.rng), ReLU(), same(make, b, b), ReLU(),
                       *inceptions(make, b), ScorePruning(same(make, b, 1))) for a, b in pairwise(channels)]

    def __call__(self, x: SparseTensor, counts: Sequence[Any] | None = None) -> SparseTensor:
        """Return the finest sites with their features.

        Args:
            x: SparseTensor with ground=None.
            counts: for each level the number of sites to keep of each sample, one number or one for each sample, as
                ScorePruning's k; None: all with a score above 0.
        """
        if counts is not None and (not isinstance(counts, (list, tuple)) or len(counts) != len(self.levels)):
            raise ShapeError(expected("PCGCDecoder", f"counts to be a list of {len(self.levels)}, one for each level",
                                      repr(counts)))
        for i, level in enumerate(self.levels):
            x = level[-1](Sequential(*level[:-1])(x), k=None if counts is None else counts[i])
        return x


def begun(who: str, channels: Sequence[int], least: int, d: int, rng: Seed) -> Blocks:
    """Return Blocks for a network of a list of channels; raise ShapeError if the list does not fit."""
    checked_list(who, "channels", channels)
    if len(channels) < least:
        raise ShapeError(expected(who, f"{least} channels or more", repr(channels)))
    checked_whole(who, **{f"channels[{i}]": n for i, n in enumerate(channels)})
    inner = channels[2:-1] if least > 2 else channels[1:]
    if any(n % 4 for n in inner):
        raise ShapeError(expected(who, "channels of the levels that 4 divides", repr(channels)))
    return Blocks(d, {}, rng)


def same(make: Blocks, channels_in: int, channels_out: int) -> SubmanifoldConvolution:
    """Return a submanifold convolution of size 3 with a bias."""
    return SubmanifoldConvolution(make.d, channels_in, channels_out, 3, rng=make.rng)


def inceptions(make: Blocks, n: int) -> list[Layer]:
    """Return three blocks: two chains of convolutions of sizes 3, 3 and 1, 3, 1, concatenated, with a shortcut."""
    q, h = n // 4, n // 2
    return [Residual(Concatenate(
        Sequential(same(make, n, q), ReLU(), same(make, q, h)),
        Sequential(NetworkInNetwork(n, q, rng=make.rng), ReLU(), same(make, q, q), ReLU(),
                   NetworkInNetwork(q, h, rng=make.rng)))) for _ in range(3)]
