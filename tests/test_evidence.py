"""Comparisons are right: intervals, baselines, the first table of the numbers, one log on every instruction set."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from comparison import paired, unpaired
from experiment_runs import tiny

from spconv_cy._core import isas

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def results():
    sys.path.insert(0, str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location("results", ROOT / "docs" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_paired_interval_is_that_of_the_differences_of_the_items(rng):
    n = 2000
    theirs = np.flatnonzero(rng.random(n) < 0.05)
    ours = np.setdiff1d(theirs, theirs[:40])                             # 40 fewer, all of them theirs
    mean, low, high = paired([ours.tolist()], theirs.tolist(), n)
    half = 1.96 * np.sqrt(40 / n * (1 - 40 / n) / n)                     # of 40 ones among n
    assert mean == pytest.approx(-40 / n)
    assert (low, high) == (pytest.approx(mean - half, abs=1e-3), pytest.approx(mean + half, abs=1e-3))
    wide = unpaired([len(ours) / n], len(theirs) / n, n)
    assert wide[0] == pytest.approx(mean) and wide[2] - wide[1] > 1.5 * (high - low)


def test_equal_answers_differ_by_nothing():
    assert paired([[3, 5], [3, 5]], [3, 5], 10) == (0, 0, 0)
    assert paired([[]], [], 10) == (0, 0, 0)


def test_the_best_baseline_stands_beside_ours(results):
    records = {"baselines": {"figures": {"t: a": {"error": 0.3, "wrong": [0, 1, 2], "n": 10},
                                         "t: b": {"error": 0.2, "wrong": [0, 1], "n": 10},
                                         "other: c": {"error": 0.0, "wrong": [], "n": 10}}}}
    assert results.baseline("t", records)["name"] == "b" and results.baseline("nothing", records) is None
    assert results.spread([1.0, 3.0]) == "2.00 ± 1.41 (2 seeds)" and results.spread([1.0]) == "1.00 (1 seed)"
    less, *_, how = results.difference([[0], [0]], results.baseline("t", records), 10)
    assert less == pytest.approx(-10) and how == ""
    assert results.difference([0.1], {"error": 0.2}, 10)[-1] == ", not paired"


def test_characters_on_which_settings_were_chosen_do_not_count(results):
    assert results.among([3, 0, 1], {1, 2, 3}) == [2, 0] and results.among(0.25, {1}) == 0.25
    row = next(row for row in results.ROWS if row.record == "kanji")
    assert len(row.among(5087)) == 4000                                 # kanji.py chose on 1,087
    theirs = {"kanji: a": {"error": 0.5, "wrong": list(range(5087)), "n": 5087}}
    ours = {"undirected 0": {"wrong": row.among(5087)[:40]}}
    records = {"baselines": {"figures": theirs}, "kanji": {"figures": ours, "trainings": {}}}
    cells = results.told(row, records)
    assert cells[2:5] == ["4,000", "1.00 (1 seed)", "100.00: a"] and "older record" in cells[-1]


def test_only_an_interval_without_zero_is_called_better(results):
    found = [("digits", False, -0.09, -0.37, 0.18), ("writers", False, -0.34, -0.65, -0.05),
             ("scan", True, 2.2, 0.8, 3.7), ("worse", True, -2.2, -3.8, -0.7), ("alone", False, None, None, None)]
    rows = [(SimpleNamespace(what=what, overlap=overlap),
             results.Outcome(9, [73.0], *([] if less is None else ["b", 1.0, less, low, high])))
            for what, overlap, less, low, high in found]
    better, equal = results.verdicts([*rows, (None, None)])              # the last one was not run
    assert better == ["writers (73.00, -0.34)", "scan (73.00, +2.20)"]
    assert equal == ["digits (73.00, -0.09)", "worse (73.00, -2.20)"]


def test_the_interval_over_seeds_is_students(results):
    less, low, high, how = results.over_seeds([71.0, 72.0, 73.0], 70.0)
    assert (less, how) == (2.0, ", over seeds")
    assert (low, high) == (pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-4), pytest.approx(2 + 4.3027 / 3**0.5, abs=1e-4))
    assert results.over_seeds([72.0], 70.0)[:3] == (2.0, -np.inf, np.inf)


def test_a_run_that_was_stopped_early_gives_no_row(results):
    for row in results.ROWS:
        assert results.told(row, {row.record: {"figures": {}, "trainings": {}}}) is None


def test_make_evidence_runs_the_command_of_every_row(results):
    ran = (ROOT / "docs" / "run_evidence.py").read_text()
    for row in results.ROWS:
        script = re.findall(r"experiments/(\w+)\.py", row.command) or re.findall("^make (.*)$", row.command)
        assert (ROOT / "experiments" / f"{script[0]}.py").exists()
        assert f"{script[0]}.py" in ran


def test_seconds_of_the_clock_are_told_from_those_of_the_processor(results):
    record = {"trainings": {"seed-0": {"seconds": 9, "processor seconds": 4}, "seed-1": {"seconds": 9}}}
    assert results.spent(record, "seed") == "4" and results.spent(record, "seed-1") == "9 by the clock, busy machine"
    assert results.spent(record, "other") == results.NONE


def test_a_short_training_has_the_same_log_to_six_digits_on_every_instruction_set(tmp_path):
    done, record = tiny(tmp_path, "same_log.py")
    found = record["figures"]["logs"]
    assert sorted(found["sets"]) == sorted(isas()), done.stdout
    for name in found["sets"]:
        np.testing.assert_allclose(found["logs"][name], found["logs"][found["sets"][0]], rtol=1e-6)
    assert found["difference"] < 1e-6


@pytest.fixture(scope="module")
def kept():
    return json.loads((ROOT / "docs" / "experiments" / "record.json").read_text())


def test_networks_and_baselines_of_the_digits_were_tested_on_the_same_items(kept):
    """Their wrong items are paired. Of other items the nearest neighbour misreads others."""
    baselines, nets = kept["baselines"]["figures"], kept["demo"]["figures"]
    for split in "writers", "random":
        theirs = 100 * baselines[f"digits, {split}: 1-nearest neighbour on coordinates"]["error"]
        found = [net["neighbour"] for name, net in nets.items() if name.startswith(split)]
        assert len(found) == 3 and found == pytest.approx([theirs] * 3)


def test_what_the_page_says_in_words_is_in_the_records(kept, results):
    """The figures among the words of docs/numbers.md, which docs/write_numbers.py does not write."""
    figures = {name: record["figures"] for name, record in kept.items()}

    def errors(name, begins):
        return [100 * found["error"] for one, found in figures[name].items() if one.startswith(begins)]

    def right(wrong):
        return f"{100 - max(wrong):.0f} to {100 - min(wrong):.0f}"

    mean = results.mean_of
    default, twenty = (mean([len(figures["defaults"][f"{epochs} epochs {seed}"]["wrong"]) / 6.8 for seed in range(3)])
                       for epochs in ("default", 20))
    fractional = mean([figures["fractional"][f"seed {seed}"]["errors"][11] for seed in range(3)])
    shapes = figures["shapes"]["tetrahedral 0"]["sparse"] / figures["shapes"]["cubic 0"]["sparse"]
    late, amid = errors("events", "late axis none"), errors("events", "amid axis none")
    lenet = mean([figures["mnist"][f"lenet5 {seed}"]["errors"][0] for seed in range(3)])
    precise = {task: found["of"] for task, found in figures["precision"].items()}
    (scan,) = (of for task, of in precise.items() if figures["precision"][task]["n"] == 27553)
    differ = max(kind["differ"] for of in precise.values() for kind in of.values())
    light = [100 * scan[kind]["weights"] / scan["float32"]["weights"] for kind in ("bfloat16", "int8")]
    large = [100 * figures["input_sizes"][f"digits, all sizes{how}"][-1] for how in ("", ", pooled by maximum")]
    said = [
        f"has {default:.1f} %, and 20 epochs, once the default, {twenty:.1f} %",
        f"over three seeds {100 * fractional:.2f} % errors",
        f"with shifts, one seed, {100 * figures['fractional_shifted']['seed 0']['errors'][11]:.2f} %",
        f"shifted by up to two pixels, has {100 * lenet:.2f} % errors",
        f"with {100 * figures['autoencoder']['trained']['IoU']:.0f} % overlap",
        f"does {100 * shapes:.0f} % of the multiply-adds",
        f"between known views ({right(amid)} %), worse beyond them ({right(late)} %)",
        f"at most {differ:.2f} % of the items",
        f"with {light[0]:.0f} and {light[1]:.0f} % of",
        f"to {large[0]:.0f} and {large[1]:.0f} % at twice the largest",
    ]
    text = " ".join((ROOT / "docs" / "numbers.md").read_text().split())
    assert not [part for part in said if part not in text]


def test_the_readme_quotes_the_records(kept):
    text = " ".join((ROOT / "README.md").read_text().split())
    model = kept["digit_model"]["figures"]["digits of 14 writers never seen"]
    assert f"({100 * len(model) / 3498:.2f} % errors on those digits" in text
    assert f"test error: {100 * kept['demo']['figures']['writers-0']['error']:.2f} %" in text
