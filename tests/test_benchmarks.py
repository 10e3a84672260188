"""What the benchmarks measure is what they say: fixed inputs, cases that exist, goals judged, records compared."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from oracles import window_pairs

import spconv_cy as sp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import bench_converted  # noqa: E402
import bench_latency  # noqa: E402
import bench_net  # noqa: E402
import bench_ranks  # noqa: E402
import compare  # noqa: E402
import converted  # noqa: E402
import goals  # noqa: E402
import idle  # noqa: E402
import loops  # noqa: E402
import networks  # noqa: E402
import picture  # noqa: E402
import scenes  # noqa: E402
import workloads  # noqa: E402


@pytest.mark.parametrize(
    "name, n",
    [
        pytest.param("lidar", workloads.LIDAR_SITES, marks=pytest.mark.slow),
        pytest.param("space_time", workloads.SPACE_TIME_SITES, marks=pytest.mark.slow),
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


def test_the_memory_of_a_pass_is_counted_without_its_rulebook(monkeypatch):
    monkeypatch.setattr(workloads, "indoor_scan", lambda: workloads.surface(2000))
    assert abs(loops._forward()["MB"]) < 20


def test_every_goal_is_asked_of_a_case_that_is_measured():
    for case, *params, verb in goals.GOALS:
        assert hasattr(getattr(bench_net, case), f"time_{verb}") and (case, tuple(params)) in goals.CASES
    for case, name in goals.AT_MOST:
        assert hasattr(getattr(bench_net, case), f"track_{name}")


@pytest.mark.parametrize("wrong", [("--ranks", "3"), ("--rounds", "0"), ("--epochs", "1")])
def test_ranks_without_equal_batches_or_a_counted_epoch_are_refused(wrong, monkeypatch, capsys):
    monkeypatch.setattr(bench_ranks, "run", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr("sys.argv", ["bench_ranks.py", *wrong])
    with pytest.raises(SystemExit):
        bench_ranks.main()
    assert wrong[0] in capsys.readouterr().err


def row(case, verb, best, side="ours", peak=204.0, share=None, params=()):
    """Make a row of a record."""
    place = {"case": case, "params": list(params), "verb": verb, "side": side}
    return place | {"best": best, "median": best, "peak": peak, "share": share, "share_median": share}


def record(rows, isa="avx512f"):
    """Make a record of rows."""
    sides = {"ours": {"versions": {"isa": isa}}}
    return {"machine": {"sides": sides}, "rows": list(rows), "figures": [], "verdicts": []}


def test_goals_are_judged_by_the_peak_of_their_run():
    def met(*rows, isa="avx512f"):
        return {asked: met for _, asked, _, met in goals.judged(record(rows, isa))}

    assert met(row("Scan", "forward", 0.01, share=0.96, params=[32])) == {"97% of the peak": False}
    assert met(row("Scan", "forward", 0.01, share=0.96, params=[32]), isa="avx2") == {"95% of the peak": True}
    assert met(row("Scan", "forward", 0.01, share=0.96, params=[32]), isa="portable") == {"95% of the peak": True}
    assert met(row("Rules", "sorted", 0.0051)) == {"5 ms": False}
    assert met(row("Rules", "sorted", 0.0051, peak=102.0)) == {"5 ms": True}
    assert met(row("Cold", "forward", 0.026)) == {
        "3x faster than any, measured by us before": False,
        "4x faster than any right one, measured by us before": True,
    }
    beside = met(row("Up", "forward", 0.0026, share=0.7), row("Up", "forward", 0.004, side="MinkowskiEngine"))
    assert beside == {"75% of the peak": False, "2x faster than any, measured by us before": True,
                      "2x faster than any, in this run": False}


def test_the_sheet_has_a_source_for_every_figure():
    lines = goals.sheet()
    assert len({(goals.key(line), line["peer"], line["isa"], line["date"]) for line in lines}) == len(lines) > 50
    for line in lines:
        assert line["ms"] > 0 and line["peak"] > 20 and line["threads"] > 0 and line["isa"] in goals.ISAS
        assert line["processor"] and line["source"] and len(line["date"]) == 10
        assert (line["case"], tuple(line["params"])) in goals.CASES
    assert set(goals.published("avx2")) >= {("UNet", "training_step"), ("Scan", 32, "forward")}


def test_a_machine_is_quiet_if_nothing_else_runs_and_all_products_take_the_same_time():
    found = idle.measure()
    assert len(found["spread"]) == len(found["gflops"]) >= 1 and min(found["gflops"]) > 0
    quiet = {"spread": [0.02, 0.03], "gflops": [100.0, 98.0], "others": 0.01}
    assert idle.is_quiet(quiet) and idle.told(quiet).startswith("quiet")
    for wrong in ({"spread": [0.02, 0.5]}, {"gflops": [100.0, 60.0]}, {"others": 1.2}):
        assert not idle.is_quiet(quiet | wrong) and idle.told(quiet | wrong).startswith("NOT QUIET")
    assert idle.is_quiet(quiet | {"others": None})


def test_records_are_compared_by_their_peaks(tmp_path, monkeypatch):
    for name, best, peak in (("then", 0.2, 100.0), ("now", 0.3, 50.0)):
        (tmp_path / name).write_text(json.dumps({"rows": [row("UNet", "forward", best, peak=peak)]}))
    assert compare.ratios(tmp_path / "then", tmp_path / "now") == [("ours", "UNet.forward", pytest.approx(0.75))]
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "now"), str(tmp_path / "then"), "--most", "1.3"])
    with pytest.raises(SystemExit, match="slower than 1.3 times the baseline: UNet.forward"):
        compare.main()


def test_a_converted_network_is_timed_with_the_rules_of_its_first_pass_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "FOLDER", tmp_path)
    scenes.save_scene("deepcnet")
    sites, rows, size = networks.scene("deepcnet")
    net = converted.deepcnet(3).eval()
    monkeypatch.setattr(converted, "load", lambda name: net)
    case = converted.Converted()
    case.setup("deepcnet")
    assert len(case.grids) == 11 and case.gflop["kept"] > 0       # 6 convolutions and 5 pools made a grid each
    assert case.kept.grid.rules(net[0].window)[0] is case.grids[0]
    y, x = case.result(), sp.SparseTensor.from_sites(sites, rows, size, ground=None)
    assert np.array_equal(y[1], net(x).features.data) and np.array_equal(y[1], net(case.kept).features.data)
    case.time_kept()
    assert len(case.grids) == 11


def test_the_networks_that_are_timed_are_known():
    for name, network in networks.NETWORKS.items():
        assert network.library in bench_converted.PEERS and callable(getattr(scenes, network.scene)), name
    assert {place[0] for place in bench_converted.FASTER} <= networks.NETWORKS.keys()


@pytest.mark.slow
def test_scenes_of_20_000_sites_lie_in_their_fields():
    for sites, size in (scenes.room(), scenes.street()):
        assert len(sites) == 20_000 and (sites[:, 1:].max(0) < size).all() and len(np.unique(sites, axis=0)) == 20_000


def converted_record(name, **times):
    """Make a record of one converted network of (cold, kept, peak_MB, ready_s, start_s) of each side."""
    rows = [row("Converted", verb, seconds, side, params=[name]) for side, all_times in times.items()
            for verb, seconds in zip(("cold", "kept"), all_times[:2], strict=True)]
    figures = [{"case": case, "params": [name], "name": what, "side": side, "value": value}
               for side, all_times in times.items()
               for case, what, value in (("Peak", "peak_MB", all_times[2]), ("Converted", "ready_s", all_times[3]),
                                         ("Converted", "start_s", all_times[4]))]
    figures += [{"case": "Converted", "params": [name], "name": "start_saved_s", "side": "ours", "value": 0.1},
                {"case": "Converted", "params": [name], "name": "cold_difference", "side": "spconv", "value": 7e-7}]
    made = record(rows) | {"figures": figures, "sites": 20_000}
    made["machine"]["idle"] = {"spread": [0.01], "gflops": [100.0], "others": 0.0}
    return made


def test_converted_networks_are_compared_in_a_table():
    made = converted_record("second", ours=(0.1, 0.05, 100, 0.2, 0.25), frozen=(0.06, 0.04, 50, 0.1, 0.2),
                            spconv=(0.3, 0.2, 400, 2, 3))
    found = bench_converted.compared(made)
    assert found["cold"] == {"ours": 0.1, "frozen": 0.06, "spconv": 0.3} and found["start_saved_s"] == {"ours": 0.1}
    line = bench_converted.table({"second avx512f 1": made}).splitlines()[-1]
    assert line == ("| second (spconv) | 20,000 | avx512f, 1 | 7e-07 | 100.0, 60.0 : 300.0 | 3.0x, 5.0x | "
                    "50.0, 40.0 : 200.0 | 4.0x, 5.0x | 0.20, 0.10 : 2.00 | 10.0x, 20.0x | "
                    "0.25 (0.10), 0.20 : 3.00 | 12.0x, 15.0x | 100, 50 : 400 | 4.0x, 8.0x |")
    made["machine"]["idle"]["others"] = 1.0
    assert "avx512f, 1, busy machine" in bench_converted.table({"second avx512f 1": made})
    alone = made | {"rows": [r for r in made["rows"] if r["side"] == "ours"]}
    assert "cold" not in bench_converted.compared(alone)


@pytest.mark.parametrize("name", ["converted", "latency"])
def test_the_page_of_speed_shows_the_record(name):
    root = Path(bench_converted.__file__).parent
    table = {"converted": bench_converted, "latency": bench_latency}[name].table
    shown = table(json.loads((root / "records" / f"{name}.json").read_text()))
    page = (root.parent / "docs" / "benchmarks" / "speed.md").read_text()
    assert shown.strip() in page.split(f"<!-- benchmark {name} -->")[1].split("<!-- end -->")[0]


def test_the_picture_names_earlier_runs_and_has_no_training_of_a_library_that_cannot(monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr(picture, "_save", lambda figure, *_: figures.append(figure))
    cases = [("Scan", [16], "forward"), ("Scan", [16], "forward_backward"), ("UNet", [], "training_step")]
    rows = [{"case": case, "params": params, "verb": verb, "side": "ours", "share": 0.9, "gflop": 1.0}
            for case, params, verb in cases]
    rows.append(rows[0] | {"side": "SparseConvNet", "share": 0.2})       # in this run
    sides = {"ours": {"versions": {"isa": "avx512f"}}}
    picture.bars({"rows": rows, "machine": {"processor": "x", "threads": 2, "sides": sides}}, "none.json")
    (figure,) = figures
    places = {}
    for line in figure.axes[0].get_lines():
        if line.get_marker() == "o":
            places.setdefault(line.get_label(), []).append(int(line.get_ydata()[0]))
    assert places == {"spconv (earlier run, scaled)": [0], "MinkowskiEngine (earlier run, scaled)": [0, 1, 2],
                      "SparseConvNet": [0]}
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert named == {*places, "spconv_cy", "goal", "sgemm"}
