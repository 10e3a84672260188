"""The ways of five users with the documentation's words: strokes, hits, a checkpoint, scikit-learn, a contribution.

The fast tests type the commands of the pages, whose Python tests/test_docs_blocks.py runs. The slow ones begin with a
fresh clone, which they build as the README says: python -m pytest -m slow tests/test_user_paths.py --durations=0
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.cli import main

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
SHAPES = {"cross": [[(-1, -1), (1, 1)], [(1, -1), (-1, 1)]], "tick": [[(-1, 0), (-0.4, 0.8), (1, -1)]],
          "bar": [[(0, -1), (0, 1)]]}


def blocks(page, language=""):
    """Return the blocks of a page in one language; commands have none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    return [text for name, text in found if name == language]


def block(page, word, language=""):
    """Return the one block of a page that has a word."""
    (found,) = [text for text in blocks(page, language) if word in text]
    return found


def draw(folder):
    """Write drawings/, a folder of InkML files for each class, and new.inkml."""
    rng = np.random.default_rng(0)
    for name, strokes in SHAPES.items():
        (folder / "drawings" / name).mkdir(parents=True)
        for i in range(12):
            traces = [np.array(stroke) + rng.normal(0, 0.1, np.shape(stroke)) for stroke in strokes]
            text = "".join(f"<trace>{', '.join(f'{x:.3f} {y:.3f}' for x, y in trace)}</trace>" for trace in traces)
            (folder / "drawings" / name / f"{i}.inkml").write_text(f"<ink>{text}</ink>")
    shutil.copy(folder / "drawings" / "cross" / "0.inkml", folder / "new.inkml")


def check_drawings(folder):
    assert (folder / "answers.csv").read_text().splitlines()[1].startswith("new.inkml,cross,")


def check_hits(folder):
    found = sp.readers.read_points(folder / "classes.csv")
    assert (found.values["predicted"] == found.labels()).mean() > 0.9 and len(found) == 7440


def test_a_student_trains_on_drawings_in_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path)
    for line in block("docs/own_drawings.md", "spconv-cy train").splitlines():
        assert main(line.split()[1:]) == 0, line
    check_drawings(tmp_path)
    assert re.search(r"test error +0(\.\d+)?$", capsys.readouterr().out, re.M)


def test_a_physicist_segments_hits_in_a_csv_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(block("docs/own_hits.md", "np.savetxt(\"hits.csv\"", "python"), {})
    for line in block("docs/own_hits.md", "spconv-cy train").splitlines():
        assert main(line.split()[1:]) == 0, line
    check_hits(tmp_path)
    assert "intersection" not in capsys.readouterr().err


# From a fresh clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Return a clone of this repository, installed as the README says."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    folder = tmp_path_factory.mktemp("fresh")
    typed(folder, block("README.md", "git clone").replace("<this repository>", f"{ROOT} spconv_cy"))
    return folder / "spconv_cy"


def typed(folder, text):
    """Type commands into a shell; return what they print."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(["bash", "-ec", text], cwd=folder, env=environment | {"OMP_WAIT_POLICY": "passive"},
                          capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def go_on(clone, *texts):
    """Type commands into the shell in which the environment is active."""
    return typed(clone, "\n".join((". .venv/bin/activate", *texts)))


def python(clone, *texts):
    """Run Python blocks as one program, started in the clone."""
    (clone / "program.py").write_text("\n".join(texts))
    printed = go_on(clone, "python program.py")
    (clone / "program.py").unlink()                                      # of no interest to `make lint` there
    return printed


@pytest.mark.slow
def test_a_student_from_a_fresh_clone(clone):
    out = python(clone, *blocks("README.md", "python")[:1])
    assert float(re.search(r"never seen: (\S+)", out)[1]) > 0.9
    out = python(clone, *blocks("docs/own_drawings.md", "python"))
    assert float(re.search(r"right: (\S+)", out)[1]) > 0.9
    draw(clone)
    go_on(clone, block("docs/own_drawings.md", "spconv-cy train"))
    check_drawings(clone)


@pytest.mark.slow
def test_a_physicist_from_a_fresh_clone(clone):
    out = python(clone, *(text for text in blocks("docs/own_hits.md", "python") if "h5py" not in text))
    assert float(re.search(r"^right: (\S+)", out, re.M)[1]) > 0.9
    go_on(clone, block("docs/own_hits.md", "spconv-cy train"))
    check_hits(clone)


@pytest.mark.slow
def test_an_engineer_from_a_fresh_clone(clone):
    file = np.load(GOLDEN / "spconv_networks.npz")
    shutil.copy(GOLDEN / "spunet.pth", clone)
    np.savez(clone / "scene.npz", sites=file["spunet/sites"], features=file["spunet/rows"], size=file["spunet/size"])
    # The widths of this small network leave two readings of its weights.
    text = block("README.md", "spconv-cy convert").replace("--network spunet", "--network spunet --layout krsc")
    assert "158 arrays matched" in go_on(clone, text)
    found = np.load(clone / "classes.npz")
    assert np.abs(found["features"] - file["spunet/out_rows"]).max() <= 2e-6 * np.abs(file["spunet/out_rows"]).max()


@pytest.mark.slow
def test_a_user_of_scikit_learn_from_a_fresh_clone(clone):
    go_on(clone, "pip install --quiet scikit-learn")                     # which this user has already
    (line,) = re.findall(r"`(items = np\.empty.*?)`", (ROOT / "docs" / "estimators.md").read_text(), re.S)
    out = python(clone, *blocks("docs/estimators.md", "python"), " ".join(line.split()),
                 "from sklearn.model_selection import GridSearchCV",
                 "search = GridSearchCV(classifier, {'k': [3, 5]}, cv=2).fit(items, shapes)",
                 "print('best:', search.best_score_)")
    assert float(out.split()[0]) > 0.7 and float(out.rpartition("best: ")[2]) > 0.7


@pytest.mark.slow
def test_a_contributor_from_a_fresh_clone(clone):
    text = block("CONTRIBUTING.md", "make .venv/built")
    out = typed(clone, text.partition("&& cd spconv_cy")[2])
    assert "Built in " in out
    go_on(clone, "touch spconv_cy/compiled/drawn.pyx", "python setup.py -q build_ext --inplace",
          "python -m pytest -q tests/test_fractional.py tests/test_adding_a_layer.py tests/test_house.py", "make lint")
