"""The experiment on pen digits, which the README shows, and the training of the model that comes with the package."""

import json
import re

import numpy as np
import pytest
from experiment_runs import run

import spconv_cy as sp

SCRIPT = "handwriting.py"

@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The outcome of a small run of the handwriting experiment, and the folder in which it ran."""
    folder = tmp_path_factory.mktemp("demo")
    return run(folder, SCRIPT, "--tiny", "--seed", 3, COLUMNS="200"), folder


def test_the_last_line_is_the_test_error_and_how_long_training_took(small):
    assert small[0].returncode == 0, small[0].stderr
    assert re.fullmatch(r"test error: \d+\.\d\d % \(trained in \d+ s\)", small[0].stdout.splitlines()[-1])


def test_the_epochs_are_on_stderr_with_loss_and_errors(small):
    assert re.search(r"^epoch 2/2  loss \d+\.\d+, error \d+\.\d\d %, validation ", small[0].stderr, re.M)
    assert "epoch" not in small[0].stdout


def test_it_prints_the_neighbour_the_sites_the_worst_classes_and_the_speed(small):
    text = small[0].stdout
    assert re.search(r"^1-nearest neighbour on the 16 raw coordinates: \d+\.\d\d % test error$", text, re.M)
    assert re.search(r"^20C3 +46x46 +[\d,]+ +211,600 ", text, re.M)         # 100 digits x 46 x 46
    assert len(re.findall(r"^  \d: \d+ of \d+ misread \(.*\)$", text, re.M)) == 4
    assert re.search(r"^[\d,]+ samples/s in training$", text, re.M)


def test_it_draws_a_picture(small):
    image = pytest.importorskip("matplotlib.image").imread(small[1] / "demo.png")
    assert image.shape[0] > 800 and image.shape[1] > 1200
    colours = np.unique((image[::4, ::4, :3].reshape(-1, 3) * 255).astype(int), axis=0)
    assert len(colours) > 100                                               # strokes, sites, bars: no empty sheet


def test_it_keeps_a_row_for_every_seed_and_begins_anew_when_it_has_ended(small):
    errors = {}
    for seed in (4, 3):
        done = run(small[1], SCRIPT, "--tiny", "--seed", seed, "--epochs", 1)
        assert done.returncode == 0 and "epoch 1/1  " in done.stderr        # not kept, though seed 3 had ended
        errors[seed] = float(re.search(r"^test error: (.*) % ", done.stdout, re.M)[1])
    record = json.loads((small[1] / "build" / "experiments" / "demo-tiny" / "record.json").read_text())
    (table,) = record["tables"].values()
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert [(row[0], float(row[1])) for row in rows[:2]] == [("writers-3", errors[3]), ("writers-4", errors[4])]
    assert rows[2][0] == "mean" and float(rows[2][1]) == pytest.approx(sum(errors.values()) / 2, abs=0.011)


def test_the_random_split_runs(tmp_path):
    done = run(tmp_path, SCRIPT, "--tiny", "--random")
    assert done.returncode == 0, done.stderr
    assert "a stratified random split" in done.stdout and "test error: " in done.stdout.splitlines()[-1]


def test_the_digits_model_is_trained_and_saved(tmp_path):
    done = run(tmp_path, "digit_model.py", "--small")
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"writers never seen: (\d+\.\d\d) % misread$", done.stdout, re.M)[1]) < 20
    assert sp.SparseConvClassifier.load(tmp_path / "digits_model.safetensors").classes_.tolist() == list(range(10))
