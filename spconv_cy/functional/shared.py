"""Whether batch normalisation takes its statistics over the rows of several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from spconv_cy.types import Array


class Statistics(Protocol):
    """Protocol of what exchanges moments and sums between processes, such as `distributed.statistics.SharedStatistics`.

    Attributes:
        counts: whether this process's rows are among those of the moments.
        rows: number of rows of the last moments.
    """

    counts: bool
    rows: int

    def moments(self, own: Array, n: int, /) -> Array:
        """Return the moments (3, c) of all rows from those of this process's n rows."""

    def sum(self, sums: Array, /) -> Array:
        """Return the sum of the processes' arrays."""


shared_statistics: ContextVar[Statistics | None] = ContextVar("shared_statistics", default=None)


@contextmanager
def sharing(statistics: Statistics | None) -> Iterator[None]:
    """Let batch normalisation in training use these statistics inside a `with` statement; None: of its own rows."""
    token = shared_statistics.set(statistics)
    try:
        yield
    finally:
        shared_statistics.reset(token)
