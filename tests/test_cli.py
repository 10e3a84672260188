"""The command line as a user types it: results, messages, exit statuses, JSON, what a file is."""

import importlib
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.cli import main

POINTS = np.array([[0.5, 1, 2], [3, 4, np.nan]])


def run(capsys, *arguments):
    """Return (status, standard output, standard error) of a command."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code or 0
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder with drawings of two classes, a model that reads them, and other files."""
    folder, rng = tmp_path_factory.mktemp("work"), np.random.default_rng(0)
    steps = [np.cumsum(rng.normal(0, 0.2, (9, 2)) + ((1, 0) if i % 2 else (0, 1)), 0) for i in range(60)]
    drawn = sp.data.Handwriting(sp.data.Characters.pack([[stroke] for stroke in steps]), np.arange(60) % 2,
                                ("down", "across"), np.full(60, -1), np.arange(60) >= 40)
    sp.readers.write_handwriting(folder / "drawn.npz", drawn)
    for i, name in enumerate(("down", "across")):
        (folder / "tree" / name).mkdir(parents=True)
        for j in range(8):
            text = ", ".join(f"{x:.3f} {y:.3f}" for x, y in steps[2 * j + i])
            (folder / "tree" / name / f"{j}.inkml").write_text(f"<ink><trace>{text}</trace></ink>")
    (folder / "tree" / "down" / "notes.md").write_text("not a drawing")
    call = ["train", folder / "drawn.npz", folder / "model.safetensors", "--levels", 2, "--channels", 8, "--epochs", 6,
            "--batch", 10, "--quiet", "--json"]
    assert main([str(argument) for argument in call]) == 0
    return folder


def test_a_model_is_trained_evaluated_and_used(work, capsys):
    model, drawn = work / "model.safetensors", work / "drawn.npz"
    out = capsys.readouterr().out
    if out:                                                              # of the fixture, in the first test
        assert json.loads(out)["test_samples"] == 20
    status, out, err = run(capsys, "evaluate", model, drawn, "--json")
    found = json.loads(out)
    assert status == 0 and err == "" and found["test_samples"] == 20 and found["test_error"] <= 0.1
    assert json.loads(run(capsys, "evaluate", model, drawn, "--all", "--json")[1])["test_samples"] == 60
    status, out, _ = run(capsys, "predict", model, drawn)
    rows = [line.split("\t") for line in out.splitlines()]
    assert status == 0 and len(rows) == 60 and rows[3][0].endswith("drawn.npz:3")
    assert np.mean([row[1] == ("across" if i % 2 else "down") for i, row in enumerate(rows)]) > 0.9
    assert all(0.5 <= float(row[2]) <= 1 for row in rows)
    status, out, _ = run(capsys, "predict", model, work / "tree", work / "labels.csv")
    table = (work / "labels.csv").read_text().splitlines()
    assert status == 0 and out == f"{work / 'labels.csv'}: 16 labels\n" and table[0] == "sample,label,probability"
    assert len(table) == 17 and run(capsys, "predict", model, work / "tree", work / "labels.csv")[0] == 0
    answers = json.loads(run(capsys, "predict", model, work / "tree", "--json")[1])["samples"]
    assert [len(sample["answers"]) for sample in answers] == [2] * 16


def test_folders_are_classes_and_the_progress_is_not_in_the_result(work, capsys):
    status, out, err = run(capsys, "train", work / "tree", work / "own.safetensors", "--levels", 1, "--channels", 4,
                           "--epochs", 2, "--test", 0.25, "--net", "deepcnet")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert status == 0 and lines["classes"].strip() == "2" and lines["samples"].strip() == "12"
    assert lines["test samples"].strip() == "4" and "epoch 2/2" in err and "reading" in err
    model = sp.SparseConvClassifier.load(work / "own.safetensors")
    assert model.classes_.tolist() == ["across", "down"]
    first = sp.load(work / "own.safetensors").state()
    run(capsys, "train", work / "tree", work / "again.safetensors", "--levels", 1, "--channels", 4, "--epochs", 2,
        "--test", 0.25, "--quiet")
    again = sp.load(work / "again.safetensors").state()                  # the same seed: the same bits
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("arguments, message", [
    ([], "the following arguments are required: COMMAND"), (["trian"], "invalid choice: 'trian'"),
    (["train", "drawn.npz"], "required: MODEL"),
    (["train", "drawn.npz", "model.npz"], "the name of a .safetensors file"),
    (["train", "drawn.npz", "none/model.safetensors"], "a folder that exists, got none named none"),
    (["train", "model.safetensors", "model.safetensors"], "the name of a new file to write, got a file that is read"),
    (["train", "drawn.npz", "m.safetensors", "--epochs", "0"], "a whole number from 1 up, got '0'"),
    (["train", "drawn.npz", "m.safetensors", "--test", "1.5"], "a share above 0 and below 1"),
    (["train", "drawn.npz", "m.safetensors", "--rate", "fast"], "a number above 0, got 'fast'"),
    (["train", "drawn.npz", "m.safetensors", "--reader", "dvi"], "invalid choice: 'dvi'"),
    (["train", "drawn.npz", "m.safetensors", "--epoch", "3"],
     "train: error: unrecognized arguments: --epoch 3; do you mean --epochs?"),
    (["train", "drawn.npz", "points.csv", "m.safetensors"], "files of drawings or files of points, got both"),
    (["train", "drawn.npz", "m.safetensors", "--seed", "-1"], "argument --seed: expected a whole number from 0"),
    (["info"], "required: FILE"), (["page", "--port", "many"],
     "spconv-cy page: error: argument --port: expected a whole number from 0 to 65535, got 'many'\n"),
    (["predict", "net.safetensors", "scene.npz"], "INPUT and OUTPUT, or --out FOLDER, got 1 files"),
    (["predict", "net.safetensors", "scene.npz", "scene.npz"], "a new file to write"),
    (["predict", "points.csv", "model.safetensors"], "as the first argument, got a file of points, points.csv; give"),
    (["predict", "drawn.npz", "model.safetensors", "out.csv"], "first argument, got a file of drawings, drawn.npz"),
    (["predict", "model.safetensors", "drawn.npz", "--out", "o"], "a network with --out, got the model of a class"),
    (["predict", "net.safetensors", "scene.npz", "--shard", "4/4"], "argument --shard: expected i/n, i from 0 to n"),
    (["predict", "net.safetensors", "scene.npz", "--out", "o", "--processes", "0"],
     "argument --processes: expected a whole number from 1 up, got '0'\n"),
    (["convert", "net.safetensors", "n.safetensors", "--network", "spuneet"], "did you mean 'spunet'?"),
    (["convert", "net.safetensors", "n.safetensors", "--network", "spunet", "--from", "keras"],
     "argument --from: invalid choice: 'keras'"),
    (["convert", "net.safetensors", "n.safetensors", "--network", "spunet", "--layout", "x"],
     "argument --layout: invalid choice: 'x'"),
    (["convert", "net.safetensors", "n.txt", "--network", "spunet"], "n.txt: expected the name of a .safetensors file"),
    (["info", "points.csv", "--axes", "x,,z"], "unrecognized arguments")])
def test_wrong_arguments_end_with_status_2_and_a_message(work, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(work)
    write_others(work)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and message in err and "Traceback" not in err


@pytest.mark.parametrize("arguments, message", [
    (["info", "none.npz"], "spconv-cy info: none.npz: no such file or directory\n"),
    (["train", "none.npz", "m.safetensors", "--quiet"], "none.npz: no such file"),
    (["train", "points.csv", "m.safetensors", "--quiet"], "a label of each sample, got none of points.csv; put the"),
    (["train", "empty", "m.safetensors", "--quiet"], "empty: expected a folder with files of drawings or points"),
    (["train", "pictures", "m.safetensors", "--quiet"],
     "none but files of other kinds, such as pictures/down/0.png; a drawing is the strokes of a pen, not a picture"),
    (["train", "text.md", "m.safetensors", "--quiet"], "a file of drawings or points, got one of the kind 'unknown'"),
    (["evaluate", "net.safetensors", "drawn.npz"], "net.safetensors: expected"),
    (["predict", "net.safetensors", "scene.npz", "out.csv"], "out.csv: expected the name of an .npz or .parquet file"),
    (["evaluate", "drawn.npz", "drawn.npz"], "drawn.npz: expected"),
    (["predict", "none.safetensors", "drawn.npz"], "spconv-cy predict: none.safetensors: no such file or directory\n"),
    (["predict", "model.safetensors", "damaged.inkml"], "damaged.inkml: expected XML"),
    (["predict", "model.safetensors", "points.csv"],
     "spconv-cy predict: expected files of drawings, which the model reads, got points\n"),
    (["evaluate", "model.safetensors", "points.csv"], "expected files of drawings, which the model reads, got points"),
    (["predict", "regressor.safetensors", "points.csv"], "regressor.safetensors: expected a classifier, a"),
    (["evaluate", "regressor.safetensors", "points.csv"], "got a regressor; use it in Python: SparseConvRegressor"),
    (["info", "text.md"], "a network, a checkpoint, drawings or points, got a text"),
    (["info", "damaged.safetensors"], "damaged.safetensors: expected"),
    (["page", "--model", "net.safetensors"], "net.safetensors: expected")])
def test_what_fails_ends_with_status_1_and_a_message(work, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(work)
    write_others(work)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "") and message in err and "Traceback" not in err
    if arguments[0] != "page":
        status, out, _ = run(capsys, *arguments, "--json")
        assert status == 1 and set(json.loads(out)) == {"error"}


def test_a_warning_is_one_line_on_standard_error(work, capsys, monkeypatch):
    def warns(options):
        warnings.warn("a thing to know", stacklevel=1)
        print("result")

    monkeypatch.setattr(importlib.import_module("spconv_cy.cli.main"), "_config", warns)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run(capsys, "config") == (0, "result\n", "spconv-cy config: warning: a thing to know\n")


def write_others(folder):
    if (folder / "net.safetensors").exists():
        return
    sp.save(folder / "net.safetensors", sp.Sequential(sp.SubmanifoldConvolution(3, 2, 4, 3, rng=0)))
    np.savez(folder / "scene.npz", sites=[[0, 1, 2, 3], [1, 4, 5, 6]], features=np.ones((2, 2)))
    (folder / "points.csv").write_text("x,y,z,energy,label\n0.5,1,2,7,1\n3,4,nan,9,0\n")
    (folder / "damaged.inkml").write_text("<ink>")
    (folder / "damaged.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (folder / "text.md").write_text("# words\n")
    (folder / "empty").mkdir()
    (folder / "pictures" / "down").mkdir(parents=True)
    (folder / "pictures" / "down" / "0.png").write_bytes(b"\x89PNG\r\n")
    regressor = sp.SparseConvRegressor(encoding="signals", l=1, k=2, epochs=1, augment="none")
    regressor.fit(np.eye(4, 9), range(4)).save(folder / "regressor.safetensors")


def test_info_says_what_a_file_is(work, capsys, monkeypatch):
    monkeypatch.chdir(work)
    write_others(work)
    sp.train.fit(net := sp.deepcnet(1, 4, 2, 2, rng=0) if hasattr(sp, "deepcnet") else sp.models.deepcnet(
        1, 4, 1, 2, rng=0), sp.data.PictureBatches(np.eye(4)[None].repeat(2, 0), [0, 1], 6), sp.Adam(net.parameters()),
                 2, checkpoint="run.safetensors", progress=False)
    np.savez("weights.npz", a=np.ones((3, 4)))
    (work / "cat.ndjson").write_text('{"word": "cat", "drawing": [[[0, 9], [1, 2]]]}\n')
    (work / "cat.bin").write_bytes(b"\0" * 8 + b"DE\1\0\0\0\0\1\0\2\0\0\x09\1\2")
    np.ones((5, 4), "<f4").tofile("scan.bin")
    (work / "c.txt").write_text("WORD a UJI_W01\nNUMSTROKES 1\nPOINTS 2 # 1 2 3 4\n")
    (work / "p.txt").write_text("1 2 3\n4 5 6\n")
    (work / "d").write_text(".VERSION 1.0\n.COORD X Y\n.COMMENT 8 3\n.PEN_DOWN\n1 2\n3 4\n.PEN_UP\n")
    (work / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    for name, told in {
            "net.safetensors": {"kind": "network", "parameters": 27 * 8 + 4},
            "scene.npz": {"samples": 2, "channels": 2},
            "model.safetensors": {"kind": "classifier", "classes": ["across", "down"]},
            "run.safetensors": {"epochs": 2, "optimizer": "Adam"}, "weights.npz": {"arrays": 1, "numbers": 12},
            "drawn.npz": {"drawings": 60, "classes": ["down (30)", "across (30)"], "test part": 20},
            "points.csv": {"points": 2, "not finite": 1, "low": [0.5, 1, 2]}, "cat.ndjson": {"classes": ["cat (1)"]},
            "cat.bin": {"format": "quickdraw", "points": 2}, "scan.bin": {"kind": "points", "points": 5},
            "c.txt": {"format": "uji"}, "p.txt": {"kind": "points"}, "d": {"format": "unipen"},
            "m.obj": {"triangles": 1}, "tree": {"folders": ["across", "down"]},
            "tree/down": {"files": {"inkml": 8, "unknown": 1}}}.items():
        status, out, err = run(capsys, "info", name, "--json")
        found = json.loads(out)
        assert (status, err) == (0, "") and {key: found.get(key) for key in told} == told, (name, found)
        text = run(capsys, "info", name)[1]
        assert text.splitlines()[0].split() == ["file", name]
    assert "energy: int64, 7 to 9" in run(capsys, "info", "points.csv")[1]


def test_the_command_runs_from_a_shell(work):
    def shell(*arguments):
        done = subprocess.run([sys.executable, "-m", "spconv_cy", *arguments], capture_output=True, text=True, cwd=work)
        return done.returncode, done.stdout, done.stderr

    assert shell("--version") == (0, f"spconv-cy {sp.__version__}\n", "")
    status, out, _ = shell("config", "--json")
    assert status == 0 and json.loads(out)["spconv_cy"] == sp.__version__ and json.loads(out)["threads"] >= 1
    status, out, err = shell("predict", str(work / "model.safetensors"), str(work / "drawn.npz"), "--json")
    assert (status, err) == (0, "") and len(json.loads(out)["samples"]) == 60
    status, out, _ = shell("--help")
    assert status == 0 and "train" in out
