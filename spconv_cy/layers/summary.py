"""Summaries of networks on an input, layer by layer: rows, sizes, parameters, multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spconv_cy.layers.evaluating import evaluating
from spconv_cy.layers.listening import listener, step


@dataclass(frozen=True)
class Row:
    """One layer of a summary.

    Attributes:
        name: the layer's notation, or its class.
        size: of the output, d ints; None: unbounded; () for a plain tensor.
        rows: active sites of the output (samples of a plain tensor).
        sites: sites of the output's field, active or not; None if unbounded.
        channels: of the output.
        parameters: numbers that training changes.
        multiply_adds: active rows * volume * channels in * channels out / groups, forward.
        pair_multiply_adds: what is computed: pairs instead of rows * volume.
        dense_multiply_adds: the same layer over the whole field; None if unbounded.
    """

    name: str
    size: tuple[int, ...] | None
    rows: int
    sites: int | None
    channels: int
    parameters: int
    multiply_adds: int
    pair_multiply_adds: int
    dense_multiply_adds: int | None

    @classmethod
    def of(cls, layer: Any, x: Any, y: Any) -> Row:
        """Return the row of a layer that gave y for x."""
        grid = getattr(y, "grid", None)
        if grid is None:
            size, rows, sites, channels = (), y.shape[0], y.shape[0], y.shape[1]
        else:
            size, rows, channels = grid.size, grid.n, y.channels
            sites = grid.n_dense
        cost = layer.multiply_adds(x, y)
        return cls(layer.notation() or type(layer).__name__, size, rows, sites, channels,
                   layer.n_parameters(), *cost)


class Summary:
    """The rows of a network on one input. It prints as a table; `total(name)` is the sum of a column.

    Attributes:
        rows: list of Row, the input first.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def total(self, name: str) -> int | None:
        """Return the sum of a column; None if one of its rows is None."""
        values = [getattr(row, name) for row in self.rows]
        return None if None in values else sum(values)

    @property
    def parameters(self) -> int | None:
        """Return the number of parameters."""
        return self.total("parameters")

    @property
    def multiply_adds(self) -> int | None:
        """Return the multiply-adds by active rows and volume."""
        return self.total("multiply_adds")

    @property
    def pair_multiply_adds(self) -> int | None:
        """Return the multiply-adds that are computed."""
        return self.total("pair_multiply_adds")

    @property
    def dense_multiply_adds(self) -> int | None:
        """Return the multiply-adds over the whole field; None if it is unbounded."""
        return self.total("dense_multiply_adds")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __str__(self) -> str:
        heads = ("layer", "size", "active rows", "of sites", "channels", "parameters", "multiply-adds", "by pairs",
                 "dense")
        lines = [(row.name, _size(row.size), _count(row.rows), _count(row.sites), str(row.channels),
                  _count(row.parameters), _count(row.multiply_adds), _count(row.pair_multiply_adds),
                  _count(row.dense_multiply_adds)) for row in self.rows]
        lines.append(("total", "", "", "", "", _count(self.parameters), _count(self.multiply_adds),
                      _count(self.pair_multiply_adds), _count(self.dense_multiply_adds)))
        widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
        return "\n".join("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w)
                                   for i, (cell, w) in enumerate(zip(line, widths, strict=True))).rstrip()
                         for line in (heads, *lines))

    __repr__ = __str__


def summary(net: Any, x: Any) -> Summary:
    """Run a network on x in evaluation mode and return its Summary."""
    rows = [Row("input", x.grid.size, x.grid.n, x.grid.n_dense,
                x.channels, 0, 0, 0, 0)] if hasattr(x, "grid") else []
    with evaluating(net):
        token = listener.set(lambda *run: rows.append(Row.of(*run)))
        try:
            step(net, x)
        finally:
            listener.reset(token)
    return Summary(rows)


def _size(size: tuple[int, ...] | None) -> str:
    return "unbounded" if size is None else "x".join(map(str, size))


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
