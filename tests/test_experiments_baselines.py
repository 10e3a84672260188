"""The baselines run where scikit-learn is there, and say what they need where it is not."""

import sys

import pytest
from experiment_runs import rows, run, tiny


def test_the_baselines_of_the_digits_run(tmp_path):
    pytest.importorskip("sklearn")
    done, record = tiny(tmp_path, "baselines.py", "--tasks", "digits, writers", "omniglot")
    assert "omniglot: no omniglot_strokes.npz" in done.stdout
    found = record["figures"]["digits, writers: support vectors on direction maps"]
    assert found["error"] == len(found["wrong"]) / 100 < 0.2 and found["setting"].startswith("C = ")
    (table,) = record["tables"].values()
    assert len(rows(table)) == 2 + 5


def test_the_baselines_say_what_they_need(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    refused = run(tmp_path, "baselines.py", "--tiny")
    assert refused.returncode == 1 and "expected scikit-learn, got none; pip install scikit-learn" in refused.stderr
