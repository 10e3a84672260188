"""The rows of a PLY file, as text or binary: where each begins, how long its lists are, and the numbers in them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import repeat
from struct import Struct
from struct import error as struct_error
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.data.packed import ranges
from spconv_cy.data.text import lines_of
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.polygons import floats_of, is_number, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from spconv_cy.types import Array, PathLike

    Lists = list[tuple[int, str, str]]              # of each list: units before its count, types of count and numbers

FACES = ("vertex_indices", "vertex_index")
KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
N_WHOLE = 6
LOW, HIGH = (np.array([float(getattr((np.iinfo if kind[0] in "iu" else np.finfo)(kind), end)) for kind in KINDS])
             for end in ("min", "max"))
HIGH[6], LOW[6] = 3.4028235677973362e38, -3.4028235677973362e38          # the largest that rounds to a float32
COUNTERS = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}           # struct's names of types


@dataclass
class Table:
    """A declared table: its name, its number of rows, and {property: (type of a list's count or None, type)}."""

    name: str
    n: int
    properties: dict[str, tuple[str | None, str]] = field(default_factory=dict)


@dataclass
class Rows:
    """The rows of a table. Lists divide a row into segments: one begins with the row, one after each list.

    Attributes:
        body: the Body.
        table: the Table.
        starts: (n, lists + 1) int64, where segments begin in the body.
        sizes: (n, lists) int64, the sizes of the lists.
    """

    body: Body
    table: Table
    starts: Array
    sizes: Array

    def numbers(self, name: str) -> Array:
        """Return the numbers (n,) of a property that is not a list, as float64."""
        segment, gap = self.body.layout(self.table)[2][name]
        return self.body.take(self.starts[:, segment] + gap, self.table.properties[name][1]).astype(np.float64)

    def lists(self, name: str) -> tuple[Array, Array]:
        """Return the sizes (n,) of a property's lists, and the numbers of all lists, one list after another."""
        segment, _ = self.body.layout(self.table)[2][name]
        kind, sizes = self.table.properties[name][1], self.sizes[:, segment]
        width = self.body.width(kind)
        first = self.starts[:, segment + 1] - sizes * width
        return sizes, self.body.take(np.repeat(first, sizes) + width * ranges(np.zeros_like(sizes), sizes), kind)


class Body:
    """The part of a PLY file after the header.

    Positions in it are counted in units: bytes in a binary file, numbers in a text file.

    Args:
        path: the file, for errors.
        content: bytes.
        order: "<" or ">", or None: a text.
        tables: those declared.
        header: its length in (lines, bytes).
    """

    def __init__(self, path: PathLike, content: bytes, order: str | None, tables: list[Table],
                 header: tuple[int, int]) -> None:
        self.path, self.order, self.at, self.line = f"{path}", order, 0, 0
        self.ends: Array | None = None                                  # where the lines of a text end, in numbers
        self.values: list[float] | None = None
        if order is not None:
            self.content = content
            self.units: Array = np.frombuffer(content, np.uint8)
            return
        words: list[bytes] = []
        ends: list[int] = []
        self.lines: list[int] = []
        for number, line in enumerate(lines_of(self.path, content, header[1]), header[0] + 1):
            found = line.split()
            if found:
                words += found
                ends.append(len(words))
                self.lines.append(number)
        self.units = self._numbers(words, ends)
        if len(ends) != 1 or sum(table.n for table in tables if table.properties) == 1:
            self.ends = np.array(ends, np.int64)                        # else one line holds all rows

    def _numbers(self, words: list[bytes], ends: list[int]) -> Array:
        numbers = floats_of(words)
        if numbers is not None:
            return numbers
        at = next(i for i, word in enumerate(words) if not is_number(word))
        line = self.lines[int(np.searchsorted(ends, at, "right"))]
        raise FileError(expected(f"{self.path}, line {line}", "numbers in the rows", shown(words[at])))

    def width(self, kind: str) -> int:
        """Return the number of units of a number."""
        return 1 if self.order is None else int(kind[1])

    def take(self, places: Array, kind: str) -> Array:
        """Return the numbers that begin at these units."""
        if self.order is None or not len(places):
            return self.units[places]
        return np.ndarray(len(self.units) - self.width(kind) + 1, self.order + kind, self.units, 0, (1,))[places]

    def layout(self, table: Table) -> tuple[Lists, int, dict[str, tuple[int, int]]]:
        """Return (lists, tail, places).

        lists: for each list, the units before its count and the types of its count and of its numbers.
        tail: the units after the last list.
        places: {property: (its segment, the units before it in the segment)}.
        """
        lists: Lists = []
        places: dict[str, tuple[int, int]] = {}
        gap = 0
        for name, (count, kind) in table.properties.items():
            places[name] = len(lists), gap
            gap += self.width(kind)
            if count is not None:
                lists.append((places[name][1], count, kind))
                gap = 0
        return lists, gap, places

    def rows(self, table: Table) -> Rows:
        """Return the next rows, and move past them; the time grows with their bytes and the number of properties.

        Raises:
            FileError: fewer, longer or shorter rows than declared; an impossible size of a list; in a text, a number
                that its property's type cannot hold.
        """
        lists, tail, _ = self.layout(table)
        n = table.n if table.properties else 0
        if n > len(self.units):
            raise FileError(expected(self.path, f"{n} rows of {table.name}, as declared", f"{len(self.units)} "
                                     f"{self._unit()}", "the file is cut short or its counts are wrong"))
        begin = self.at
        limits: Iterable[int] = repeat(len(self.units))
        if self.ends is not None:
            limits = self.ends[self.line:self.line + n].tolist()
        rows = self._equal(table, n, lists, tail, limits) if n else None
        if rows is None and n and self.order is not None and lists:
            rows = self._chained(table, n, lists, tail)
        if rows is None:
            rows = self._walk(table, n, lists, tail, limits)
        if self.order is None and n:
            self._check_types(rows, begin)
        self.line += n
        return rows

    def end(self, tables: list[Table]) -> None:
        """Check that nothing follows the last row.

        Raises:
            FileError: more rows, or anything else.
        """
        left, what, place = len(self.units) - self.at, self._unit(), self.path
        if self.ends is not None and left:
            left, what, place = len(self.ends) - self.line, "lines", self._place(0)
        if left:
            total = sum(table.n for table in tables if table.properties)
            raise FileError(expected(place, f"the end of the file after the {total} rows that the header declares",
                                     f"{left} more {what}", "declare them, or remove them"))

    def _unit(self) -> str:
        return "bytes" if self.order else "numbers"

    def _equal(self, table: Table, n: int, lists: Lists, tail: int, limits: Iterable[int]) -> Rows | None:
        """Return the next n rows if all have lists of the same sizes, else None."""
        begin = self.at
        first = self._walk(table, 1, lists, tail, limits)
        width = self.at - begin
        self.at = begin
        if begin + n * width > len(self.units) or (
                self.ends is not None and limits != list(range(begin + width, begin + (n + 1) * width, width))):
            return None
        block = self.units[begin:begin + n * width].reshape(n, width)
        for (gap, count, _), start in zip(lists, first.starts[0] - begin, strict=False):
            sizes = block[:, start + gap:start + gap + self.width(count)]
            if not (sizes == sizes[:1]).all():
                return None
        self.at += n * width
        return Rows(self, table, first.starts + width * np.arange(n)[:, None], np.repeat(first.sizes, n, 0))

    def _chained(self, table: Table, n: int, lists: Lists, tail: int) -> Rows | None:
        """Return the next n rows of a binary table if following its lists stays inside the file, else None."""
        gaps = [gap for gap, _, _ in lists]
        widths = np.array([self.width(count) for _, count, _ in lists])
        steps = np.array([self.width(kind) for _, _, kind in lists])
        skips = widths + [*gaps[1:], gaps[0] + tail]
        parts = list(zip([self._counter(count) for _, count, _ in lists], steps.tolist(), skips.tolist(), strict=True))
        at = first = self.at + gaps[0]
        try:
            found = [at := at + skip + step * read(at) for _ in range(n) for read, step, skip in parts]
        except (IndexError, struct_error):
            return None
        counts = np.array([first, *found[:-1]]).reshape(n, -1)          # where the counts of the lists begin
        sizes = (np.array(found).reshape(n, -1) - counts - skips) // steps
        end = found[-1] - gaps[0]
        if (sizes < 0).any() or end > len(self.units):
            return None
        starts = np.column_stack([counts[:, 0] - gaps[0], counts + widths + sizes * steps])
        self.at = end
        return Rows(self, table, starts, sizes)

    def _walk(self, table: Table, n: int, lists: Lists, tail: int, limits: Iterable[int]) -> Rows:
        """Return the next n rows, found one after another."""
        at, starts, sizes, row = self.at, array("q"), array("q"), -1
        parts = [(gap, self._counter(count), self.width(count), self.width(kind)) for gap, count, kind in lists]
        for row, limit in zip(range(n), limits):                        # noqa: B905 (a text may hold fewer lines)
            begin = at
            starts.append(at)
            for gap, read, width, step in parts:
                at += gap
                if at + width > limit:
                    raise self._odd_row(table, row, begin, at + width, limit, "at least ")
                size = read(at)
                if not 0 <= size <= len(self.units) or size != int(size):
                    raise FileError(expected(self._place(row), f"a list of 0 or more numbers in row {row} of "
                                             f"{table.name}, at most as many as in the file", size))
                at += width + int(size) * step
                sizes.append(int(size))
                starts.append(at)
            at += tail
            if at > limit or self.ends is not None and at != limit:
                raise self._odd_row(table, row, begin, at, limit)
        if row < n - 1:
            raise self._cut(table, row + 1)
        self.at = at
        return Rows(self, table, np.array(starts, np.int64).reshape(n, len(lists) + 1),
                    np.array(sizes, np.int64).reshape(n, len(lists)))

    def _counter(self, count: str) -> Callable[[int], Any]:
        """Return a function from the unit at which a list's count begins to the count."""
        if self.order is None:
            self.values = self.values or self.units.tolist()
            return self.values.__getitem__
        read = Struct(self.order + COUNTERS[count]).unpack_from
        return self.content.__getitem__ if count == "u1" else lambda at: read(self.content, at)[0]

    def _place(self, row: int) -> str:
        return self.path if self.ends is None else f"{self.path}, line {self.lines[self.line + row]}"

    def _cut(self, table: Table, row: int) -> FileError:
        return FileError(expected(self.path, f"{table.n} rows of {table.name}", f"the end of the file in row {row}",
                                  "it is cut short or its counts are wrong"))

    def _odd_row(self, table: Table, row: int, begin: int, at: int, limit: int, least: str = "") -> FileError:
        if self.ends is None:
            return self._cut(table, row)
        return FileError(expected(self._place(row), f"{least}{at - begin} numbers in row {row} of {table.name}, as the "
                                  "header declares", limit - begin, "declare what the rows hold, or correct the row"))

    def _check_types(self, rows: Rows, begin: int) -> None:
        """Check that the types of the properties can hold the numbers of a text."""
        fields = [(name, part) for name, (count, kind) in rows.table.properties.items()
                  for part in (kind,) * (count is None) + (count, kind) * (count is not None)]
        lengths = np.ones((len(rows.starts), len(fields)), np.int64)
        lengths[:, [i for i, (name, part) in enumerate(fields) if i and fields[i - 1][0] == name]] = rows.sizes
        codes = np.repeat(np.tile([KINDS.index(part) for _, part in fields], len(lengths)), lengths.ravel())
        values = self.units[begin:self.at]
        finite = np.isfinite(values)
        wrong = finite & ((values < LOW[codes]) | (values > HIGH[codes]))
        wrong |= (codes < N_WHOLE) & ~(finite & (values == np.floor(values)))
        for at in np.flatnonzero(wrong)[:1]:
            row, column = divmod(int(np.searchsorted(np.cumsum(lengths), at, "right")), len(fields))
            (name, part), value = fields[column], values[at]
            what = f"in face {row}" if rows.table.name == "face" and name in FACES else (
                f"as {name} of row {row} of {rows.table.name}")
            raise FileError(expected(self._place(row), f"{np.dtype(part).name} from {LOW[codes[at]]:.9g} to "
                                     f"{HIGH[codes[at]]:.9g}, as the header declares", f"{value} {what}"))
