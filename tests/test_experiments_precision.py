"""The experiment on bfloat16 and int8 runs without data, and its table says what it found."""

import pytest
from experiment_runs import rows, tiny

pytest.importorskip("matplotlib")
pytest.importorskip("spconv_cy.compiled.small")


def test_trained_networks_are_compared_in_three_precisions(tmp_path):
    done, record = tiny(tmp_path, "precision.py")
    head, _, *lines = rows(next(iter(record["tables"].values())))
    assert head[0] == "task" and len(lines) == 6                         # the characters are not there
    assert "kanjivg-*.whl" in done.stdout
    for exact, half, small in (lines[:3], lines[3:]):
        assert [row[3] for row in (exact, half, small)] == ["float32", "bfloat16", "int8"]
        wrong, differ, weights = ([float(row[i]) for row in (exact, half, small)] for i in (4, 6, 8))
        assert all(abs(error - wrong[0]) <= other for error, other in zip(wrong, differ, strict=True))
        assert differ[0] == 0 and weights[0] >= weights[1] >= weights[2]
    assert {"digits.csv", "lidar.csv"} <= set(record["logs"])
