"""The page on people's own data: its blocks run, its names exist."""

import re
from pathlib import Path

import spconv_cy as sp

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "own_data.md").read_text()


def test_the_blocks_run_in_turn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 4 and names["rows"].shape == (500, 8) and names["voxels"].points.shape[1:] == (5, 4)
    assert names["cloud"].labels().tolist() == [0, 1] and (tmp_path / "hits.ply").stat().st_size > 100


def test_the_readers_that_it_names_exist_and_all_are_named():
    named = set(re.findall(r"\bread_\w+", PAGE))
    assert named <= set(dir(sp.readers))
    assert {name for name in dir(sp.readers) if name.startswith("read_")} - named <= {
        "read_events", "read_mesh", "read_scan", "read_voxels", "read_columns"}
    endings = set(re.findall(r"`(\.\w+)`", PAGE))
    from spconv_cy.readers.points import READERS, TABLES

    assert {*READERS, *TABLES} <= endings
