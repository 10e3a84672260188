"""Tests that run many cases in turn: all run, and all that fail are named."""

import inspect
import os

import numpy as np
import pytest
from in_turn import each


def test_every_case_runs_with_fixtures_of_its_own(rng, tmp_path, monkeypatch):
    seen, drawn = [], np.random.default_rng(20140922).random()

    @each("a, b", [(1, "x"), (2, "y")])
    @each("c", [10, 20], ids=str)
    def test(a, b, c, rng, tmp_path, monkeypatch):
        assert "OF_A_CASE" not in os.environ and not list(tmp_path.iterdir())
        monkeypatch.setenv("OF_A_CASE", b)
        (tmp_path / "file").touch()
        seen.append((a, b, c, rng.random()))

    assert list(inspect.signature(test).parameters) == ["rng", "tmp_path", "monkeypatch"]
    test(rng=rng, tmp_path=tmp_path, monkeypatch=monkeypatch)
    assert seen == [(1, "x", 10, drawn), (1, "x", 20, drawn), (2, "y", 10, drawn), (2, "y", 20, drawn)]
    assert "OF_A_CASE" not in os.environ


def test_all_that_fail_are_named():
    ran = []

    @each("n, why", [(1, "fine"), (2, "bad"), (3, "skipped"), (4, "fails"), (5, "ends")], ids=str)
    def test(n, why):
        ran.append(n)
        assert why != "bad", "told"
        if why == "skipped":
            pytest.skip("not here")
        if why == "fails":
            pytest.fail("at once")
        if why == "ends":
            raise SystemExit(3)

    with pytest.raises(pytest.fail.Exception) as caught:
        test()
    assert ran == [1, 2, 3, 4, 5]
    assert str(caught.value).startswith("3 of 5 cases: 2-bad; 4-fails; 5-ends\ncase 2-bad\nTraceback")
    assert "AssertionError: told" in str(caught.value) and "at once" in str(caught.value)


def test_it_is_skipped_where_all_cases_are():
    with pytest.raises(pytest.skip.Exception, match="not here"):
        each("n", [1, 2])(lambda n: pytest.skip("not here"))()
    each("n", [1, 2])(lambda n: n == 1 and pytest.skip("not here"))()
