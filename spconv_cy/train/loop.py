"""Training and testing: fit, evaluate, and the history of a run."""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np

from spconv_cy.autograd import Tensor, no_grad
from spconv_cy.backend.switch import ops_of
from spconv_cy.checks import as_array, checked_flags, checked_function, checked_path, is_integer, is_real
from spconv_cy.functional.dense import softmax
from spconv_cy.functional.labels import counted
from spconv_cy.functional.loss import hinge, softmax_cross_entropy
from spconv_cy.layers.evaluating import evaluating
from spconv_cy.layers.layer import Layer
from spconv_cy.train import metrics
from spconv_cy.train.batch_list import as_batches
from spconv_cy.train.checkpoint import read_checkpoint, write_checkpoint
from spconv_cy.train.history import History
from spconv_cy.train.loss_scale import LossScale
from spconv_cy.train.schedule import from_name


@dataclass(frozen=True)
class Evaluation:
    """What a network gave for labelled samples.

    Attributes: loss: mean; error: share of wrong classes, None where labels are no class numbers, or none that counts;
    outputs: (n, o), probabilities where labels are class numbers; labels: (n,); errors: of the first pass, of the mean
    of the first two, and so on up to all repeats, whose last is `error`; ignore_label: labels that count nowhere but in
    outputs and labels.
    """

    loss: float
    error: float | None
    outputs: np.ndarray
    labels: np.ndarray
    errors: tuple = ()
    ignore_label: object = None

    @property
    def confusion(self):
        """(classes, classes): how often a sample of the row's class was taken for the column's."""
        return metrics.confusion_matrix(self.outputs.argmax(1), self.labels, self.outputs.shape[1],
                                        ignore_label=self.ignore_label)

    @property
    def iou(self):
        """(classes,): intersection over union, NaN where a class neither is nor was given."""
        return metrics.intersection_over_union(self.confusion)


def fit(net, data, optimizer, epochs, *, validation=None, loss=softmax_cross_entropy, schedule=None, rng=None,
        progress=True, checkpoint=None, stop_after=None, on_epoch=None, loss_scale=None, ignore_label=None):
    """Train a network, in place.

    Args:
        net: Layer.
        data: StrokeBatches, TensorBatches, or a list of (x, labels) pairs, shuffled each epoch.
        optimizer: over `net.parameters()`.
        epochs: number of epochs, those of the checkpoint counted.
        validation: the same kind of thing, evaluated after each epoch.
        loss: function of (outputs, labels) that gives a Tensor of shape (). One of your own is given all outputs and
            labels, those to be ignored too.
        schedule: function of the epoch (a fraction inside one) that gives a factor for the optimiser's rate, or
            "constant", "cosine", "exponential".
        rng: seed or numpy Generator; order and distortions depend on (seed, epoch, sample) alone.
        progress: show a bar.
        checkpoint: path of a file, written after each epoch. If it is there, the run goes on from it and ends with the
            same bits as one that was never stopped. Rate and schedule are those of this call.
        stop_after: stop when the validation has not improved for so many epochs; the best weights come back.
        on_epoch: function of the History, called after each epoch.
        loss_scale: for `precision("float16")`: "dynamic" or a number, as for LossScale; None: the loss is not scaled.
        ignore_label: a whole number that says that a sample or point has no label, such as -1, 255 or -100, or several:
            these count neither in the library's losses nor in losses and errors of the History.

    Returns:
        History.

    Raises:
        FloatingPointError: the loss or a weight is NaN or infinite; says where, and what helps. The checkpoint is that
            of the epoch before.
        FileError: the checkpoint is damaged, or of another network; nothing has been changed then.
        ValueError, TypeError: arguments that do not fit; data without samples.
    """
    data = as_batches(data, "fit: data")
    validation = None if validation is None else as_batches(validation, "fit: validation")
    _check_fit(net, optimizer, epochs, validation, stop_after)
    count = _Counting("fit", loss, ignore_label)
    progress = _shown("fit", progress)
    if on_epoch is not None:
        checked_function("fit", on_epoch, "on_epoch to be a function of the History, or None")
    checkpoint = None if checkpoint is None else checked_path("fit: checkpoint", checkpoint)
    scale = None if loss_scale is None else LossScale(loss_scale)
    schedule = _numbers_of(from_name(schedule, epochs))                  # refuses a name before anything is changed
    history, seed, best = _begin(net, optimizer, rng, checkpoint, scale)
    was_training, base = net.training, optimizer.rate
    try:
        with _bar(progress, max(0, epochs - len(history)) * len(data)) as bar:
            for epoch in range(len(history), epochs):
                if stop_after is not None and history.best is not None and epoch - 1 - history.best >= stop_after:
                    break
                told = partial(_tell, bar, f"epoch {epoch + 1}/{epochs}", history)
                _train(net, data, optimizer, count, scale, lambda at: base * schedule(at), epoch, seed, history, told)
                if validation is not None:
                    _validate(net, validation, count, history)
                if history.best == epoch:
                    best = {name: array.copy() for name, array in net.state().items()}
                if checkpoint is not None:
                    write_checkpoint(checkpoint, net, optimizer, history, seed, best, scale)
                if on_epoch is not None:
                    on_epoch(history)
        if stop_after is not None and best is not None:
            net.load_state(best)
    finally:
        optimizer.rate = base
        net.train(was_training)
    return history


def evaluate(net, data, repeats=1, *, loss=softmax_cross_entropy, progress=False, rng=0, ignore_label=None):
    """Test a network: no tape, running statistics, samples as they are.

    Args:
        net: Layer.
        data: as for fit.
        repeats: passes whose probabilities are averaged, for networks that draw at random when tested, such as those
            with fractional max-pooling, and for data that differ from pass to pass, such as `StrokeBatches(views=)`.
        loss: as for fit; of a pass, averaged over them.
        progress: show a bar.
        rng: seed or numpy Generator for what the network draws; None: other draws each time. The layers' own random
            states are left as they were.
        ignore_label: as for fit; the Evaluation's loss, error, confusion and iou are of the other samples.

    Returns:
        Evaluation. Its `errors` are the curve of averaging: error against number of repeats.

    Source: Graham 2014, arXiv:1412.6071, section 4.
    """
    count = _Counting("evaluate", loss, ignore_label)
    outputs, labels, value, errors = _test(net, as_batches(data, "evaluate: data"), repeats, count, progress, rng)
    return Evaluation(value, errors[-1], outputs, labels, errors, ignore_label)


def probabilities(net, data, repeats=1, *, progress=False, rng=0):
    """Return the class probabilities (n, classes) of samples, whose labels may be None; arguments as for evaluate."""
    return _test(net, as_batches(data, "probabilities: data"), repeats, None, progress, rng)[0]


def outputs(net, data, *, progress=False, rng=0):
    """Return what a network gives for samples as it is, (n, o), such as an embedding; arguments as for evaluate."""
    return _test(net, as_batches(data, "outputs: data"), 1, None, progress, rng, as_shares=False)[0]


def _check_fit(net, optimizer, epochs, validation, stop_after):
    if not isinstance(net, Layer):
        raise TypeError(f"fit: a {type(net).__name__} came as the network; a Layer fits")
    if not all(hasattr(optimizer, name) for name in ("parameters", "step", "zero_grad", "rate")):
        raise TypeError(f"fit: a {type(optimizer).__name__} came as the optimiser; one such as Adam(net.parameters()) "
                        "fits")
    if not {id(p) for p in net.parameters()} & {id(p) for p in optimizer.parameters}:
        raise ValueError("fit: the optimiser holds no parameter of this network; make it over net.parameters(), after "
                         "the network was copied or loaded")
    for name, value, lowest in (("epochs", epochs, 0), ("stop_after", stop_after, 1)):
        if value is not None and (not is_integer(value) or value < lowest):
            raise ValueError(f"fit: {name} {value!r} came; a whole number from {lowest} up fits")
    if stop_after is not None and validation is None:
        raise ValueError("fit: stop_after came without validation=; give samples to tell by when to stop")


def _numbers_of(schedule):
    def factor(epoch):
        found = schedule(epoch)
        if not is_real(found):
            raise TypeError(f"fit: the schedule gave {found!r} at epoch {epoch:.3g}; a number fits")
        return found

    return factor


def _begin(net, optimizer, rng, checkpoint, scale):
    drawn = rng.bit_generator.state if isinstance(rng, np.random.Generator) else None
    seed = _seed_of("fit", rng)
    try:
        found = None if checkpoint is None else read_checkpoint(checkpoint, net, optimizer, seed, scale)
    except BaseException:
        if drawn is not None:                                            # the network may draw from it too
            rng.bit_generator.state = drawn
        raise
    if found is None:
        return History(), int(np.random.default_rng().integers(2**63) if seed is None else seed), None
    return found


def _seed_of(who, rng):
    seed = None if rng is None else int(rng.integers(2**63)) if isinstance(rng, np.random.Generator) else rng
    if seed is not None and (not is_integer(seed) or seed < 0):
        raise ValueError(f"{who}: rng {rng!r} came; a whole number from 0 up, a numpy Generator or None fits")
    return seed


class _Counting:
    """A loss, and which labels count in it, in the errors and in the means of both."""

    def __init__(self, who, loss, ignore_label):
        checked_function(who, loss, "loss to be a function of (outputs, labels)")
        counted(who, np.zeros(0, np.int64), ignore_label)                # refuses a wrong one before anything is done
        self.who, self.ignore_label, self.function = who, ignore_label, loss
        self.ours = getattr(loss, "func", loss) in (softmax_cross_entropy, hinge)
        if self.ours and ignore_label is not None and "ignore_label" not in getattr(loss, "keywords", {}):
            self.function = partial(loss, ignore_label=ignore_label)

    def loss(self, y, labels):
        """Return the loss of a batch, a Tensor of shape ()."""
        value = self.function(y, labels)
        if not isinstance(value, Tensor) or value.shape != ():
            raise TypeError(f"{self.who}: the loss gave {value!r}; a Tensor of shape () fits, such as x.mean() gives "
                            "it")
        return value

    def samples(self, rows, labels):
        """Return how many samples of a batch count."""
        if labels is None or not _are_classes(rows, labels):
            return len(rows) if labels is None else len(labels)
        counts = counted(self.who, as_array("labels", labels), self.ignore_label)
        return len(labels) if counts is None else int(counts.sum())


def _train(net, data, optimizer, count, scale, rate, epoch, seed, history, told):
    began, seen, known, losses, wrong, classes = time.perf_counter(), 0, 0, 0.0, 0.0, False
    net.train()
    optimizer.zero_grad()
    for batch, (x, labels) in enumerate(data.epoch(epoch, seed, training=True)):
        optimizer.rate = rate(epoch + seen / len(data))
        y = _outputs(net, x, count)
        value, rows = count.loss(y, labels), _rows(y)
        number, n = float(value.data), count.samples(rows, labels)
        if not math.isfinite(number):
            raise _diverged(f"the loss became {number} in epoch {epoch + 1}, batch {batch + 1}", optimizer)
        if scale is None:
            value.backward()
            optimizer.step()
        else:
            scale.backward(value)
            scale.step(optimizer)
        optimizer.zero_grad()
        given = len(rows if labels is None else labels)
        seen, known, losses = seen + given, known + n, losses + n * number
        classes = labels is not None and _are_classes(rows, labels)
        wrong += n * metrics.error(_numpy(rows), labels, ignore_label=count.ignore_label) if classes and n else 0
        told(given, losses / max(1, known), wrong / max(1, known))
    for name, array in net.state().items():                              # the last step's loss is never seen
        if not np.isfinite(array).all():
            raise _diverged(f"{name} became NaN or infinite in epoch {epoch + 1}", optimizer)
    history.losses.append(losses / max(1, known))
    history.errors.append(wrong / max(1, known) if classes else None)
    history.rates.append(optimizer.rate)
    history.seconds.append(time.perf_counter() - began)


def _diverged(what, optimizer):
    return FloatingPointError(f"fit: {what}; lower the rate (it was {optimizer.rate:.3g}), give the optimiser clip=, "
                              "or look for NaN and very large numbers in the features")


def _validate(net, validation, count, history):
    found = evaluate(net, validation, loss=count.function, ignore_label=count.ignore_label)
    history.validation_losses.append(found.loss)
    history.validation_errors.append(found.error)
    both = [(error or 0, math.inf if math.isnan(value) else value) for error, value in
            zip(history.validation_errors, history.validation_losses, strict=True)]
    history.best = both.index(min(both)) + len(history) - len(both)


def _test(net, data, repeats, count, progress, rng, as_shares=True):
    if not isinstance(net, Layer):
        raise TypeError(f"evaluate: expected net to be a Layer, got a {type(net).__name__}")
    progress = _shown("evaluate", progress)
    if not is_integer(repeats) or repeats < 1:
        raise ValueError(f"evaluate: repeats {repeats!r} came; a whole number from 1 up fits")
    seed = _seed_of("evaluate", rng)
    with evaluating(net):
        return _tested(net, data, repeats, seed, count, progress, as_shares)


def _tested(net, data, repeats, seed, count, progress, as_shares):
    mean, total, errors, samples = 0.0, 0.0, [], 0
    drawn = {generator: generator.bit_generator.state for generator in net.generators().values()}
    try:
        with no_grad(), _bar(progress, repeats * len(data)) as bar:
            for repeat in range(repeats):
                _reseed(drawn, None if seed is None else (seed, repeat))
                parts = []
                for x, labels in data.epoch(repeat, 0, training=False):
                    y = _outputs(net, x, count)
                    rows = _rows(y)
                    n = 0 if count is None else count.samples(rows, labels)
                    value = 0.0 if count is None else float(count.loss(y, labels).data)
                    shared = as_shares and (labels is None or _are_classes(rows, labels))
                    shown = softmax(rows) if shared else rows
                    parts.append((_numpy(shown), labels, value * n))
                    samples += 0 if repeat else n
                    _tell(bar, "test", None, len(rows))
                outputs, labels, values = zip(*parts, strict=True)
                mean = mean + np.concatenate(outputs) / repeats
                total += sum(values) / repeats
                known = None if labels[0] is None else np.concatenate([as_array("labels", part) for part in labels])
                # Of a partial sum the largest is where it is in the mean.
                classes = count is not None and _are_classes(mean, known) and count.samples(mean, known)
                errors.append(metrics.error(mean, known, ignore_label=count.ignore_label) if classes else None)
    finally:
        for generator, state in drawn.items():
            generator.bit_generator.state = state
    return mean, known, total / max(1, samples), tuple(errors)


def _reseed(generators, seed):
    for number, generator in enumerate(generators):
        sequence = np.random.SeedSequence(seed if seed is None else (*seed, number))
        generator.bit_generator.state = type(generator.bit_generator)(sequence).state


def _outputs(net, x, count):
    y = net(x)
    if not isinstance(y, Tensor) and (count is None or count.ours):
        came = f"{y}; its .features are a row a site" if hasattr(y, "grid") else "no Tensor"
        raise TypeError(f"the network gave a {type(y).__name__}, {came}; a Tensor (b, classes) fits: for a row a "
                        "sample end it with GlobalPooling() and NetworkInNetwork, or with SparseToDense(d, flat=True); "
                        "for a row a point put its layers into ToPoints(...)")
    return y


def _rows(y):
    return y.features if hasattr(y, "features") else y


def _are_classes(y, labels):
    two_axes = getattr(y, "shape", None) and len(y.shape) == 2
    labels = as_array("labels", labels)
    return two_axes and labels.ndim == 1 and labels.dtype.kind in "iu"


def _numpy(y):
    return ops_of(y.data).to_numpy(y.data)


def _shown(who, progress):
    if is_integer(progress):                                             # verbose=1, as others have it
        return progress > 0
    checked_flags(who, progress=progress)
    return progress


def _bar(progress, total):
    if not progress:
        return nullcontext()
    from tqdm.auto import tqdm

    return tqdm(total=total, unit=" samples", dynamic_ncols=True)


def _tell(bar, what, history, n, loss=None, error=None):
    if bar is None:
        return
    bar.set_description(what, refresh=False)
    if loss is not None:
        validation = [e for e in history.validation_errors if e is not None][-1:]
        bar.set_postfix_str(f"loss {loss:.4f}, error {100 * error:.2f} %"
                            + "".join(f", validation {100 * e:.2f} %" for e in validation), refresh=False)
    bar.update(n)
