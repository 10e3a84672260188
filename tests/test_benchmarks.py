"""What the benchmarks measure is what they say: fixed inputs, cases that exist, goals judged, records compared."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from oracles import window_pairs

import spconv_cy as sp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import bench_net  # noqa: E402
import compare  # noqa: E402
import goals  # noqa: E402
import workloads  # noqa: E402


@pytest.mark.parametrize(
    "name, n",
    [
        pytest.param("lidar", workloads.LIDAR_SITES, marks=pytest.mark.slow),
        ("space_time", workloads.SPACE_TIME_SITES),
        ("glyphs", workloads.GLYPH_SITES),
    ],
)
def test_inputs_have_the_known_numbers_of_distinct_sites(name, n):
    sites = getattr(workloads, name)()
    assert len(np.unique(sites, axis=0)) == len(sites) == n and sites.dtype == np.int32


def test_glyphs_give_a_deepcnet_the_known_number_of_pairs():
    sites = workloads.glyphs()
    x, pairs = sp.SparseTensor.from_sites(sites, np.zeros((len(sites), 1)), 96, 100), 0
    for layer in sp.models.deepcnet(5, 1, rng=0).layers:
        if isinstance(layer, sp.Convolution):
            pairs += x.grid.rules(layer.window)[1].n_pairs
        x = layer(x)
    assert pairs == workloads.GLYPH_PAIRS


def test_rules_of_the_workloads_are_those_of_sets():
    sites = workloads.surface(100)
    in_rows, out_rows, offset_ptr = workloads.submanifold_pairs(sites)
    k = np.repeat(np.arange(27), np.diff(offset_ptr))
    _, pairs = window_pairs(sites, (3,) * 3, (1,) * 3, (1,) * 3, (1,) * 3, keeps_sites=True)
    found = zip(k.tolist(), map(tuple, sites[in_rows].tolist()), map(tuple, sites[out_rows].tolist()), strict=True)
    assert set(found) == pairs and len(k) == len(pairs)


def test_every_goal_is_asked_of_a_case_that_is_measured():
    for case, *params, verb in goals.GOALS:
        assert hasattr(getattr(bench_net, case), f"time_{verb}") and (case, tuple(params)) in goals.CASES
    for case, name in goals.AT_MOST:
        assert hasattr(getattr(bench_net, case), f"track_{name}")


def row(case, verb, best, side="ours", peak=204.0, share=None, params=()):
    """Make a row of a record."""
    place = {"case": case, "params": list(params), "verb": verb, "side": side}
    return place | {"best": best, "median": best, "peak": peak, "share": share, "share_median": share}


def test_goals_are_judged_by_the_peak_of_their_run():
    def met(*rows):
        return {asked: met for _, asked, _, met in goals.judged(rows)}

    assert met(row("Scan", "forward", 0.01, share=0.87, params=[32])) == {"88% of the peak": False}
    assert met(row("Scan", "forward", 0.01, share=0.89, params=[32])) == {"88% of the peak": True}
    assert met(row("Rules", "sorted", 0.0051)) == {"5 ms": False}
    assert met(row("Rules", "sorted", 0.0051, peak=102.0)) == {"5 ms": True}
    assert met(row("Cold", "forward", 0.026)) == {
        "3x faster than any, published": False,
        "4x faster than any right one, published": True,
    }
    beside = met(row("Up", "forward", 0.0026), row("Up", "forward", 0.004, side="MinkowskiEngine"))
    assert beside == {"2x faster than any, published": True, "2x faster than any, in this run": False}


def test_records_are_compared_by_their_peaks(tmp_path, monkeypatch):
    for name, best, peak in (("then", 0.2, 100.0), ("now", 0.3, 50.0)):
        (tmp_path / name).write_text(json.dumps({"rows": [row("UNet", "forward", best, peak=peak)]}))
    assert compare.ratios(tmp_path / "then", tmp_path / "now") == [("ours", "UNet.forward", pytest.approx(0.75))]
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "now"), str(tmp_path / "then"), "--most", "1.3"])
    with pytest.raises(SystemExit, match="slower than 1.3 times the baseline: UNet.forward"):
        compare.main()
