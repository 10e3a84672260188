"""What a network does to an input, layer by layer: rows, sizes, parameters, multiply-adds."""

from contextvars import ContextVar
from dataclasses import dataclass

from spconv_cy.layers.evaluating import evaluating

_listener = ContextVar("listener", default=None)


def step(layer, x):
    """Apply a layer inside a container; a summary that listens is told."""
    y = layer(x)
    listener = _listener.get()
    if listener is not None and not layer.children():
        listener.append(Row.of(layer, x, y))
    return y


def listens():
    """Tell whether a summary counts the layers that are called now."""
    return _listener.get() is not None


@dataclass(frozen=True)
class Row:
    """One layer of a summary.

    Attributes:
        name: the layer's notation, or its class.
        size: of the output, d ints; None: unbounded; () for a plain tensor.
        rows: active sites of the output (samples of a plain tensor).
        sites: sites of the output's field, active or not; None where unbounded.
        channels: of the output.
        parameters: numbers that training changes.
        multiply_adds: active rows * volume * channels in * channels out / groups, forward.
        pair_multiply_adds: what is really computed: pairs instead of rows * volume.
        dense_multiply_adds: the same layer over the whole field; None where unbounded.
    """

    name: str
    size: tuple
    rows: int
    sites: int
    channels: int
    parameters: int
    multiply_adds: int
    pair_multiply_adds: int
    dense_multiply_adds: int

    @classmethod
    def of(cls, layer, x, y):
        """Return the row of a layer that gave y for x."""
        grid = getattr(y, "grid", None)
        if grid is None:
            size, rows, sites, channels = (), y.shape[0], y.shape[0], y.shape[1]
        else:
            size, rows, channels = grid.size, grid.n, y.channels
            sites = None if size is None else grid.samples * grid.field
        cost = layer.multiply_adds(x, y)
        return cls(layer.notation() or type(layer).__name__, size, rows, sites, channels,
                   layer.n_parameters(), *cost)


class Summary:
    """The rows of a network on one input; prints as a table. `total(name)` adds up a column.

    Attributes:
        rows: list of Row, the input first.
    """

    def __init__(self, rows):
        self.rows = rows

    def total(self, name):
        """Return the sum of a column, None where a row of it is unknown."""
        values = [getattr(row, name) for row in self.rows]
        return None if None in values else sum(values)

    parameters = property(lambda self: self.total("parameters"))
    multiply_adds = property(lambda self: self.total("multiply_adds"))
    pair_multiply_adds = property(lambda self: self.total("pair_multiply_adds"))
    dense_multiply_adds = property(lambda self: self.total("dense_multiply_adds"))

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)

    def __str__(self):
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


def summary(net, x):
    """Run a network on x, in evaluation mode, and return its Summary."""
    rows = [Row("input", x.grid.size, x.grid.n, None if x.grid.size is None else x.grid.samples * x.grid.field,
                x.channels, 0, 0, 0, 0)] if hasattr(x, "grid") else []
    with evaluating(net):
        token = _listener.set(rows)
        try:
            step(net, x)
        finally:
            _listener.reset(token)
    return Summary(rows)


def _size(size):
    return "unbounded" if size is None else "x".join(map(str, size))


def _count(number):
    return "-" if number is None else f"{number:,}"
