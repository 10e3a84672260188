"""Batches of (x, labels), shuffled by (seed, epoch) and prepared ahead of the training step on their own thread."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np

from spconv_cy.assembly import collate
from spconv_cy.backend.prefetch import Requests, make_ahead
from spconv_cy.backend.switch import current
from spconv_cy.checks import as_array, as_list, checked_flags, is_integer
from spconv_cy.data.augment import from_name, stream
from spconv_cy.data.bend import bent
from spconv_cy.data.lifting import LiftedEncoder
from spconv_cy.data.packed import ranges
from spconv_cy.data.strokes import Characters
from spconv_cy.errors import ShapeError
from spconv_cy.tensor import SparseTensor, checked_tensor

LARGEST = 2**15                                                          # field of a StrokeEncoder


class Batches:
    """n samples with labels, handed out in batches: what training asks of its samples.

    A subclass says in `prepare(epoch, seed, training)` how an epoch makes batches: it returns a function of the item
    numbers (b,) that gives x. `len(...)` is the number of samples, `n_batches` that of batches.
    """

    def __init__(self, n, labels, *, batch=100):
        if not is_integer(batch) or batch < 1:
            raise ValueError(f"{type(self).__name__}: batch {batch!r} came; a whole number from 1 up fits")
        self.n, self.batch, self._requests = n, int(batch), Requests()
        self.labels = None if labels is None else as_array(f"{type(self).__name__}: labels", labels)
        if labels is not None and (not self.labels.ndim or len(self.labels) != n):
            raise ShapeError(f"{type(self).__name__}: labels {self.labels.shape} came for {n} samples; ({n},) fits")

    def __len__(self):
        return self.n

    @property
    def n_batches(self):
        """The number of batches of an epoch; the last may be smaller."""
        return -(-self.n // self.batch)

    def prepare(self, epoch, seed, training):
        """Return the function of item numbers (b,) that gives x."""
        raise NotImplementedError(f"{type(self).__name__} needs prepare(epoch, seed, training)")

    def epoch(self, epoch, seed=0, *, training):
        """Yield (x, labels) of every batch; labels is None where none were given.

        In training the order and every random draw depend on (seed, epoch, item) alone; otherwise samples come in
        order, and as they are where epoch, which then counts the passes of a test, is 0. One background thread works
        two batches ahead. It ends with the iteration, also when that is left early; its error is raised here. On a
        GPU it also makes the rules that the batches before were asked for, and copies what a batch needs beside the
        computation.
        """
        checked_flags(f"{type(self).__name__}.epoch", training=training)
        order = stream(seed, epoch, "order").permutation(self.n) if training else np.arange(self.n)
        make = self.prepare(epoch, seed, training)
        yield from self._ahead(lambda items: (make(items), None if self.labels is None else self.labels[items]),
                               [order[first:first + self.batch] for first in range(0, self.n, self.batch)])

    def _ahead(self, make, jobs):
        ops = current()
        if ops.copies is None:
            yield from ahead(make, jobs)
            return

        def prepared(job):
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


def ahead(make, jobs, depth=2):
    """Yield make(job) for every job in order, computed on one background thread up to `depth` jobs ahead.

    The thread has the caller's settings: `use`, `precision`, `no_grad`. A forked child that goes on with the iteration
    gets a thread of its own.

    >>> list(ahead(lambda a: a * a, [1, 2, 3]))
    [1, 4, 9]
    """
    jobs, waiting, process, worker = iter(jobs), deque(), None, None
    try:
        while True:
            if process != os.getpid():                                   # at the beginning, and after a fork
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


class StrokeBatches(Batches):
    """Characters drawn by a StrokeEncoder, each epoch with new distortions: x is a SparseTensor.

    Args:
        characters: Characters, or a list of lists of (n, 2) arrays; packed and checked once, here.
        labels: (n,) class numbers, or None.
        encoder: StrokeEncoder, or LiftedEncoder.
        batch: samples in a batch.
        augment: an Affine or its name (see `augment.from_name`: "none", "affine" and others); used in training only.
        views: the same for the repeated passes of a test, `evaluate(net, data, repeats=12)`: the first sees the
            characters as they are, each later one distorts them anew.
        scales: numbers above 0: each character is drawn at one of these scales in place of the encoder's, at random in
            training and in turn in a test, around site 0 of a grid without a size, which is each one's own field.
        times: (points,) of every pen point, such as `Handwriting.times`, for a LiftedEncoder with time.

    Raises:
        ShapeError: labels or times that do not fit.
        TypeError: times for an encoder that draws without.
        ValueError: a batch or scales that do not fit, a distortion that is unknown; scales for an encoder that has none
            of its own or has a time axis.
    """

    def __init__(self, characters, labels, encoder, *, batch=100, augment="none", views="none", scales=None,
                 times=None):
        self.characters = Characters.pack(characters)
        super().__init__(len(self.characters), labels, batch=batch)
        if not all(hasattr(encoder, name) for name in ("sites", "size", "dimension")):
            raise TypeError(f"StrokeBatches: a {type(encoder).__name__} came as the encoder; a StrokeEncoder or a "
                            "LiftedEncoder fits")
        self.encoder, self.augment, self.views = encoder, from_name(augment), from_name(views)
        self.scales = None if scales is None else _checked_scales(encoder, scales)
        self.times = None if times is None else self._checked_times(times)

    def prepare(self, epoch, seed, training):
        """Draw the epoch's distortions; return the function of item numbers (b,) that gives a SparseTensor."""
        matrices = shifts = stroke_shifts = times = controls = ends = None
        if training or epoch:
            distortion, n_strokes = self.augment if training else self.views, len(self.characters.stroke_starts) - 1
            matrices, shifts = distortion.draw(self.n, seed, epoch)
            stroke_shifts = distortion.draw_strokes(n_strokes, seed, epoch)
            times = distortion.draw_times(self.n, seed, epoch)
            controls, ends = distortion.draw_bends(self.n, n_strokes, seed, epoch)
        encoder, size, middle = self.encoder, (self.encoder.size,) * self.encoder.dimension, 0
        starts = self.characters.stroke_starts
        if self.scales is not None:
            which = np.arange(self.n) % len(self.scales)
            if training:
                which = stream(seed, epoch, "scale").integers(0, len(self.scales), self.n)
            factor = (self.scales / encoder.scale)[which]
            matrices = factor[:, None, None] * (np.eye(2) if matrices is None else matrices)
            shifts = None if shifts is None else factor[:, None] * shifts
            encoder, size, middle = replace(encoder, size=LARGEST), None, LARGEST // 2

        def of(draws, numbers):
            return None if draws is None else draws[numbers]

        def make(items):
            characters, numbers, jitter, seconds = self.characters, items, stroke_shifts, self.times
            if controls is not None or ends is not None:                # else an error names the item, not its place
                characters, strokes = self.characters.take(items)
                characters, numbers = bent(characters, of(controls, items), of(ends, strokes)), None
                jitter, points = of(jitter, strokes), ranges(starts[:-1][strokes], starts[1:][strokes])
                seconds = of(seconds, points)
            # One thread: the processors belong to the training step beside us.
            sites, features = encoder.sites(
                characters, numbers, n_threads=1, matrices=of(matrices, items), shifts=of(shifts, items),
                stroke_shifts=jitter, time_shifts=of(times, items), **({} if seconds is None else {"times": seconds}))
            sites[:, 1:] -= middle
            return SparseTensor.from_sites(sites, features, size=size, samples=len(items))

        return make

    def _checked_times(self, times):
        if not isinstance(self.encoder, LiftedEncoder):
            raise TypeError(f"StrokeBatches: times came for a {type(self.encoder).__name__}, whose time is the pen's "
                            'way; a LiftedEncoder(("x", "y", "time")) draws with them')
        times = as_array("StrokeBatches: times", times)
        if times.shape != (len(self.characters.points),):
            raise ShapeError(f"StrokeBatches: times {times.shape} came; ({len(self.characters.points)},) fits")
        return times


def _checked_scales(encoder, scales):
    found = np.atleast_1d(as_array("StrokeBatches: scales", scales))
    most = LARGEST // 4
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iuf" or not ((found > 0) & (found <= most)).all():
        raise ValueError(f"StrokeBatches: scales {scales!r} came; numbers above 0, up to {most}, fit")
    if encoder.scale is None or encoder.dimension != 2:
        raise ValueError(f"StrokeBatches: scales came with {encoder}; an encoder with a scale and without a time axis "
                         "fits")
    return found.astype(np.float64)


class TensorBatches(Batches):
    """A list of SparseTensors of one sample each, collated into batches.

    Args:
        x: list of SparseTensors of equal size and channels.
        labels: (n,) class numbers or targets, or None.
        batch: samples in a batch.
    """

    def __init__(self, x, labels, *, batch=100):
        self.x = as_list("TensorBatches", x, "a list of SparseTensors, one for each sample")
        for sample in self.x:
            checked_tensor("TensorBatches", sample)
        super().__init__(len(self.x), labels, batch=batch)

    def prepare(self, epoch, seed, training):
        """Return the function of item numbers (b,) that gives the collated SparseTensor."""
        return lambda items: collate([self.x[i] for i in items])


class AugmentedCopies(Batches):
    """Several distorted copies of the items of other batches, for losses that tell items apart: x is a SparseTensor.

    A batch of b items is one of copies * b samples: a copy of every item, then another of each in the same order. The
    labels are the items' numbers (b, 1).

    Args:
        data: Batches, such as StrokeBatches and PictureBatches with augment=.
        copies: 1 or more.

    >>> items = TensorBatches([SparseTensor.from_sites([[0, i]], [[1.0]], size=4) for i in range(3)], None)
    >>> x, numbers = next(AugmentedCopies(items).epoch(0, training=False))
    >>> x.grid.samples, numbers.tolist()
    (6, [[0], [1], [2]])
    """

    def __init__(self, data, copies=2):
        if not isinstance(data, Batches):
            raise TypeError(f"AugmentedCopies: a {type(data).__name__} came; batches such as PictureBatches fit")
        if not is_integer(copies) or copies < 1:
            raise ValueError(f"AugmentedCopies: copies {copies!r} came; a whole number from 1 up fits")
        super().__init__(len(data), np.arange(len(data))[:, None], batch=data.batch)
        self.data, self.copies = data, int(copies)

    def prepare(self, epoch, seed, training):
        """Draw the distortions of every copy; return the function of item numbers (b,) that gives a SparseTensor."""
        makes = [self.data.prepare(epoch * self.copies + copy, seed, training) for copy in range(self.copies)]
        return lambda items: collate([make(items) for make in makes])
