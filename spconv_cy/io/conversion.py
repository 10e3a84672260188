"""The report of a conversion: which array of a file went where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spconv_cy.checks import name_shown, shortened

UNCHANGED = "unchanged"


@dataclass(eq=False)
class Match:
    """One array that was copied.

    Attributes:
        name, shape: of the array in the file.
        path, new_shape: of the array in the network.
        how: the reading of a weight, such as "krsc"; "(1, c)" for a row of channels; "unchanged".
    """

    name: str
    shape: tuple[int, ...]
    path: str
    new_shape: tuple[int, ...]
    how: str


@dataclass(eq=False)
class Conversion:
    """The report of `convert`; it prints as a table.

    Attributes:
        source: name of the library.
        matched: a Match for each array that was copied, in the order of the network.
        missing: arrays of the network that the file does not have; they keep their values.
        left_over: arrays of the file that the network does not have.
        skipped: arrays of the file that no network needs, such as num_batches_tracked.
        outside: arrays of the file that do not belong to the network, by the prefix.
    """

    source: str
    matched: tuple[Match, ...]
    missing: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def reshaped(self) -> tuple[Match, ...]:
        """Return the matches whose arrays changed their shape or their order."""
        return tuple(match for match in self.matched if match.how != UNCHANGED)

    def __len__(self) -> int:
        return len(self.matched)

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matched)

    def __str__(self) -> str:
        rows = [(name_shown(match.name), _shown(match.shape), match.path, _shown(match.new_shape), match.how)
                for match in self.matched]
        lines = [(f"from {self.source}", "shape", "to", "shape", "read as"), *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        counts = [f"{len(self.matched)} arrays matched, {len(self.reshaped)} of them reshaped"]
        for what, names in (("missing", self.missing), ("left over", self.left_over), ("skipped", self.skipped),
                            ("outside the network", self.outside)):
            counts += [f"{len(names)} {what}: {shortened(names)}"] if names else []
        return "\n".join([*table, *counts])

    __repr__ = __str__


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"
