"""The 10,992 handwritten digits included in the package: UCI's Pen-Based Recognition of Handwritten Digits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_array, generator, is_integer
from spconv_cy.errors import expected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spconv_cy.types import Array, ArrayLike, Seed

    Digits = tuple[list[list[Array]], Array]


def digits() -> tuple[list[list[Array]], Array]:
    """Return the digits as (characters, labels): one stroke of 8 points each, x right, y down, from 0 to 100.

    44 writers wrote them on a tablet. The set's authors joined the strokes of a digit into one, resampled it to 8
    points at even spacing and stretched it to 0..100 along both axes, so that its aspect is lost.

    Returns:
        characters: a list of 10,992 lists of one (8, 2) float64 array.
        labels: (10992,) int64, from 0 to 9.

    Source: E. Alpaydin, F. Alimoglu, Pen-Based Recognition of Handwritten Digits, UCI Machine Learning Repository,
    1996, doi:10.24432/C5MG6K; CC BY 4.0. DIGITS_LICENCE.txt beside this file describes how the array was made.

    >>> characters, labels = digits()
    >>> len(characters), labels[:5].tolist(), characters[0][0].shape
    (10992, [8, 2, 1, 4, 1], (8, 2))
    """
    points, labels, _ = _file()
    return [[stroke] for stroke in points], labels


def digits_by_writers() -> tuple[Digits, Digits]:
    """Return ((characters, labels) of 30 writers to train on, (characters, labels) of 14 others to test on).

    This is UCI's own split: 7494 digits to train on, 3498 to test on, in the order of `digits`.

    >>> (train, _), (test, _) = digits_by_writers()
    >>> len(train), len(test)
    (7494, 3498)
    """
    points, labels, tested = _file()
    train, test = (([[stroke] for stroke in points[part]], labels[part]) for part in (~tested, tested))
    return train, test


@known_arguments
def digits_split(seed: Seed = 0, test: int = 3498) -> tuple[Digits, Digits]:
    """Return ((characters, labels) to train on, (characters, labels) to test on), split at random within each class.

    The same writers are in both parts, which is easier than UCI's split by writers, `digits_by_writers`; the sizes are
    the same.

    Args:
        seed: for the split.
        test: the number of digits to test on, 0 to 10,992.

    Raises:
        ValueError: test is out of range.

    >>> train, test = digits_split()
    >>> len(train[0]), len(test[0])
    (7494, 3498)
    """
    characters, labels = digits()
    if not is_integer(test) or not 0 <= test <= len(labels):
        raise ValueError(expected("digits_split", f"test to be a whole number from 0 to {len(labels)}", f"{test!r}"))
    tested = np.sort(_stratified(labels, test, generator("digits_split", seed, "seed")))
    trained = np.setdiff1d(np.arange(len(labels)), tested)
    train, rest = (([characters[i] for i in items], labels[items]) for items in (trained, tested))
    return train, rest


def as_digit(character: Sequence[ArrayLike], aspect: bool = False) -> list[Array]:
    """Return a character (a list of (n, 2) arrays) in the form of these digits: one stroke of 8 points, 0 to 100.

    Strokes are joined in their order, 8 points are taken at even spacing along the path, and both axes are stretched
    to 0..100 (an axis without extent becomes 50).

    Args:
        character: a list of strokes.
        aspect: stretch both axes by the same factor, so that the longer side is 0..100; one stroke of 8 points, such
            as `with_aspect` returns, is not sampled again, since that would cut its corners once more.

    >>> as_digit([[(0, 0), (0, 30)], [(0, 30), (40, 30)]])[0].round().tolist()[:2]
    [[0.0, 0.0], [0.0, 33.0]]
    >>> as_digit([[(0, 0), (0, 30)], [(0, 30), (40, 30)]], aspect=True)[0].round().tolist()[:2]
    [[0.0, 0.0], [0.0, 25.0]]
    """
    points = np.concatenate([as_array("as_digit", stroke, np.float64).reshape(-1, 2) for stroke in character])
    if not (aspect and len(character) == 1 and len(points) == 8):
        steps = np.diff(points, axis=0)
        way = np.concatenate([[0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
        at = np.linspace(0, way[-1], 8)
        points = np.stack([np.interp(at, way, points[:, axis]) for axis in (0, 1)], 1)
    low, extent = points.min(0), np.ptp(points, axis=0)
    side = np.full(2, extent.max()) if aspect else extent
    return [np.where(extent > 0, 100 * (points - low) / np.where(side > 0, side, 1), 50.0)]


def with_aspect(character: Sequence[ArrayLike]) -> list[Array]:
    """Return one of these digits with approximately its original aspect; its width is unchanged.

    The stretch to 0..100 lost the aspect, but before it the points were evenly spaced. The height is multiplied by the
    factor from 1/4 to 4 that minimises the relative variance of the squared distances between points. If no factor does
    (a straight line), it is 1.

    Args:
        character: a list of one stroke (n, 2), with points that were evenly spaced before the axes were stretched.

    >>> with_aspect([[(0, 0), (30, 20), (80, 20), (80, 45)]])[0].round(9).tolist()       # steps of 50, y halved
    [[0.0, 0.0], [30.0, 40.0], [80.0, 40.0], [80.0, 90.0]]
    """
    points: Array
    (points,) = (as_array("with_aspect", stroke, np.float64) for stroke in character)
    if len(points) < 3:
        return [points.copy()]
    across, down = np.diff(points, axis=0).T**2
    # With r = factor^2, mean((across + r down)^2) / mean(across + r down)^2 has its minimum at r = upper / lower.
    upper = np.mean(across**2) * down.mean() - np.mean(across * down) * across.mean()
    lower = np.mean(down**2) * across.mean() - np.mean(across * down) * down.mean()
    tiny = 1e-9 * across.mean() * down.mean() * (across.mean() + down.mean())
    if max(abs(upper), abs(lower)) <= tiny:
        return [points.copy()]
    factor = np.sqrt(upper / lower) if min(upper, lower) > 0 else np.inf if upper > 0 else 0
    return [points * (1, np.clip(factor, 0.25, 4))]


def _file() -> tuple[Array, Array, Array]:
    """Return points (n, 8, 2), labels (n,) and whether a digit is in UCI's test part (n,)."""
    with np.load(Path(__file__).with_name("digits.npz")) as file:
        labels = file["labels"].astype(np.int64)
        return file["points"].astype(np.float64), labels, np.unpackbits(file["tested"], count=len(labels)).astype(bool)


def _stratified(labels: Array, n: int, rng: np.random.Generator) -> Array:
    """Return n random indices, of each class the fraction n / len(labels) to within one."""
    # Even steps through the classes one after another, each in random order.
    order: Array = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return order[(np.arange(n) * len(labels) + rng.integers(len(labels))) // max(n, 1)]
