"""Evaluation of a network: losses, errors and probabilities of samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import no_grad
from spconv_cy.checks import as_array, is_integer, kind_of
from spconv_cy.distributed.ranks import Ranks, ranks_of
from spconv_cy.distributed.shards import check_same, shard
from spconv_cy.errors import expected
from spconv_cy.functional import softmax, softmax_cross_entropy
from spconv_cy.layers.evaluating import evaluating
from spconv_cy.layers.layer import Layer
from spconv_cy.train import metrics
from spconv_cy.train.batch_list import as_batches
from spconv_cy.train.counted_loss import CountedLoss, are_classes, on_host, outputs_of, rows_of
from spconv_cy.train.progress import Progress, checked_progress, show_evaluation
from spconv_cy.train.random_state import run_seed

if TYPE_CHECKING:
    from spconv_cy.functional.labels import IgnoredLabels
    from spconv_cy.train.batch_list import BatchSource, Data
    from spconv_cy.train.counted_loss import Loss
    from spconv_cy.types import Array, FloatArray, IntegerArray


@known_arguments
@dataclass(frozen=True, repr=False)
class Evaluation:
    """The outputs of a network for labelled samples, their loss and their errors.

    Errors are fractions from 0 to 1, and None where the labels are not class numbers or none of them counts.

    Attributes:
        loss: mean loss.
        error: fraction of wrong classes.
        outputs: (n, o), probabilities where labels are class numbers.
        labels: (n,).
        errors: entry i is the error of the mean probabilities of the first i + 1 passes; the last entry is `error`.
        ignore_label: labels that do not count; outputs and labels contain their samples.
    """

    loss: float
    error: float | None
    outputs: Array
    labels: Array
    errors: tuple[float | None, ...] = ()
    ignore_label: IgnoredLabels = None

    @property
    def confusion(self) -> IntegerArray:
        """Counts (classes, classes): how often a sample of the row's class was predicted as the column's class."""
        return metrics.confusion_matrix(self.outputs.argmax(1), self.labels, self.outputs.shape[1],
                                        ignore_label=self.ignore_label)

    @property
    def iou(self) -> FloatArray:
        """Intersection over union (classes,); NaN for a class that is ignored, or is neither there nor predicted."""
        return metrics.intersection_over_union(self.confusion, ignore_label=self.ignore_label)

    def __repr__(self) -> str:
        n = self.labels.shape[:1] if hasattr(self.labels, "shape") else (len(self.labels),)
        first = f"Evaluation: loss {self.loss:.4f}"
        if self.error is None:
            return (f"{first}, {n[0]} samples\n  outputs {self.outputs.shape}, labels {self.labels.shape}\n"
                    "  no error: the labels are not class numbers, or none of them counts")
        confusion = self.confusion
        counted, right = confusion.sum(1), np.diag(confusion)
        wrong = confusion - np.diag(right)
        hard = [i for i in np.argsort(-wrong.sum(1) / np.maximum(counted, 1), kind="stable")[:3] if wrong[i].sum()]
        pairs = [divmod(int(i), len(wrong)) for i in np.argsort(-wrong.ravel(), kind="stable")[:3] if wrong.flat[i]]
        return (f"{first}, error {100 * self.error:.2f} % of {counted.sum()} samples, mean IoU "
                f"{100 * metrics.mean_iou(confusion, ignore_label=self.ignore_label):.1f} %\n  worst classes: "
                + (", ".join(f"{i} ({100 * wrong[i].sum() / counted[i]:.1f} %)" for i in hard) or "none")
                + "\n  most often confused: "
                + (", ".join(f"{row} taken for {column} ({wrong[row, column]})" for row, column in pairs) or "none"))


@known_arguments
def evaluate(net: Layer, data: Data, repeats: int = 1, *, loss: Loss = softmax_cross_entropy,
             progress: bool | int = False, rng: int | np.random.Generator | None = 0,
             ignore_label: IgnoredLabels = None, ranks: bool | Ranks = False) -> Evaluation:
    """Return the loss, the error and the outputs of a network in evaluation mode; data are not augmented.

    Args:
        net: Layer.
        data: as for fit.
        repeats: number of passes whose probabilities are averaged, for networks that draw random numbers in evaluation
            mode, such as those with fractional max-pooling, and for data that change from pass to pass, such as
            `StrokeBatches(views=)`.
        loss: as for fit; the Evaluation's loss is the mean over the passes.
        progress: show a bar.
        rng: seed or numpy Generator for the numbers that the network draws; None: different numbers at each call. The
            random states of the layers are restored afterwards.
        ignore_label: as for fit; these samples are left out of the Evaluation's loss, error, confusion and iou.
        ranks: True under mpiexec: each process evaluates its share of the batches, and all return the whole Evaluation,
            with the samples in the order of the data. Or Ranks.

    Returns:
        Evaluation. Its `errors` show how the error depends on the number of passes.

    Raises:
        ValueError, TypeError: arguments that do not fit, or data without samples.

    Source: Graham 2014, arXiv:1412.6071, section 4.
    """
    count = CountedLoss("evaluate", loss, ignore_label)
    batches = as_batches(data, "evaluate")
    outputs, labels, value, errors = _run("evaluate", net, batches, repeats, count, progress, rng,
                                          ranks=ranks_of("evaluate", ranks))
    return Evaluation(value, errors[-1], outputs, labels, errors, ignore_label)


@known_arguments
def predict_probabilities(net: Layer, data: Data, repeats: int = 1, *, progress: bool | int = False,
                          rng: int | np.random.Generator | None = 0) -> FloatArray:
    """Return the class probabilities (n, classes) of samples.

    Args:
        net, data, repeats, progress, rng: as for evaluate; labels may be None.
    """
    who = "predict_probabilities"
    return _run(who, net, as_batches(data, who), repeats, None, progress, rng)[0]


@known_arguments
def predict_outputs(net: Layer, data: Data, repeats: int = 1, *, progress: bool | int = False,
                    rng: int | np.random.Generator | None = 0) -> FloatArray:
    """Return the outputs (n, o) of a network for samples, without a softmax, such as an embedding.

    Args:
        net, data, progress, rng: as for evaluate; labels may be None.
        repeats: number of passes whose outputs are averaged, as for evaluate.
    """
    who = "predict_outputs"
    return _run(who, net, as_batches(data, who), repeats, None, progress, rng, as_shares=False)[0]


def _run(who: str, net: Layer, data: BatchSource, repeats: int, count: CountedLoss | None, progress: bool | int,
         rng: int | np.random.Generator | None, as_shares: bool = True,
         ranks: Ranks | None = None) -> tuple[Array, Any, float, tuple[Any, ...]]:
    """Return (outputs, labels, loss, errors); with `as_shares`, outputs of classes are probabilities."""
    if not isinstance(net, Layer):
        raise TypeError(expected(who, "net to be a Layer", kind_of(net)))
    shown = checked_progress(who, progress)
    if not is_integer(repeats) or repeats < 1:
        raise ValueError(expected(who, "repeats to be a whole number from 1 up", f"{repeats!r}"))
    ranks = ranks_of(who, False) if ranks is None else ranks
    check_same(who, ranks, data, repeats=repeats)
    seed = ranks.broadcast(run_seed(who, rng))
    with evaluating(net):
        before = {generator: generator.bit_generator.state for generator in net.generators().values()}
        try:
            with no_grad(), Progress(shown and ranks.first, repeats * len(data)) as bar:
                found = _passes(who, net, data, repeats, seed, list(before), count, bar, as_shares, ranks)
                bar.line(f"{who}  {bar.seen}/{bar.total} samples")
                return found
        finally:
            for generator, state in before.items():
                generator.bit_generator.state = state


def _passes(who: str, net: Layer, data: BatchSource, repeats: int, seed: int | None,
            generators: list[np.random.Generator], count: CountedLoss | None, bar: Progress,
            as_shares: bool, ranks: Ranks) -> tuple[Array, Any, float, tuple[float | None, ...]]:
    """Run all passes and return the means over them."""
    mean: Any = 0.0
    total, samples, errors = 0.0, 0, list[float | None]()
    for repeat in range(repeats):
        _reseed(generators, None if seed is None else (seed, repeat))
        own = []
        for i, mine, x, labels in shard(data, ranks, repeat, 0, training=False):
            if not mine:
                continue
            rows, value, n = _batch(who, net, x, labels, count)
            as_class = as_shares and (labels is None or are_classes(rows, labels))
            own.append((i, on_host(softmax(rows) if as_class else rows), labels, value * n, n))
            show_evaluation(bar, len(rows) * ranks.size)
        parts = sorted((part for rank in ranks.gather(own) for part in rank), key=itemgetter(0))
        _, outputs, labels, values, counts = zip(*parts, strict=True)
        samples += 0 if repeat else sum(counts)
        mean = mean + np.concatenate(outputs) / repeats
        total += sum(values) / repeats
        known: Any = None if labels[0] is None else np.concatenate([as_array("labels", part) for part in labels])
        # The partial sum of the passes has its maximum in the same class as their mean.
        judged = count is not None and are_classes(mean, known) and count.samples(mean, known)
        errors.append(count.error(mean, known) if count is not None and judged else None)
    return mean, known, total / max(1, samples), tuple(errors)


def _batch(who: str, net: Layer, x: Any, labels: Any, count: CountedLoss | None) -> tuple[Any, float, int]:
    """Return (rows, loss, number of samples that count) of a batch; without a loss, the last two are 0."""
    y = outputs_of(who, net, x, count)
    rows = rows_of(y)
    if count is None:
        return rows, 0.0, 0
    n = count.samples(rows, labels)
    return rows, float(count.loss(y, labels).data), n


def _reseed(generators: Iterable[np.random.Generator], seed: tuple[int, int] | None) -> None:
    """Give every generator a random state of its own; None: another one each time."""
    for number, generator in enumerate(generators):
        sequence = np.random.SeedSequence(seed if seed is None else (*seed, number))
        generator.bit_generator.state = type(generator.bit_generator)(sequence).state
