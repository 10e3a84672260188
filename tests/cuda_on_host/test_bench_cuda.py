"""The benchmarks of the cuda backend, whose logic runs on the host at small size: no figure of it means anything."""

import json
import os
import sys
from pathlib import Path

import pytest

import spconv_cy as sp
from spconv_cy.backend import switch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench_cuda  # noqa: E402


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["bench_cuda", *options])
    bench_cuda.main()


@pytest.mark.parametrize("only", [["Down"], pytest.param(["Scan", "Down", "UNet"], marks=pytest.mark.slow)])
def test_every_side_is_timed_and_compared_in_one_run(only, cuda, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_cuda, "BUSY", 0)
    run(monkeypatch, "--small", "--rounds", "1", "--channels", "8", "--record", str(tmp_path / "cuda.json"), "--only",
        *only)
    record, said = json.loads((tmp_path / "cuda.json").read_text()), capsys.readouterr().out
    assert record["machine"]["card"] == "the host" and "card the host" in said and "WRONG" not in said
    found = {(row["case"], row["verb"], row["side"]) for row in record["rows"]}
    assert found == {(case, verb, side) for side in bench_cuda.SIDES for case, verb in
                     [("Scan(8)", "forward"), ("Scan(8)", "backward"), ("Down", "forward"), ("Down", "backward"),
                      ("UNet", "step")] if case.split("(")[0] in only}
    rows = {(row["case"], row["verb"], row["side"]): row for row in record["rows"]}
    for (case, verb, side), row in rows.items():
        assert row["ratios"]["gathered"] == pytest.approx(rows[case, verb, "gathered"]["best"] / row["best"]), side
        assert row["ratios"]["cpu"] == pytest.approx(rows[case, verb, "cpu"]["best"] / row["best"])
    assert bench_cuda.SETTING not in os.environ and sp.config.backend_name() == "cpu"


def test_a_side_that_is_wrong_is_told_of(cuda, monkeypatch):
    case, said = bench_cuda.Convolution(bench_cuda.workloads.surface(50), sp.sites.Window(3, 2, 2), 4, 4), []
    monkeypatch.setattr(bench_cuda, "BUSY", 0)
    monkeypatch.setattr(bench_cuda, "SIDES", {"cpu": ("cpu", "", "float32"), "tiles": ("cuda", "tiles", "float32")})
    conv = cuda.conv
    monkeypatch.setattr(cuda, "conv", lambda *a, **k: conv(*a, **k) * 1.001)
    bench_cuda.measure("Down", case, 1, said.append)
    assert [line.split()[:3] for line in said if "WRONG" in line] == [["Down.forward", "tiles", "WRONG"],
                                                                       ["Down.backward", "tiles", "WRONG"]]


def test_without_a_gpu_the_remedy_is_said_and_the_status_is_2(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(switch, "_ready", {})
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        'bench_cuda: cuda backend: expected CuPy, got none; pip install "spconv_cy[cuda]"\n')
