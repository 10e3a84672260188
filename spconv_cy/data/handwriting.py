"""Handwriting, the result of the readers: labelled characters, with writers, times and a split where known."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, as_list
from spconv_cy.data.characters import Characters
from spconv_cy.data.packed import ranges, starts_of
from spconv_cy.errors import FileError, ShapeError, expected

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from spconv_cy.types import Array, ArrayLike

WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


@known_arguments
@dataclass(frozen=True, eq=False, repr=False)
class Handwriting:
    """Labelled characters of a data set.

    Attributes:
        characters: Characters, n of them.
        labels: (n,) int64, indices into classes.
        classes: tuple of the names of the classes.
        writers: (n,) int64, -1 where unknown.
        tested: (n,) bool, True for the test part of the set's own split; None if the set has no split.
        times: (points,) float64, the time of every pen point in the file's unit, or None.
        n_skipped: the number of characters in the files that belong to none of the requested classes.
    """

    characters: Characters
    labels: Array
    classes: tuple[Any, ...]
    writers: Array
    tested: Array | None = None
    times: Array | None = None
    n_skipped: int = 0

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        known = [name for name in ("tested", "times") if getattr(self, name) is not None]
        return (f"Handwriting({len(self)} characters, {len(self.classes)} classes, "
                f"{len(np.unique(self.writers[self.writers >= 0]))} writers{''.join(f', {name}' for name in known)})")

    def take(self, items: ArrayLike) -> Handwriting:
        """Return a subset of the characters, with their labels, writers, times and split.

        Args:
            items: indices (b,), or a mask (n,).

        Raises:
            ShapeError: items are neither whole numbers nor a mask of length n.
            IndexError: an index is out of range.
        """
        at: Array = as_array("Handwriting.take: items", items)
        n = len(self)
        if at.ndim != 1 or at.size and at.dtype.kind not in "iub" or at.dtype == bool and at.shape != (n,):
            raise ShapeError(expected("Handwriting.take", f"items (b,) of whole numbers, or a mask ({n},)",
                                      f"shape {at.shape} of {at.dtype}"))
        if at.dtype != bool:
            at = at.astype(np.int64)
            if at.size and not -n <= at.min() <= at.max() < n:
                raise IndexError(expected("Handwriting.take", f"items from 0 to {n - 1}", f"{at.min()} to {at.max()}"))
        at = np.arange(n)[at]
        characters, strokes = self.characters.take(at)
        starts, ends = self.characters.stroke_starts[strokes], self.characters.stroke_starts[1:][strokes]
        return Handwriting(characters, self.labels[at], self.classes, self.writers[at],
                           None if self.tested is None else self.tested[at],
                           None if self.times is None else self.times[ranges(starts, ends)])

    def with_classes(self, classes: Iterable[Hashable]) -> Handwriting:
        """Return the characters of some classes; their labels become indices into `classes`.

        Raises:
            ValueError: a class that this set does not have.
        """
        classes = as_list("Handwriting.with_classes", classes, "a list of classes")
        if any(isinstance(name, (list, dict, set, np.ndarray)) for name in classes):
            raise TypeError(expected("Handwriting.with_classes", "classes that are names or numbers",
                                     "a list or array"))
        places = {name: i for i, name in enumerate(classes)}
        missing = set(places) - set(self.classes)
        if missing:
            raise ValueError(expected("Handwriting.with_classes",
                                      f"some of the {len(self.classes)} classes of this set",
                                      f"{len(missing)} others, such as {min(missing, key=str)!r}"))
        new = np.array([places.get(name, -1) for name in self.classes], np.int64)[self.labels]
        part = self.take(new >= 0)
        return replace(part, labels=new[new >= 0], classes=tuple(classes))

    def split(self, writers: ArrayLike | None = None) -> tuple[Handwriting, Handwriting]:
        """Return (train, test).

        Args:
            writers: the writers to test on; None: use the set's own split.

        Raises:
            ValueError: the set has no split of its own, and no writers are given.
        """
        if writers is None:
            if self.tested is None:
                raise ValueError(expected("Handwriting.split", "writers to test on, as this set has no split of its "
                                          "own", None, "call split(writers=[...]) with some of "
                                          f"{np.unique(self.writers).tolist()[:20]}"))
            return self.take(~self.tested), self.take(self.tested)
        chosen: Array = as_array("Handwriting.split: writers", writers)
        if chosen.size and chosen.dtype.kind not in "iu":
            raise ShapeError(expected("Handwriting.split", "writers as whole numbers",
                                      f"shape {chosen.shape} of {chosen.dtype}"))
        tested = np.isin(self.writers, chosen)
        return self.take(~tested), self.take(tested)


@dataclass
class Gathering:
    """Collects characters while a reader reads; `handwriting` packs them into arrays."""

    strokes: list[Array] = field(default_factory=list)                  # (n, 2) or, with times, (n, 3)
    counts: list[int] = field(default_factory=list)
    labels: list[Hashable] = field(default_factory=list)
    writers: list[int] = field(default_factory=list)
    tested: list[bool | None] = field(default_factory=list)

    def add(self, strokes: Sequence[ArrayLike], label: Hashable, writer: int = -1, tested: bool | None = None) -> None:
        """Append a character: a list of strokes, each a list of points."""
        self.strokes += [np.asarray(stroke, np.float64) for stroke in strokes]
        self.counts.append(len(strokes))
        self.labels.append(label)
        self.writers.append(writer)
        self.tested.append(tested)

    def handwriting(self, classes: Sequence[Hashable], n_skipped: int = 0) -> Handwriting:
        """Return Handwriting; the labels, names among `classes`, become indices."""
        places = {name: i for i, name in enumerate(classes)}
        points = np.concatenate(self.strokes) if self.strokes else np.empty((0, 2))
        characters = Characters(np.ascontiguousarray(points[:, :2]), starts_of([len(s) for s in self.strokes]),
                                starts_of(self.counts))
        return Handwriting(
            characters, np.array([places[name] for name in self.labels], np.int64), tuple(classes),
            np.array(self.writers, np.int64), None if None in self.tested else np.array(self.tested, bool),
            np.ascontiguousarray(points[:, 2]) if points.shape[1] > 2 else None, n_skipped)


def whole_numbers(words: Iterable[str], place: str, what: str) -> list[int]:
    """Return words as integers of up to 9 digits.

    Args:
        words: the words.
        place: the file and line, for the error.
        what: what is expected, for the error.

    Raises:
        FileError: a word is not such an integer.
    """
    words = list(words)
    for word in words:
        if not WHOLE.fullmatch(word):
            raise FileError(expected(place, what, f"{word[:30]!r}"))
    return [int(word) for word in words]
