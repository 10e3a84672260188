"""The command line with files of points: a class for each cloud, and a class for every point."""

import json

import numpy as np
import pytest
from test_cli import run

import spconv_cy as sp
from spconv_cy.cli.kinds import estimator_of


@pytest.fixture(scope="module")
def hits(tmp_path_factory):
    """Return a folder with hits.csv: 8 events, noise in a box, and a plane of class 1, both with an energy."""
    folder, rng = tmp_path_factory.mktemp("hits"), np.random.default_rng(0)
    rows = []
    for event in range(8):
        noise, plane = rng.uniform(-4, 4, (60, 3)), rng.uniform(-4, 4, (60, 3)) * (1, 1, 0) + (0, 0, 1)
        rows += [(event, *hit, rng.exponential(), kind) for kind, part in enumerate((noise, plane)) for hit in part]
    names = "event,x,y,z,energy,truth"
    np.savetxt(folder / "hits.csv", rng.permutation(rows), fmt="%.5g", delimiter=",", header=names, comments="")
    return folder


def test_every_point_gets_a_class(hits, capsys):
    model, file, table = hits / "model.safetensors", hits / "hits.csv", hits / "out.csv"
    columns = ["--by", "event", "--label", "truth"]
    status, out, err = run(capsys, "train", file, model, "--points", *columns, "--cell", 0.5, "--levels", 2,
                           "--channels", 8, "--epochs", 12, "--test", 0.25, "--json", "--quiet")
    found = json.loads(out)
    assert status == 0 and err == "" and found["clouds"] == 6 and found["points"] == 720
    assert found["test_points"] == 240 and found["test_error"] < 0.2 and set(found["iou"]) == {"0", "1"}
    assert sp.SparseConvSegmenter.load(model).scene_.columns == 4            # neither the event nor the truth
    status, out, _ = run(capsys, "evaluate", model, file, *columns, "--json")
    assert status == 0 and json.loads(out)["test_points"] == 960
    assert json.loads(out)["test_error"] < 0.2
    status, out, _ = run(capsys, "predict", model, file, table, *columns)
    assert status == 0 and out == f"{table}: 960 points\n"
    given, made = sp.readers.read_points(file), sp.readers.read_points(table)
    assert np.array_equal(made.points, given.points)                         # in the order of the file
    assert (made.values["predicted"] == given.values["truth"]).mean() > 0.8
    assert made.values["probability"].min() >= 0.5
    status, out, _ = run(capsys, "predict", model, file, *columns, "--json")
    assert sum(json.loads(out)["predicted"].values()) == 960
    assert "segmenter" in run(capsys, "info", model)[1]


@pytest.mark.parametrize("arguments, status, told", [
    (["train", "hits.csv", "x.safetensors"], 1, "give --points for a class of every point"),
    (["train", "hits.csv", "x.safetensors", "--points"], 1, "a class of each point, in a column named label, got e"),
    (["train", "hits.csv", "x.safetensors", "--points", "--label", "sort"], 1, "in a column named sort, got event, en"),
    (["train", "hits.csv", "x.safetensors", "--points", "--label", "truth", "--by", "run"], 1,
     "by: expected a column 'run', got event, energy, truth"),
    (["train", "hits.csv", "x.safetensors", "--points", "--label", "truth", "--test", "0.9"], 1,
     "expected clouds to train on, got 1, all of them for the test")])
def test_what_points_lack_is_told(arguments, status, told, hits, capsys, monkeypatch):
    monkeypatch.chdir(hits)
    found, out, err = run(capsys, *arguments, "--quiet")
    assert (found, out, err.count("\n")) == (status, "", 1) and told in err, err


def test_points_that_are_not_finite_are_left_out_and_counted(hits, tmp_path, capsys):
    lines = (hits / "hits.csv").read_text().splitlines()
    lines[3:5] = "0,nan,1,2,1,0", "0,,1,2,1,0"
    file, model, table = tmp_path / "hits.csv", tmp_path / "model.safetensors", tmp_path / "out.csv"
    file.write_text("\n".join(lines))
    columns, told = ["--by", "event", "--label", "truth"], f"{file}: 2 of 960 points left out, whose coordinates are no"
    status, out, err = run(capsys, "train", file, model, "--points", *columns, "--levels", 1, "--channels", 4,
                           "--epochs", 1, "--json", "--quiet")
    assert status == 0 and json.loads(out)["points"] == 958 and err.startswith(told) and err.count("\n") == 1
    status, out, err = run(capsys, "predict", model, file, table, *columns)
    assert (status, out) == (0, f"{table}: 958 points\n") and err.startswith(told)


@pytest.mark.parametrize("text, told", [
    ("", "expected points, got none"), ("x,y,z,label\n", "expected points, got none"),
    ("x,y,z,label\n1,,2,0\n1,2,inf,1\n", "expected finite points, got 2 that are not"),
    ("1,2,3,0,0\n1,2,4,1,1\n", "got c3, c4; the first line of the file may name the columns")])
def test_a_file_without_points_or_names_is_told(text, told, tmp_path, capsys):
    (tmp_path / "hits.csv").write_text(text)
    status, out, err = run(capsys, "train", tmp_path / "hits.csv", tmp_path / "model.safetensors", "--points", "--by",
                           "event", "--quiet")
    assert (status, out, err.count("\n")) == (1, "", 1) and told in err, err


def test_a_model_is_known_by_its_estimator_and_not_by_its_labels(tmp_path, capsys):
    clouds = list(np.random.default_rng(0).normal(size=(6, 30, 3)))
    path, fast = tmp_path / "model.safetensors", {"l": 1, "k": 2, "epochs": 1}
    for model, y, kind, learnt in (
            (sp.SparseConvClassifier(**fast), ["segmenter", "regressor"] * 3, "classifier", "classes"),
            (sp.SparseConvRegressor(**fast), np.arange(6), "regressor", "values"),
            (sp.SparseConvSegmenter(epochs=1, levels=1, width=2, target="value"), [c[:, 0] for c in clouds],
             "segmenter", "values")):
        model.fit(clouds, y).save(path)
        found = json.loads(run(capsys, "info", path, "--json")[1])
        assert estimator_of(path) == found["kind"] == kind and found[learnt]


def test_clouds_in_folders_are_classes(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, shape in (("ball", (1, 1, 1)), ("rod", (0.2, 0.2, 2))):
        (tmp_path / "clouds" / name).mkdir(parents=True)
        for i in range(6):
            sp.readers.write_points(tmp_path / "clouds" / name / f"{i}.ply",
                                    sp.data.PointCloud(rng.normal(size=(60, 3)) * shape))
    model = tmp_path / "model.safetensors"
    status, _, err = run(capsys, "train", tmp_path / "clouds", model, "--levels", 2, "--channels", 5, "--epochs", 20,
                         "--batch", 4, "--rate", 0.01, "--quiet")
    assert (status, err) == (0, "")
    out = run(capsys, "predict", model, tmp_path / "clouds" / "rod" / "0.ply")[1]
    assert out.split("\t")[1] == "rod"
