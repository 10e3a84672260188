"""Training of a network, epoch by epoch: fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_function, checked_integers, checked_path, is_integer, is_real, kind_of
from spconv_cy.distributed.averaged import Averaged
from spconv_cy.distributed.ranks import Ranks, ranks_of
from spconv_cy.distributed.shards import check_same
from spconv_cy.errors import expected
from spconv_cy.functional.loss import softmax_cross_entropy
from spconv_cy.layers.layer import Layer
from spconv_cy.train.batch_list import as_batches
from spconv_cy.train.callbacks import Callback, Callbacks, Training, callbacks_of
from spconv_cy.train.checkpoint import read_checkpoint, write_checkpoint
from spconv_cy.train.counted_loss import CountedLoss
from spconv_cy.train.epochs import Epochs
from spconv_cy.train.history import History
from spconv_cy.train.loss_scale import LossScale
from spconv_cy.train.one_run import only_run
from spconv_cy.train.progress import Progress, checked_progress, epoch_line, show_training
from spconv_cy.train.random_state import run_seed
from spconv_cy.train.schedule import from_name

if TYPE_CHECKING:
    from spconv_cy.functional.labels import IgnoredLabels
    from spconv_cy.train.batch_list import BatchSource, Data
    from spconv_cy.train.counted_loss import Loss
    from spconv_cy.train.optim import OptimizerLike
    from spconv_cy.train.schedule import Schedule
    from spconv_cy.types import Array, PathLike


@known_arguments
def fit(net: Layer, data: Data, optimizer: OptimizerLike, epochs: int, *, validation: Data | None = None,
        loss: Loss = softmax_cross_entropy, schedule: Schedule | str | None = None,
        rng: int | np.random.Generator | None = None, progress: bool | int = True,
        checkpoint: PathLike | None = None, patience: int | None = None,
        on_epoch: Callable[[History], object] | None = None, callbacks: Callback | Sequence[Callback] | None = None,
        accumulate: int = 1, loss_scale: float | Literal["dynamic"] | None = None,
        ignore_label: IgnoredLabels = None, ranks: bool | Ranks = False) -> History:
    """Train a network in place and return the History of the run.

    Args:
        net: Layer.
        data: StrokeBatches, TensorBatches or another object with their methods, or a list of (x, labels) pairs, each a
            batch. Every epoch has its own order.
        optimizer: made with `net.parameters()`.
        epochs: number of epochs, including those in the checkpoint.
        validation: data of the same form, evaluated after each epoch.
        loss: function of (outputs, labels) that returns a Tensor of shape (). A function of your own gets all outputs
            and labels, including labels to be ignored.
        schedule: function of the epoch (a fraction inside an epoch) that returns a factor for the optimiser's rate, or
            "constant", "cosine", "exponential".
        rng: seed or numpy Generator; None: a different run each time. Order and augmentation depend only on the seed,
            the epoch and the sample.
        progress: show a bar; where stderr is no terminal, write a line for each epoch.
        checkpoint: path of a file that is written after each epoch. If it exists, the run continues from it and ends
            with the same bits as a run without interruption. Rate and schedule are those of this call.
        patience: stop after this many epochs without a lower validation error (or, at equal errors, loss), and
            restore the best weights.
        on_epoch: function of the History, called after each epoch.
        callbacks: functions of the History, called after each epoch, or objects with some of the methods on_begin,
            on_step, on_epoch and on_end, which take a `train.Training`; one or a list. If one returns True after an
            epoch, the run ends. See docs/training.md for TensorBoard and MLflow.
        accumulate: number of batches whose gradients are added up for one step: the step of one batch with all their
            samples, if the loss is a mean over the samples. Batch normalisation still sees each batch alone.
        loss_scale: for `precision("float16")`: "dynamic" or a number, as for LossScale; None: no scaling.
        ignore_label: a whole number that marks samples or points without a label, such as -1, 255 or -100, or several
            numbers. They do not count in the library's losses, nor in the losses and errors of the History.
        ranks: True under `mpiexec -n N`: the processes train together. Each gets its share of the batches, so that a
            step is that of one process with N times the batch; batch normalisation uses the rows of all; rank 0 writes
            the checkpoint, shows the bar and calls `on_epoch`. The same as an optimiser that is
            `distributed.Averaged`. Started without mpiexec, there is one process and nothing changes.

    Returns:
        History.

    Raises:
        KeyboardInterrupt: Ctrl-C; the message says how to go on. The network keeps what it has learnt.
        FloatingPointError: the loss or a weight is NaN or infinite. The message names the epoch and the remedies. The
            checkpoint remains that of the previous epoch.
        FileError: the checkpoint is damaged, of another network, or in use by another run.
            Nothing has been changed then.
        ValueError, TypeError: arguments that do not fit, or data without samples.
    """
    together = optimizer.ranks if isinstance(optimizer, Averaged) else ranks_of("fit", ranks)
    batches = as_batches(data, "fit")
    tests = None if validation is None else as_batches(validation, "fit", "validation")
    _check_fit(net, optimizer, epochs, tests, patience)
    count = CountedLoss("fit", loss, ignore_label)
    shown = checked_progress("fit", progress)
    if on_epoch is not None:
        checked_function("fit", on_epoch, "on_epoch to be a function of the History, or None")
    Callbacks("fit", callbacks, Training(net, optimizer, History(), epochs))
    checked_integers("fit", 1, accumulate=accumulate)
    path = None if checkpoint is None else checked_path("fit: checkpoint", checkpoint)
    scale = None if loss_scale is None else LossScale(loss_scale)
    factor = _checked_factors(from_name(schedule, epochs))               # raises an error before anything is changed
    if together.size > 1:
        optimizer = _averaged(optimizer, together, scale)
        check_same("fit", together, batches, epochs=epochs, accumulate=accumulate, patience=patience,
                   validation=None if tests is None else len(tests))
    path = path if together.first else None                              # one rank writes
    with only_run(path):
        history, seed, best = _begin(net, optimizer, rng, path, scale)
        if together.size > 1:
            history, seed, best = _same_on_all(together, net, optimizer, history, seed, best)
        run = Epochs(net, batches, optimizer, count, scale, factor, seed, history, optimizer.rate, together, accumulate,
                     Callbacks("fit", [*callbacks_of(callbacks), *callbacks_of(on_epoch)],
                               Training(net, optimizer, history, epochs), together.first))
        was_training = net.training
        try:
            with Progress(shown and together.first, max(0, epochs - len(history)) * len(batches)) as bar:
                run.callbacks.call("on_begin")
                for epoch in range(len(history), epochs):
                    if patience is not None and history.best is not None and epoch - 1 - history.best >= patience:
                        break
                    named = f"epoch {epoch + 1}/{epochs}"
                    run.train(epoch, partial(show_training, bar, named, history))
                    if tests is not None:
                        run.validate(tests)
                    bar.line(epoch_line(named, history))
                    if history.best == epoch:
                        best = {name: array.copy() for name, array in net.state().items()}
                    if path is not None:
                        write_checkpoint(path, net, optimizer, history, seed, best, scale)
                    if together.broadcast(run.callbacks.call("on_epoch")):
                        break
            if patience is not None and best is not None:
                net.load_state(best)
        except KeyboardInterrupt:
            # A new exception, without the frames of the computation.
            raise KeyboardInterrupt(_interrupted(len(history), epochs, checkpoint)) from None
        finally:
            run.callbacks.call("on_end")
            optimizer.rate = run.rate
            net.train(was_training)
    return history


def _check_fit(net: Layer, optimizer: OptimizerLike, epochs: int, validation: BatchSource | None,
               patience: int | None) -> None:
    if not isinstance(net, Layer):
        raise TypeError(expected("fit", "net to be a Layer", kind_of(net)))
    if not all(hasattr(optimizer, name) for name in ("parameters", "step", "zero_grad", "rate")):
        raise TypeError(expected("fit", "an optimiser, such as Adam(net.parameters())", kind_of(optimizer)))
    if not {id(p) for p in net.parameters()} & {id(p) for p in optimizer.parameters}:
        raise ValueError(expected("fit", "an optimiser of this network's parameters", "one without any of them",
                                  "make it from net.parameters() after the network was copied or loaded"))
    for name, value, lowest in (("epochs", epochs, 0), ("patience", patience, 1)):
        if value is not None and (not is_integer(value) or value < lowest):
            raise ValueError(expected("fit", f"{name} to be a whole number from {lowest} up", f"{value!r}"))
    if patience is not None and validation is None:
        raise ValueError(expected("fit", "validation data with patience", "none", "give validation="))


def _checked_factors(schedule: Schedule) -> Schedule:
    def factor(epoch: float) -> float:
        found = schedule(epoch)
        if not is_real(found):
            raise TypeError(expected("fit", "schedule to return a number", f"{found!r} at epoch {epoch:.3g}"))
        return found

    return factor


def _begin(net: Layer, optimizer: OptimizerLike, rng: int | np.random.Generator | None, checkpoint: str | None,
           scale: LossScale | None) -> tuple[History, int, dict[str, Array] | None]:
    """Return (history, seed, best weights or None) of the checkpoint, or of a new run."""
    before: Any = rng.bit_generator.state if isinstance(rng, np.random.Generator) else None
    seed = run_seed("fit", rng)
    try:
        found = None if checkpoint is None else read_checkpoint(checkpoint, net, optimizer, seed, scale)
    except BaseException:
        if isinstance(rng, np.random.Generator):                         # the network may use the same Generator
            rng.bit_generator.state = before
        raise
    if found is None:
        return History(), int(np.random.default_rng().integers(2**63) if seed is None else seed), None
    return found


def _averaged(optimizer: OptimizerLike, ranks: Ranks, scale: LossScale | None) -> OptimizerLike:
    if scale is not None:
        raise ValueError(expected("fit", "no loss_scale with several ranks", "one", "train in float32"))
    return optimizer if isinstance(optimizer, Averaged) else Averaged(optimizer, ranks=ranks)


def _same_on_all(ranks: Ranks, net: Layer, optimizer: OptimizerLike, history: History, seed: int,
                 best: dict[str, Array] | None) -> tuple[History, int, dict[str, Array] | None]:
    """Let all ranks begin as rank 0 does; return its (history, seed, best weights or None)."""
    drawn = {name: generator.bit_generator.state for name, generator in net.generators().items()}
    history, seed, best, state, steps, drawn = ranks.broadcast((history, seed, best, net.state(), optimizer.state(),
                                                                drawn))
    net.load_state(state)
    optimizer.load_state(steps)
    for name, generator in net.generators().items():
        generator.bit_generator.state = drawn[name]
    return history, seed, best


def _interrupted(done: int, epochs: int, checkpoint: PathLike | None) -> str:
    """Return the message of a run that was stopped by Ctrl-C."""
    where = f"fit: interrupted in epoch {min(done + 1, epochs)} of {epochs}"
    if checkpoint is None:
        return f"{where}; the network keeps what it has learnt. With checkpoint=PATH a run can be continued"
    if not done:
        return f"{where}, before the first checkpoint"
    return f"{where}; the same call, with checkpoint={str(checkpoint)!r}, goes on after epoch {done}"
