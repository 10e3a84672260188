"""The model of a step's time in benchmarks/rank_model.py finds the numbers that made the times."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import rank_model  # noqa: E402


def made_rows():
    """Return rows whose times a formula gives, written out here once more."""
    rows = []
    for name, compute, waits, rounds, size in ("a", 0.03, 0.001, 3, 10**6), ("b", 0.05, 0.004, 33, 4 * 10**6):
        for n, link in ((1, None), (2, None), (4, None), (2, (1000, 0)), (2, (100, 5)), (4, (100, 2)), (4, (1000, 0))):
            slow, share = np.array([1.0, 1.4, 1.2]), max(1, n / 2)
            messages, sent = rounds * (n - 1), 2 * size * (n - 1) // n
            seconds = (compute + waits * np.sqrt(2 * np.log(n))) * slow * share + messages * share * 7e-6
            if n > 1 and link is None:
                seconds = seconds + rounds * 2e-5 + sent * 0.3e-9
            elif n > 1:
                mbit, ms = link
                seconds = seconds + rounds * (4e-5 + 1.5 * ms / 1e3) + sent * (8e-6 / mbit + 2e-9 * share)
            rows.append({"name": name, "ranks": n, "link": link, "share": share, "messages": messages, "bytes": sent,
                         "seconds": seconds.tolist(), "slow": slow.tolist()})
    return rows


def test_the_fit_finds_what_made_the_times():
    fit = rank_model.fitted(made_rows(), 7e-6)
    for found, expected in ((fit["compute"], {"a": 0.03, "b": 0.05}), (fit["waits"], {"a": 0.001, "b": 0.004})):
        assert found == pytest.approx(expected, rel=1e-6)
    assert [fit[name] for name in ("latency", "per_gb", "way", "way_per_gb", "trips")] == pytest.approx(
        [2e-5, 0.3, 4e-5, 2.0, 1.5], rel=1e-6)
    for row in made_rows():
        assert rank_model.predicted(fit, row) == pytest.approx(np.median(row["seconds"]))


def test_more_ranks_are_worth_less_and_larger_batches_and_hosts_help():
    rows = made_rows()
    fit, cluster = rank_model.fitted(rows, 7e-6), (1.25e9, 5e-5)
    net = rank_model.Network(fit, rows[8])
    assert (rows[8]["name"], rows[8]["ranks"], rows[8]["link"]) == ("b", 2, None)
    assert net.step(1, cluster) == pytest.approx(0.05)
    steps = [net.step(n, cluster) for n in (1, 2, 10, 100, 1000)]
    assert steps == sorted(steps)
    assert net.worth(cluster, batches=8) > net.worth(cluster)
    pays = net.pays(cluster)
    assert net.step(pays, cluster, host=16) < net.step(pays, cluster)
    assert net.step(1000, cluster, host=16) < net.step(1000, cluster) / 2


def test_the_tables_of_the_page_are_those_of_the_record():
    record = json.loads((ROOT / "docs" / "benchmarks" / "ranks.json").read_text())
    rows = [line for line in "\n".join(rank_model.report(record)).splitlines() if line.startswith("|")]
    page = (ROOT / "docs" / "scale.md").read_text().splitlines()
    assert len(rows) > 20
    assert not [row for row in rows if row not in page]
