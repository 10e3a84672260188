"""Batches of (x, labels), shuffled by (seed, epoch) and prepared on a background thread."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.assembly import collate
from spconv_cy.backend.prefetch import Requests, make_ahead
from spconv_cy.backend.switch import current
from spconv_cy.checks import as_array, as_list, checked_flags, is_integer, kind_of
from spconv_cy.data.augment import from_name, stream
from spconv_cy.data.bend import bent
from spconv_cy.data.characters import Characters
from spconv_cy.data.lifting import LiftedEncoder
from spconv_cy.data.packed import ranges
from spconv_cy.errors import ShapeError, expected
from spconv_cy.tensor import SparseTensor, checked_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import Any, TypeVar

    from spconv_cy.data.augment import Affine
    from spconv_cy.data.strokes import StrokeEncoder
    from spconv_cy.types import Array, ArrayLike, Choose

    Job = TypeVar("Job")
    Made = TypeVar("Made")

LARGEST = 2**15                                                          # field of a StrokeEncoder


@known_arguments
class Batches:
    """Base class of n samples with labels, in batches.

    A subclass implements `prepare(epoch, seed, training)`, which returns a function from item indices (b,) to x.
    `len(...)` is the number of samples.

    Args:
        n: the number of samples.
        labels: (n, ...), or None.
        batch: samples in a batch.

    Attributes:
        n_batches: the number of batches of an epoch.

    Raises:
        ShapeError: the number of labels is not n.
        ValueError: batch is not a whole number from 1 up.
    """

    def __init__(self, n: int, labels: ArrayLike | None, *, batch: int = 100) -> None:
        who = type(self).__name__
        if not is_integer(batch) or batch < 1:
            raise ValueError(expected(who, "batch to be a whole number from 1 up", f"{batch!r}"))
        self.n, self.batch, self._requests = n, int(batch), Requests()
        self.labels: Array | None = None if labels is None else as_array(f"{who}: labels", labels)
        if self.labels is not None and (not self.labels.ndim or len(self.labels) != n):
            raise ShapeError(expected(who, f"labels ({n},), one for each sample", f"shape {self.labels.shape}"))

    def __len__(self) -> int:
        return self.n

    @property
    def n_batches(self) -> int:
        """The number of batches of an epoch; the last may be smaller."""
        return -(-self.n // self.batch)

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], Any]:
        """Return a function from item indices (b,) to x."""
        raise NotImplementedError(expected(type(self).__name__, "a method prepare(epoch, seed, training)", "none"))

    def epoch(self, epoch: int, seed: int = 0, *, training: bool,
              choose: Choose | None = None) -> Iterator[tuple[Any, Array | None]]:
        """Yield (x, labels) of every batch; labels is None if none were given.

        With `choose`, a function of the number of batches that returns the numbers of some, only these are made.

        In training, the order and all random draws depend only on (seed, epoch, item). In evaluation, samples keep
        their order, `epoch` is the number of the pass, and pass 0 has no distortions.

        A background thread prepares up to two batches ahead. It ends with the iteration, even if that is stopped
        early, and its errors are raised here. On a GPU it also makes the rules that the previous batches needed, and
        copies the data of a batch to the device during the computation.
        """
        checked_flags(f"{type(self).__name__}.epoch", training=training)
        order = stream(seed, epoch, "order").permutation(self.n) if training else np.arange(self.n)
        make = self.prepare(epoch, seed, training)
        yield from self._ahead(lambda items: (make(items), None if self.labels is None else self.labels[items]),
                               [order[first:first + self.batch] for first in range(0, self.n, self.batch)], choose)

    def _ahead(self, make: Callable[[Array], tuple[Any, Array | None]], jobs: list[Array],
               choose: Choose | None) -> Iterator[tuple[Any, Array | None]]:
        if choose is not None:
            jobs = [jobs[i] for i in choose(len(jobs))]
        ops = current()
        if ops.copies is None:
            yield from ahead(make, jobs)
            return

        def prepared(job: Array) -> tuple[Any, ...]:
            x, labels = make(job)
            return x, labels, make_ahead(x.grid, self._requests, ops) if isinstance(x, SparseTensor) else ()

        for made, event in ahead(partial(ops.copies.run, ops.copies.here(), prepared), jobs):
            ops.copies.wait(event)
            requests = Requests()
            if isinstance(made[0], SparseTensor):
                requests.follow(made[0].grid)
            yield made[:2]
            if isinstance(made[0], SparseTensor):
                self._requests = requests


def ahead(make: Callable[[Job], Made], jobs: Iterable[Job], depth: int = 2) -> Iterator[Made]:
    """Yield make(job) for every job in order, computed on one background thread up to `depth` jobs ahead.

    The thread has the caller's settings (`use`, `precision`, `no_grad`). A forked child process that continues the
    iteration gets its own thread.

    >>> list(ahead(lambda a: a * a, [1, 2, 3]))
    [1, 4, 9]
    """
    jobs = iter(jobs)
    waiting: deque[tuple[Job, Future[Made]]] = deque()
    process: int | None = None
    worker: ThreadPoolExecutor | None = None
    try:
        while True:
            if worker is None or process != os.getpid():               # at the start, and after a fork
                process, worker, run = os.getpid(), ThreadPoolExecutor(1, "spconv_cy-batches"), copy_context().run
                waiting = deque((job, worker.submit(run, make, job)) for job, _ in waiting)
            for job in islice(jobs, depth + 1 - len(waiting)):
                waiting.append((job, worker.submit(run, make, job)))
            if not waiting:
                return
            yield waiting.popleft()[1].result()
    finally:
        for _, future in waiting:
            future.cancel()
        if worker is not None:
            worker.shutdown(wait=True)


@known_arguments
class StrokeBatches(Batches):
    """Batches of characters drawn by an encoder, with new distortions each epoch: x is a SparseTensor.

    Args:
        characters: Characters, or a list of lists of (n, 2) arrays; packed and checked once.
        labels: (n,) class numbers, or None.
        encoder: StrokeEncoder, or LiftedEncoder.
        batch: samples in a batch.
        augment: an Affine or its name (see `augment.from_name`: "none", "affine" and others), for training.
        views: the same for the passes of a test, `evaluate(net, data, repeats=12)`: the first pass is not distorted,
            each later pass has new distortions.
        scales: numbers above 0: each character is drawn at one of these scales instead of the encoder's, chosen at
            random in training and cyclically in testing, around site 0 of an unbounded grid.
        times: (points,), the time of every pen point, such as `Handwriting.times`, for a LiftedEncoder with time.

    Raises:
        ShapeError: labels or times of another shape.
        TypeError: times for an encoder that does not use them.
        ValueError: batch or scales out of range; an unknown distortion; scales for an encoder without a scale or with
            a time axis.
    """

    def __init__(self, characters: Characters | Sequence[Sequence[ArrayLike]], labels: ArrayLike | None,
                 encoder: StrokeEncoder | LiftedEncoder, *, batch: int = 100, augment: str | Affine = "none",
                 views: str | Affine = "none", scales: ArrayLike | None = None,
                 times: ArrayLike | None = None) -> None:
        self.characters = Characters.pack(characters)
        super().__init__(len(self.characters), labels, batch=batch)
        if not all(hasattr(encoder, name) for name in ("sites", "size", "dimension")):
            raise TypeError(expected("StrokeBatches", "a StrokeEncoder or a LiftedEncoder as the encoder",
                                     kind_of(encoder)))
        self.encoder, self.augment, self.views = encoder, from_name(augment), from_name(views)
        self.scales = None if scales is None else _checked_scales(encoder, scales)
        self.times = None if times is None else self._checked_times(times)

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], SparseTensor]:
        """Draw the epoch's distortions; return a function from item indices (b,) to a SparseTensor."""
        moves = _Moves()
        if training or epoch:
            moves = _Moves.drawn(self.augment if training else self.views, self.characters, seed, epoch)
        encoder: Any = self.encoder
        size: tuple[int, ...] | None = (encoder.size,) * encoder.dimension
        centre = 0
        if self.scales is not None:
            which = np.arange(self.n) % len(self.scales)
            if training:
                which = stream(seed, epoch, "scale").integers(0, len(self.scales), self.n)
            moves = moves.scaled((self.scales / encoder.scale)[which])
            encoder, size, centre = replace(encoder, size=LARGEST), None, LARGEST // 2

        def make(items: Array) -> SparseTensor:
            sites, features = moves.sites(encoder, self.characters, items, self.times)
            sites[:, 1:] -= centre
            return SparseTensor.from_sites(sites, features, size=size, samples=len(items))

        return make

    def _checked_times(self, times: ArrayLike) -> Array:
        if not isinstance(self.encoder, LiftedEncoder):
            raise TypeError(expected("StrokeBatches", "a LiftedEncoder for times",
                                     f"{kind_of(self.encoder)}, whose time is the length of the pen's path",
                                     'use LiftedEncoder(("x", "y", "time"))'))
        found: Array = as_array("StrokeBatches: times", times)
        shape = (len(self.characters.points),)
        if found.shape != shape:
            raise ShapeError(expected("StrokeBatches", f"times {shape}, one for each point", f"shape {found.shape}"))
        return found


@dataclass(frozen=True)
class _Moves:
    """The distortions of all characters in one epoch; None: none."""

    matrices: Array | None = None
    shifts: Array | None = None
    stroke_shifts: Array | None = None
    time_shifts: Array | None = None
    controls: Array | None = None
    ends: Array | None = None

    @classmethod
    def drawn(cls, distortion: Affine, characters: Characters, seed: int, epoch: int) -> _Moves:
        n, n_strokes = len(characters), len(characters.stroke_starts) - 1
        return cls(*distortion.draw(n, seed, epoch), distortion.draw_strokes(n_strokes, seed, epoch),
                   distortion.draw_times(n, seed, epoch), *distortion.draw_bends(n, n_strokes, seed, epoch))

    def scaled(self, factor: Array) -> _Moves:
        """Return the moves with each character (n,) enlarged by a factor."""
        matrices = factor[:, None, None] * (np.eye(2) if self.matrices is None else self.matrices)
        return replace(self, matrices=matrices, shifts=None if self.shifts is None else factor[:, None] * self.shifts)

    def sites(self, encoder: Any, characters: Characters, items: Array, times: Array | None) -> tuple[Array, Array]:
        """Return the sites and features that an encoder draws of some items."""
        numbers: Array | None = items
        jitter = self.stroke_shifts
        if self.controls is not None or self.ends is not None:          # only then: errors name indices in characters
            starts = characters.stroke_starts
            characters, strokes = characters.take(items)
            characters = bent(characters, _rows(self.controls, items), _rows(self.ends, strokes))
            numbers, jitter = None, _rows(jitter, strokes)
            times = _rows(times, ranges(starts[:-1][strokes], starts[1:][strokes]))
        # One thread: the training step uses the other processors meanwhile.
        sites, features = encoder.sites(
            characters, numbers, n_threads=1, matrices=_rows(self.matrices, items), shifts=_rows(self.shifts, items),
            stroke_shifts=jitter, time_shifts=_rows(self.time_shifts, items),
            **({} if times is None else {"times": times}))
        return sites, features


def _rows(array: Array | None, items: Array) -> Array | None:
    return None if array is None else array[items]


def _checked_scales(encoder: StrokeEncoder | LiftedEncoder, scales: ArrayLike) -> Array:
    found = np.atleast_1d(as_array("StrokeBatches: scales", scales))
    most = LARGEST // 4
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iuf" or not ((found > 0) & (found <= most)).all():
        raise ValueError(expected("StrokeBatches", f"scales as numbers above 0, up to {most}", f"{scales!r}"))
    if encoder.scale is None or encoder.dimension != 2:
        raise ValueError(expected("StrokeBatches", "with scales= an encoder that has a scale and no time axis",
                                  f"{encoder}"))
    return found.astype(np.float64)


@known_arguments
class TensorBatches(Batches):
    """Batches of SparseTensors of one sample each, which are collated.

    Args:
        x: list of SparseTensors of equal size and channels.
        labels: (n,) class numbers or targets, or None.
        batch: samples in a batch.
    """

    def __init__(self, x: Iterable[SparseTensor], labels: ArrayLike | None, *, batch: int = 100) -> None:
        self.x: list[SparseTensor] = as_list("TensorBatches", x, "a list of SparseTensors, one for each sample")
        for sample in self.x:
            checked_tensor("TensorBatches", sample)
        super().__init__(len(self.x), labels, batch=batch)

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], SparseTensor]:
        """Return a function from item indices (b,) to the collated SparseTensor."""
        return lambda items: collate([self.x[i] for i in items])


@known_arguments
class AugmentedCopies(Batches):
    """Batches with several distorted copies of each item of other batches, for contrastive losses: x is a SparseTensor.

    A batch of b items has copies * b samples: one copy of every item, then another copy of every item in the same
    order, and so on. The labels are the items' indices (b, 1).

    Args:
        data: Batches, such as StrokeBatches and PictureBatches with augment=.
        copies: 1 or more.

    >>> items = TensorBatches([SparseTensor.from_sites([[0, i]], [[1.0]], size=4) for i in range(3)], None)
    >>> x, numbers = next(AugmentedCopies(items).epoch(0, training=False))
    >>> x.grid.samples, numbers.tolist()
    (6, [[0], [1], [2]])
    """

    def __init__(self, data: Batches, copies: int = 2) -> None:
        if not isinstance(data, Batches):
            raise TypeError(expected("AugmentedCopies", "batches such as PictureBatches", kind_of(data)))
        if not is_integer(copies) or copies < 1:
            raise ValueError(expected("AugmentedCopies", "copies to be a whole number from 1 up", f"{copies!r}"))
        super().__init__(len(data), np.arange(len(data))[:, None], batch=data.batch)
        self.data, self.copies = data, int(copies)

    def prepare(self, epoch: int, seed: int, training: bool) -> Callable[[Array], SparseTensor]:
        """Draw the distortions of every copy; return a function from item indices (b,) to a SparseTensor."""
        makes = [self.data.prepare(epoch * self.copies + copy, seed, training) for copy in range(self.copies)]
        return lambda items: collate([make(items) for make in makes])
