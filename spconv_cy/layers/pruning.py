"""Layers that remove sites by a learnt score: those below a threshold, or all but the best k of a sample."""

from __future__ import annotations

from typing import Any, NamedTuple

from spconv_cy.autograd import Tensor, multiply
from spconv_cy.checks import checked_flags, generator, is_integer, is_one_of, is_real, kind_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.functional import conv, sigmoid
from spconv_cy.functional.initial import glorot_uniform, zeros
from spconv_cy.functional.selection import best_of_segments, pruned, takes_one_call
from spconv_cy.layers.container import Sequential, branch, checked_layers
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_sparse
from spconv_cy.layers.layer import Layer
from spconv_cy.sites import Grid, Rulebook
from spconv_cy.tensor import SparseTensor
from spconv_cy.types import ArrayLike, Seed


class _Scored(Layer):
    def score(self, x: SparseTensor) -> Tensor:
        """Return the scores of the sites of x, a Tensor (n, 1), for example for a loss of their own."""
        checked_sparse(self, x)
        checked_channels(self, x.channels, self.channels)
        scores = conv(x.features, self.weight, Rulebook.identity(x.grid.n), self.bias)
        return sigmoid(scores) if self.activation == "sigmoid" else scores

    def _begin(self, channels: int, activation: str | None, gate: bool, rng: Seed) -> None:
        if not is_one_of(activation, ("sigmoid", None)) or not isinstance(gate, bool):
            raise ShapeError(expected(type(self).__name__, "activation 'sigmoid' or None and gate True or False",
                                      f"{activation!r} and {gate!r}"))
        channels, = checked_counts(self, channels=channels)
        self.channels, self.activation, self.gate = channels, activation, gate
        self.weight, self.bias = glorot_uniform((1, channels, 1), generator(type(self).__name__, rng)), zeros((1, 1))

    def multiply_adds(self, x: SparseTensor, y: SparseTensor) -> tuple[int, int, int | None]:  # type: ignore[override]
        """Return the multiply-adds that gave y for x: by rows twice, and dense over all sites of the field."""
        dense = None if x.grid.n_dense is None else x.grid.n_dense * self.channels
        return x.grid.n * self.channels, x.grid.n * self.channels, dense

    def _pruned(self, x: SparseTensor, k: int) -> SparseTensor | None:
        """Return the sites with high scores by one compiled call, as `pruned`; None where several functions do it."""
        if x.ground is not None or not takes_one_call(x.features, self.weight):
            return None
        checked_channels(self, x.channels, self.channels)
        found: list[Any] = []
        weight, bias = (self.weight, self.bias) if self.gate else (self.weight.data, self.bias.data)
        y = pruned(x.features, weight, bias, x.grid.sites, self.activation is not None, self.gate, k, found)
        if len(found[0]) == x.grid.n:
            return x.with_features(y) if self.gate else x
        return SparseTensor(y, Grid(found[1], x.grid.size, x.grid.samples, x.grid.lattice))

    def _gated(self, x: SparseTensor, scores: Tensor) -> SparseTensor:
        return x.with_features(multiply(x.features, scores), x.ground) if self.gate else x


class Sparsify(_Scored):
    """Keep the sites whose learnt score is above 0, or above 0.5 after a sigmoid.

    Args:
        channels: of the input; the score of a site is a linear function of its row.
        activation: of the score, None or "sigmoid".
        gate: whether the remaining rows are multiplied by their scores, so that a loss has gradients to the weights.
            Without it (as in SparseConvNet) only a loss on `layer.score(x)` has.
        rng: seed or numpy Generator for the weights.

    Attributes:
        weight: Tensor (1, c, 1).
        bias: Tensor (1, 1).

    Raises:
        ShapeError: at the call, other channels, or a tensor with a ground state (see SparseTensor.prune).

    Source: SparseConvNet.
    """

    def __init__(self, channels: int, *, activation: str | None = None, gate: bool = True, rng: Seed = None) -> None:
        self._begin(channels, activation, gate, rng)

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Remove the sites with low scores."""
        checked_sparse(self, x)
        found = self._pruned(x, -1)
        if found is not None:
            return found
        scores = self.score(x)
        return self._gated(x, scores).prune(scores.numpy()[:, 0] > (0.5 if self.activation == "sigmoid" else 0))


class KeepTop(_Scored):
    """Keep the k sites of each sample with the highest learnt score; of equal scores the first in row order.

    Args:
        channels: of the input; the score of a site is a linear function of its row.
        k: number of sites to keep of each sample; all if a sample has fewer.
        activation, gate, rng: as for Sparsify.

    Raises:
        ShapeError: as for Sparsify.

    Source: Gao and Ji 2019, arXiv:1905.05178, section 3.1.
    """

    def __init__(self, channels: int, k: int, *, activation: str | None = "sigmoid", gate: bool = True,
                 rng: Seed = None) -> None:
        if not is_integer(k) or k < 0:
            raise ShapeError(expected("KeepTop", "k to be a whole number from 0 up", f"{k!r}"))
        self.k = int(k)
        self._begin(channels, activation, gate, rng)

    def __call__(self, x: SparseTensor) -> SparseTensor:
        """Keep the sites with the highest scores."""
        checked_sparse(self, x)
        found = self._pruned(x, self.k)
        if found is not None:
            return found
        scores = self.score(x)
        return self._gated(x, scores).keep_top(scores, self.k)


class Pruned(NamedTuple):
    """The result of ScorePruning.scored: the pruned tensor, and the scores of all sites, a SparseTensor (n, 1)."""

    tensor: SparseTensor
    scores: SparseTensor


class ScorePruning(Layer):
    """Keep the sites whose score, which layers predict from the input, is above a threshold.

    After a TransposedConvolution this is a level of a generative decoder, as for the completion of shapes or the
    compression of point clouds.

    Args:
        layers: Layers, applied one after the other, that keep the sites and end with one channel, the score.
        threshold: of the score.
        gate: whether the remaining rows are multiplied by their scores. Without it only a loss on the scores,
            `layer.scored(x).scores`, has gradients to the layers' weights.

    Attributes:
        scorer: Sequential of the layers.

    Raises:
        ShapeError: at the call, the layers give other sites or channels, or the tensor has a ground state.

    Source: Gwak et al. 2020, arXiv:2006.12356; Wang et al. 2021, arXiv:2011.03799 (the best k).

    >>> x = SparseTensor.from_sites([[0, 1], [0, 2], [0, 3]], [[1.0], [-1.0], [-2.0]], ground=None)
    >>> prune = ScorePruning()
    >>> prune(x).sites.tolist(), prune(x, k=2).sites.tolist()
    ([[0, 1]], [[0, 1], [0, 2]])
    """

    def __init__(self, *layers: Layer, threshold: float = 0.0, gate: bool = False) -> None:
        if not is_real(threshold):
            raise ShapeError(expected("ScorePruning", "threshold to be a number", f"{threshold!r}"))
        checked_flags("ScorePruning", gate=gate)
        self.scorer, self.threshold, self.gate = Sequential(*checked_layers(self, layers)), float(threshold), gate

    def __call__(self, x: SparseTensor, *, k: int | ArrayLike | None = None, keep: Grid | None = None) -> SparseTensor:
        """Remove the sites with low scores; arguments as for `scored`."""
        return self.scored(x, k=k, keep=keep).tensor

    def scored(self, x: SparseTensor, *, k: int | ArrayLike | None = None, keep: Grid | None = None) -> Pruned:
        """Return the pruned tensor and the scores.

        Args:
            x: SparseTensor with ground=None.
            k: keep the k sites of each sample with the highest scores, one number or one for each sample; None: those
                above the threshold.
            keep: Grid of sites that are kept whatever their scores, such as the true ones in training.
        """
        checked_sparse(self, x)
        y = branch(self, "scorer", self.scorer, x, x)
        if not isinstance(y, SparseTensor) or y.grid is not x.grid or y.channels != 1:
            raise ShapeError(expected(f"{self}", "layers that keep the sites and give one channel", f"{y} for {x}"))
        found = y.features.numpy()
        mask = found[:, 0] > self.threshold if k is None else best_of_segments(found, x.grid.batch_starts, k)
        if keep is not None:
            if not isinstance(keep, Grid):
                raise TypeError(expected("ScorePruning", "keep to be a Grid", kind_of(keep)))
            mask = mask | (keep.rows_of(x.sites) >= 0)
        return Pruned((x.with_features(x.features * y.features, x.ground) if self.gate else x).prune(mask), y)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the layers and the options as they are now."""
        if type(self).__init__ is not ScorePruning.__init__:
            return super().arguments()
        options = {"threshold": self.threshold, "gate": self.gate}
        return tuple(self.scorer.layers), {name: value for name, value in options.items() if value}
