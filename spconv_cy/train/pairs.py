"""What training takes as data: batches that know their epochs, or a plain list of (x, labels) pairs."""

import numpy as np

from spconv_cy.checks import as_array


class Pairs:
    """A list of (x, labels) pairs, each a batch; in training their order is drawn anew for each epoch."""

    def __init__(self, pairs, who="data"):
        self.pairs = pairs
        for _, labels in pairs:
            if labels is not None and not as_array(f"{who}: labels", labels).ndim:
                raise TypeError(f"{who}: {labels!r} came as the labels of a batch; one for each sample fits, or None")

    def __len__(self):
        return sum(_samples(x) if labels is None else len(labels) for x, labels in self.pairs)

    def epoch(self, epoch, seed=0, *, training):
        """Yield the pairs."""
        order = range(len(self.pairs))
        if training:
            order = np.random.default_rng((seed, epoch)).permutation(len(self.pairs))
        for i in order:
            yield self.pairs[i]


def as_batches(data, who):
    """Return an object with `len` (samples) and `epoch(epoch, seed, training=)`.

    Raises:
        TypeError: neither such an object nor a list of pairs.
        ValueError: no samples.
    """
    if not hasattr(data, "epoch"):
        if not isinstance(data, (list, tuple)) or not all(isinstance(pair, (list, tuple)) and len(pair) == 2
                                                          for pair in data):
            raise TypeError(f"{who}: a {type(data).__name__} came; StrokeBatches, TensorBatches, or a list of (x, "
                            "labels) pairs fit, such as [(x, labels)]")
        data = Pairs(list(data), who)
    if not len(data):
        raise ValueError(f"{who}: no samples came; at least one fits")
    return data


def _samples(x):
    return x.grid.samples if hasattr(x, "grid") else len(x)
