"""docs/architecture.md names the modules, levels, files and functions that there are."""

import re
from pathlib import Path

import pytest
from test_house import FLOORS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def table(heading):
    """Return the rows of a table, by the first column's heading and the number of the table with that heading."""
    rows, inside = [], False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith(f"| {heading} "):
            rows, inside = [*rows, []], True
        elif not line.startswith("|"):
            inside = False
        elif inside and not set(line) <= set("|-"):
            rows[-1].append(cells)
    return rows


def test_the_table_of_modules_is_the_list_that_the_house_is_checked_with():
    modules, = table("level")
    assert [int(row[0]) for row in modules] == list(range(len(FLOORS)))
    assert [set(re.findall(r"`(\w+)`", row[1])) for row in modules] == [set(floor.split()) for floor in FLOORS]


@pytest.mark.parametrize("way", [0, 1], ids=["forward", "back"])
def test_each_way_of_a_row_has_at_most_seven_files_which_define_the_names_of_the_table(way):
    steps = table("step")[way]
    assert [int(row[0]) for row in steps] == list(range(1, len(steps) + 1))
    files = [row[1].strip("`") for row in steps]
    assert len(set(files)) == len(files) <= 7
    for file, name in zip(files, (row[2].strip("`") for row in steps), strict=True):
        defined = re.search(rf"^\s*(?:def|cdef|cpdef|void|inline)\b[^\n=]*\b{name}\(", (ROOT / file).read_text(), re.M)
        assert defined, f"{file} defines no {name}"


def test_every_path_that_the_page_names_exists():
    paths = set(re.findall(r"`((?:spconv_cy|tests|benchmarks|docs)/[\w./]*)`", PAGE))
    assert len(paths) > 15
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_page_is_one_page():
    assert PAGE.count("\n") <= 120
