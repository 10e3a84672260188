"""Frozen networks take no more memory than was told, in random runs of benchmarks/bench_memory.py."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("spconv_cy.compiled.memory")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import bench_memory  # noqa: E402


@pytest.mark.parametrize("count, most", [(24, 30_000), pytest.param(1000, 50_000, marks=pytest.mark.slow)])
def test_no_random_run_takes_more_than_was_told_and_little_less(count, most):
    found = list(bench_memory.runs(count, 0 if count > 100 else 5, most))
    assert not [(what, told, took) for what, told, took, _ in found if took > told]
    large = [(told / took, what) for what, told, took, _ in found if took >= bench_memory.MEGABYTE]
    assert max(large)[0] <= bench_memory.MOST, max(large)
    assert len(large) >= count // 10 and any(updated for *_, updated in found)
