"""What the readers of handwriting give: labelled characters, with writers, times and split where known."""

import re
from dataclasses import dataclass, field, replace

import numpy as np

from spconv_cy.checks import as_array, as_list
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.data.strokes import Characters
from spconv_cy.data.text import read_text as read_text
from spconv_cy.errors import FileError, ShapeError

WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


@dataclass(frozen=True, eq=False, repr=False)
class Handwriting:
    """Labelled characters of a data set.

    Attributes:
        characters: Characters, n of them.
        labels: (n,) int64, each a place in classes.
        classes: tuple of the names of the classes.
        writers: (n,) int64, -1 where unknown.
        tested: (n,) bool, whether the set's own split tests on it, or None: the set has no split.
        times: (points,) float64, of every pen point, in the file's unit, or None.
        left_out: characters in the files that are none of the classes asked for.
    """

    characters: Characters
    labels: np.ndarray
    classes: tuple
    writers: np.ndarray
    tested: np.ndarray | None = None
    times: np.ndarray | None = None
    left_out: int = 0

    def __len__(self):
        return len(self.characters)

    def __repr__(self):
        known = [name for name in ("tested", "times") if getattr(self, name) is not None]
        return (f"Handwriting({len(self)} characters, {len(self.classes)} classes, "
                f"{len(np.unique(self.writers[self.writers >= 0]))} writers{''.join(f', {name}' for name in known)})")

    def take(self, items):
        """Return the characters `items`, an array of numbers or a mask (n,), with all that is known of them.

        Raises:
            ShapeError: a mask of another length.
            IndexError: numbers out of range.
        """
        items = as_array("Handwriting.take: items", items)
        if items.ndim != 1 or items.size and items.dtype.kind not in "iub":
            raise ShapeError(f"Handwriting.take: items {items.shape} of {items.dtype} came; (b,) whole numbers or a "
                             f"mask ({len(self)},) fit")
        items = items if items.dtype == bool else items.astype(np.int64)
        if items.dtype != bool and items.size and not -len(self) <= items.min() <= items.max() < len(self):
            raise IndexError(f"Handwriting.take: items {items.min()} to {items.max()} came; 0 to {len(self) - 1} fit")
        if items.dtype == bool and items.shape != (len(self),):
            raise ShapeError(f"Handwriting.take: a mask {items.shape} came; ({len(self)},) fits")
        items = np.arange(len(self))[items]
        characters, strokes = self.characters.take(items)
        starts, ends = self.characters.stroke_starts[strokes], self.characters.stroke_starts[1:][strokes]
        return Handwriting(characters, self.labels[items], self.classes, self.writers[items],
                           None if self.tested is None else self.tested[items],
                           None if self.times is None else self.times[ranges(starts, ends)])

    def among(self, classes):
        """Return the characters of these classes, their labels now places in `classes`, in that order.

        Raises:
            ValueError: a class that is not among this set's.
        """
        classes = as_list("Handwriting.among", classes, "a list of classes")
        if any(isinstance(name, (list, dict, set, np.ndarray)) for name in classes):
            raise TypeError("Handwriting.among: a list or array came among the classes; names or numbers fit")
        places = {name: i for i, name in enumerate(classes)}
        missing = set(places) - set(self.classes)
        if missing:
            raise ValueError(f"Handwriting.among: {len(missing)} classes such as {min(missing, key=str)!r} came that "
                             f"are none of the {len(self.classes)} here")
        new = np.array([places.get(name, -1) for name in self.classes], np.int64)[self.labels]
        part = self.take(new >= 0)
        return replace(part, labels=new[new >= 0], classes=tuple(classes))

    def split(self, writers=None):
        """Return (train, test): by the set's own split, or with the characters of these writers to test on.

        Raises:
            ValueError: the set has no split of its own and no writers came.
        """
        if writers is None and self.tested is None:
            raise ValueError("Handwriting.split: these files name no split; split(writers=[...]) tests on the writers "
                             f"that it is given, of {np.unique(self.writers).tolist()[:20]}")
        writers = None if writers is None else as_array("Handwriting.split: writers", writers)
        if writers is not None and writers.size and writers.dtype.kind not in "iu":
            raise ShapeError(f"Handwriting.split: writers {writers.shape} of {writers.dtype} came; whole numbers fit")
        tested = self.tested if writers is None else np.isin(self.writers, writers)
        return self.take(~tested), self.take(tested)


@dataclass
class Gathering:
    """Characters as a reader meets them; `handwriting` makes arrays of them."""

    strokes: list = field(default_factory=list)                         # (n, 2) or, with times, (n, 3) arrays
    counts: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    writers: list = field(default_factory=list)
    tested: list = field(default_factory=list)

    def add(self, strokes, label, writer=-1, tested=None):
        """Append a character, a list of strokes, each a list of points."""
        self.strokes += [np.asarray(stroke, np.float64) for stroke in strokes]
        self.counts.append(len(strokes))
        self.labels.append(label)
        self.writers.append(writer)
        self.tested.append(tested)

    def handwriting(self, classes, left_out=0):
        """Return Handwriting; labels that came as names become places in classes."""
        places = {name: i for i, name in enumerate(classes)}
        points = np.concatenate(self.strokes) if self.strokes else np.empty((0, 2))
        characters = Characters(np.ascontiguousarray(points[:, :2]), starts_of([len(s) for s in self.strokes]),
                                starts_of(self.counts))
        return Handwriting(
            characters, np.array([places[name] for name in self.labels], np.int64), tuple(classes),
            np.array(self.writers, np.int64), None if None in self.tested else np.array(self.tested, bool),
            np.ascontiguousarray(points[:, 2]) if points.shape[1] > 2 else None, left_out)


def whole_numbers(words, place, what):
    """Return words as integers of up to 9 digits.

    Raises:
        FileError: one is none; `place` says where.
    """
    for word in words:
        if not WHOLE.fullmatch(word):
            raise FileError(f"{place}: {word[:30]!r} came; {what}")
    return [int(word) for word in words]

