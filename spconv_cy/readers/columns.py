"""Reads tables of points in text: .csv, .tsv, .txt, .xyz, .asc and .pts."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import as_list, checked_path
from spconv_cy.data.text import read_lines
from spconv_cy.errors import FileError, expected
from spconv_cy.readers.fields import cloud_of
from spconv_cy.writing import new_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spconv_cy.data import PointCloud
    from spconv_cy.types import Array, PathLike

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)", re.I)
MISSING = ("", "na", "n/a", "null", "none")
AXES = ("x", "y", "z")
SEPARATORS = (";", "\t", ",")


@known_arguments
def read_columns(path: PathLike, axes: Sequence[str] | None = None) -> PointCloud:
    """Read a table of points: a line for each, its columns separated by commas, semicolons, tabs or spaces.

    A first line that is no point names the columns. Without it the first three are x, y, z (two: x, y), and the others
    c3, c4 and so on. Lines that begin with # or // and empty lines are skipped; # before the names is allowed. A first
    line with one number, as in .pts files, is the number of points. Empty cells of numbers are NaN, cells of other
    columns stay text. Among names, a column without one is left out, such as the row numbers that pandas writes.

    Args:
        path: the file, UTF-8.
        axes: names of the columns with the coordinates, a list or one text with commas; None: x, y, z or, without z,
            x, y.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: rows of different lengths, or no such columns.
    """
    path = checked_path("read_columns", path)
    if axes is not None:
        axes = axes.split(",") if isinstance(axes, str) and "," in axes else axes
        axes = [str(axis).strip() for axis in as_list("read_columns", axes, "a list of names of columns")]
    rows, numbers = _rows(path)
    rows, declared = _counted(rows)
    names = _names(path, rows, axes)
    if rows and not _is_point(rows[0]):
        rows, numbers = rows[1:], numbers[-len(rows) + 1:] if len(rows) > 1 else []
    for row, number in zip(rows, numbers[-len(rows):] if rows else [], strict=True):
        if len(row) != len(names):
            raise FileError(expected(f"{path}, line {number}", f"{len(names)} columns, as in the first line", len(row)))
    if declared is not None and declared != len(rows):
        raise FileError(expected(path, f"{declared} points, as declared in the first line", len(rows),
                                 "the file is cut short or its count is wrong"))
    cells = zip(*rows, strict=True) if rows else ([] for _ in names)
    columns = {name: _column(list(column)) for name, column in zip(names, cells, strict=True) if name}
    found = axes or [axis for axis in AXES if axis in {name.lower() for name in names}]
    return cloud_of(path, columns, found if len(found) > 1 or axes else AXES, "name the coordinates, as in "
                    "axes=('px', 'py', 'pz')")


def write_columns(path: PathLike, cloud: PointCloud) -> None:
    """Write a PointCloud as .csv with a line of names; reading the file returns the same numbers."""
    names = [*(AXES if cloud.points.shape[1] <= 3 else [f"x{i}" for i in range(cloud.points.shape[1])])]
    columns = dict(zip(names, cloud.points.T, strict=False)) | dict(cloud.values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_words(column) for column in columns.values()), strict=True))
    with new_file(path) as file:
        file.write(text.getvalue().encode())


def _words(column: Array) -> list[object]:
    """Return the values of a column as the shortest words that are read as the same numbers."""
    return [str(value) for value in column] if column.dtype.kind == "f" else column.tolist()


def _rows(path: str) -> tuple[list[list[str]], list[int]]:
    """Return the cells of the lines that are no comments, and the numbers of these lines."""
    found: list[list[str]] = []
    numbers: list[int] = []
    comment: tuple[int, str] | None = None                               # the last before the first point
    separator: str | None = None
    for number, line in enumerate(read_lines(path, "utf-8"), 1):
        text = line.strip()
        if not text or text.startswith(("#", "//")):
            comment = comment if found or not text else (number, text.lstrip("#/ "))
            continue
        if not found:
            separator = next((one for one in SEPARATORS if one in text), None)
            if comment is not None and len(_cells(comment[1], separator)) == len(_cells(text, separator)):
                found.append(_cells(comment[1], separator))              # names in a comment
                numbers.append(comment[0])
        found.append(_cells(text, separator))
        numbers.append(number)
    return found, numbers


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip() for cell in cells]


def _counted(rows: list[list[str]]) -> tuple[list[list[str]], int | None]:
    """Return the rows after the number of points, if the first line has it, and the number."""
    if len(rows) and len(rows[0]) == 1 and re.fullmatch("[0-9]{1,15}", rows[0][0]) and (
            len(rows) == 1 or len(rows[1]) > 1):
        return rows[1:], int(rows[0][0])
    return rows, None


def _is_point(row: Iterable[str]) -> bool:
    """Return True if the first two cells are numbers; names of columns are not."""
    first = list(row)[:2]
    return all(NUMBER.fullmatch(cell) for cell in first if cell) and any(first)


def _names(path: str, rows: list[list[str]], axes: Sequence[str] | None) -> list[str]:
    if not rows:
        return list(axes or AXES)
    if _is_point(rows[0]):
        n = len(rows[0])
        return [*AXES[:min(n, 3)], *(f"c{i}" for i in range(3, n))]
    names = rows[0]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise FileError(expected(path, "different names of columns", f"{twice!r:.40} twice"))
    return names


def _column(cells: list[str]) -> Array:
    """Return cells as whole numbers, real ones or text."""
    if not all(NUMBER.fullmatch(cell) or cell.lower() in MISSING for cell in cells):
        return np.array(cells)
    if all(re.fullmatch("[+-]?[0-9]{1,20}", cell) for cell in cells) and cells:
        whole = [int(cell) for cell in cells]                           # times in nanoseconds have 19 digits
        if min(whole) >= -2**63 and max(whole) < (2**63 if min(whole) < 0 else 2**64):
            return np.array(whole, np.uint64 if max(whole) >= 2**63 else np.int64)
    return np.array([np.nan if cell.lower() in MISSING else float(cell) for cell in cells], np.float64)
