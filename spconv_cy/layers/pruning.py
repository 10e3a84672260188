"""Layers that leave out sites by a learnt score: all below a threshold, or all but the best k of a sample."""


from spconv_cy.autograd import multiply
from spconv_cy.checks import generator, is_integer, is_one_of
from spconv_cy.errors import ShapeError
from spconv_cy.functional.activation import sigmoid
from spconv_cy.functional.initial import glorot, zeros
from spconv_cy.functional.sparse import conv
from spconv_cy.layers.inputs import checked_channels, checked_counts, checked_sparse
from spconv_cy.layers.layer import Layer
from spconv_cy.sites.rulebook import Rulebook


class _Scored(Layer):
    def score(self, x):
        """Return the scores of the sites of x, a Tensor (n, 1), as for a loss of their own."""
        checked_sparse(self, x)
        checked_channels(self, x.channels, self.channels)
        scores = conv(x.features, self.weight, Rulebook.identity(x.grid.n), self.bias)
        return sigmoid(scores) if self.activation == "sigmoid" else scores

    def _begin(self, channels, activation, gate, rng):
        if not is_one_of(activation, ("sigmoid", None)) or not isinstance(gate, bool):
            raise ShapeError(f"{type(self).__name__}: activation {activation!r} and gate {gate!r} came; 'sigmoid' or "
                             "None, and True or False, fit")
        channels, = checked_counts(self, channels=channels)
        self.channels, self.activation, self.gate = channels, activation, gate
        self.weight, self.bias = glorot((1, channels, 1), generator(type(self).__name__, rng)), zeros((1, 1))

    def multiply_adds(self, x, y):
        """Count by rows; dense over all sites of the field."""
        dense = None if x.grid.size is None else x.grid.samples * x.grid.field * self.channels
        return x.grid.n * self.channels, x.grid.n * self.channels, dense

    def _gated(self, x, scores):
        return x.with_features(multiply(x.features, scores), x.ground) if self.gate else x


class Sparsify(_Scored):
    """Keep the sites whose learnt score is high: above 0, or above 0.5 through a sigmoid.

    Args:
        channels: of the input; the score of a site is a linear function of its row.
        activation: None or "sigmoid", of the score.
        gate: whether the rows that stay are multiplied by their scores, which is how a loss reaches the weights.
            Without it (as in SparseConvNet) only a loss on `layer.score(x)` does.
        rng: seed or numpy Generator for the weights.

    Attributes:
        weight: Tensor (1, c, 1).
        bias: Tensor (1, 1).

    Raises:
        ShapeError: at the call, other channels, or a tensor with a ground state (see SparseTensor.prune).

    Source: SparseConvNet.
    """

    def __init__(self, channels, *, activation=None, gate=True, rng=None):
        self._begin(channels, activation, gate, rng)

    def __call__(self, x):
        scores = self.score(x)
        return self._gated(x, scores).prune(scores.numpy()[:, 0] > (0.5 if self.activation == "sigmoid" else 0))


class KeepTop(_Scored):
    """Keep the k sites of each sample that have the highest learnt score; of equal ones the first in row order.

    Args:
        channels: of the input; the score of a site is a linear function of its row.
        k: how many sites of a sample stay; of a sample with fewer, all.
        activation, gate, rng, and what is raised: as for Sparsify.

    Source: Gao and Ji 2019, arXiv:1905.05178, section 3.1.
    """

    def __init__(self, channels, k, *, activation="sigmoid", gate=True, rng=None):
        if not is_integer(k) or k < 0:
            raise ShapeError(f"KeepTop: k {k!r} came; a whole number from 0 up fits")
        self.k = int(k)
        self._begin(channels, activation, gate, rng)

    def __call__(self, x):
        scores = self.score(x)
        return self._gated(x, scores).keep_top(scores, self.k)
