"""The batches of an epoch, dealt out to ranks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from spconv_cy.distributed.ranks import Ranks
from spconv_cy.errors import expected

if TYPE_CHECKING:
    from collections.abc import Callable


def shard(data: Any, ranks: Ranks, epoch: int, seed: int, *, training: bool) -> Iterator[tuple[int, bool, Any, Any]]:
    """Yield (number of the batch, whether it is this rank's, x, labels), as often on every rank.

    In round i, rank r of n has batch i * n + r of the epoch. If the last round has fewer batches than ranks, the ranks
    without one get the round's first batch and False: they compute along, and nothing of it may count.

    Args:
        data: an object with `epoch(epoch, seed, training=)`. If `epoch` has an argument `choose` (see `Batches`), only
            this rank's batches are made.
        ranks: Ranks.
        epoch, seed, training: for `data.epoch`.
    """
    rank, size = ranks.rank, ranks.size
    if size == 1:
        for i, (x, labels) in enumerate(data.epoch(epoch, seed, training=training)):
            yield i, True, x, labels
        return
    if "choose" in inspect.signature(data.epoch).parameters:
        chosen: list[int] = []
        for i, (x, labels) in enumerate(data.epoch(epoch, seed, training=training, choose=dealt(rank, size, chosen))):
            yield chosen[i], chosen[i] == i * size + rank, x, labels
        return
    batches = iter(data.epoch(epoch, seed, training=training))
    for i in range(0, 2**62, size):
        turn = list(islice(batches, size))
        if not turn:
            return
        mine = rank < len(turn)
        place = rank if mine else 0
        yield i + place, mine, *turn[place]


def check_same(who: str, ranks: Ranks, data: Any, **numbers: object) -> None:
    """Raise ValueError if the ranks have other data or other numbers than each other.

    Args:
        who: the name that errors begin with.
        ranks: Ranks.
        data: as for `shard`.
        numbers: values by name.
    """
    if ranks.size == 1:
        return
    batch = getattr(data, "batch", None)
    numbers = {"samples": len(data), "batch": batch if isinstance(batch, int) else None, **numbers}
    for rank, others in enumerate(ranks.gather(numbers)):
        for name, value in numbers.items():
            if others[name] != value:
                raise ValueError(expected(who, f"the same {name} on all ranks, on this one {value}",
                                          f"{others[name]} on rank {rank}",
                                          "give every rank the same data and arguments"))


def dealt(rank: int, size: int, chosen: list[int]) -> Callable[[int], Sequence[int]]:
    """Return a function of the number of batches that returns the numbers of a rank's batches, as `shard` deals them.

    Args:
        rank, size: of the rank and the ranks.
        chosen: empty list that the function fills with the same numbers.
    """
    def choose(n: int) -> list[int]:
        chosen[:] = [first + rank if first + rank < n else first for first in range(0, n, size)]
        return chosen

    return choose
