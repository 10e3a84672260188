"""The examples do what they say; tests/test_docs_blocks.py runs the blocks of README.md and docs/."""

import re
import runpy
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy import config

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
README = (ROOT / "README.md").read_text()


def globals_of(name):
    """Run an example in this process; return its names."""
    (path,) = EXAMPLES.glob(f"*_{name}.py")
    return runpy.run_path(str(path))


def test_the_first_network_learns_and_tells_shapes_apart():
    found = globals_of("first_network")
    assert found["accuracy"] > 0.95 and found["history"].losses[-1] < found["history"].losses[0] / 5


def test_every_point_of_a_cloud_gets_a_class():
    found = globals_of("point_cloud")
    assert found["accuracy"] > 0.9 and min(found["result"].iou) > 0.7
    assert len(found["result"].labels) == len(found["test"]) == 5400


def test_handwriting_is_read_before_and_after_saving():
    found = globals_of("handwriting")
    assert found["accuracy"] > 0.93 and list(found["answers"]) == [0, 7]
    again = found["classifier"].predict_proba([found["zero"], found["seven"]]).max(1)
    assert np.array_equal(again, found["shares"])


def test_a_saved_network_answers_on_one_thread():
    before = config.threads()
    found = globals_of("deploy_on_cpu")
    assert found["accuracy"] > 0.9 and len(found["seconds"]) == 500 and found["peak"] > 10
    assert config.threads() == before


def test_the_backends_agree():
    found = globals_of("switch_backend")
    assert set(found["differences"]) == set(sp.available_backends()) and max(found["differences"].values()) < 1e-5
    assert np.abs(found["truth"]).max() > 1e-2


def test_a_layer_of_ones_own_learns_and_is_loaded():
    found = globals_of("own_layer")
    assert found["losses"][-1] < 0.8 * found["losses"][0] and found["same"]
    assert (found["net"][0].threshold.numpy() > 0.15).all()


def test_jobs_on_many_machines_share_the_work(tmp_path, monkeypatch, capsys):
    main = globals_of("many_machines")["main"]
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert main(tmp_path) is None and len(list(tmp_path.iterdir())) == 10
    first = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    accuracy = main(tmp_path)
    assert accuracy > 0.98 and len(list(tmp_path.iterdir())) == 20
    monkeypatch.delenv("SLURM_ARRAY_TASK_COUNT")
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    assert main(tmp_path) == accuracy                                       # alone: all is there already
    assert first.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}.items()
    assert "job 0 of 1: 0 pieces computed" in capsys.readouterr().out


def test_training_on_ranks_also_trains_alone(capsys):
    assert globals_of("train_on_ranks")["main"]() < 0.2
    assert "ranks: 1, " in capsys.readouterr().out


def test_examples_are_short_and_each_has_a_test():
    names = [path.stem.partition("_")[2] for path in sorted(EXAMPLES.glob("*.py"))]
    assert 5 <= len(names) <= 8
    for name in names:
        assert f'globals_of("{name}")' in Path(__file__).read_text()
        (path,) = EXAMPLES.glob(f"*_{name}.py")
        assert path.read_text().count("\n") <= 60


def test_the_readme_names_no_file_that_is_not_there():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), f"README links {target}"
