"""The experiment on Chinese characters, on files that the test writes in the formats of its two sets."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from experiment_runs import run

import spconv_cy as sp
from spconv_cy.page.reader import Reader

SCRIPT = "kanji.py"
CODES = range(0x4E00, 0x4E0F)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with both packages: straight strokes at random, the second hand's a little elsewhere; 13 are shared."""
    folder, rng = tmp_path_factory.mktemp("kanji"), np.random.default_rng(0)
    with zipfile.ZipFile(folder / "kanjivg-1-py3-none-any.whl", "w") as wheel, \
            tarfile.open(folder / "hanzi-writer-data-1.tgz", "w:gz") as package:
        for code in CODES:
            strokes = rng.integers(5, 100, (rng.integers(2, 6), 2, 2))
            paths = "".join(f'<path d="M{a},{b}L{c},{d}"/>' for (a, b), (c, d) in strokes)
            medians = strokes[:len(strokes) - (code == 0x4E03)] * (9, -9) + (0, 900) + rng.integers(-9, 9, 2)
            if code != CODES[0]:
                wheel.writestr(f"kanji/{code:05x}.svg", f"<svg>{paths}</svg>")
            if code != CODES[-1]:
                content = json.dumps({"medians": medians.tolist()}).encode()
                entry = tarfile.TarInfo(f"package/{chr(code)}.json")
                entry.size = len(content)
                package.addfile(entry, io.BytesIO(content))
    return folder


def test_one_hand_is_learnt_and_the_other_read_and_the_page_serves_the_model(data, tmp_path):
    pytest.importorskip("matplotlib")
    done = run(tmp_path, SCRIPT, "--tiny", "--fine", "--data", data)
    assert done.returncode == 0, done.stderr
    assert "CC BY-SA 3.0" in done.stdout and "Arphic" in done.stdout and "13 characters in common of 14" in done.stdout
    folder = tmp_path / "build" / "experiments" / "kanji-tiny"
    record = json.loads((folder / "record.json").read_text())
    for name in ("undirected", "octogram", "fine"):
        found = record["figures"][f"{name} 0"]
        counts, errors = found["counts"], found["errors"]
        assert counts["all"] == 12 == counts["equally many strokes"] + counts["strokes differ in number"]
        parts = [name for name in errors if name != "all"]
        for column in range(4):                                         # top-1, top-5, and both by views
            mean = sum(errors[part][column] * counts[part] for part in parts) / 12
            assert mean == pytest.approx(errors["all"][column]) and 0 <= mean <= 1
        assert errors["all"][1] <= errors["all"][0] and len(found["worst"]) == min(8, round(12 * errors["all"][0]))
        model = folder / f"kanji-{name}.safetensors"
        classes = sp.SparseConvClassifier.load(model).classes_.tolist()
        assert len(classes) == 12 and set(classes) < {chr(code) for code in CODES}
        answers = Reader.of_file(model).read([[(0, 0), (9, 1)], [(3, -2), (4, 9)]])["answers"]
        assert len(answers) == 3 and all(label in classes for label, _ in answers)
    assert (folder / "confusions.png").stat().st_size > 3000
    again = run(tmp_path, SCRIPT, "--tiny", "--fine", "--data", data)           # all is kept
    assert again.returncode == 0 and "epoch" not in again.stderr


def test_without_data_it_says_what_it_wants(tmp_path):
    for arguments, status in (((), 2), (("--small",), 0), (("--tiny", "--data", tmp_path), 0)):
        done = run(tmp_path, SCRIPT, *arguments)
        assert done.returncode == status, done.stderr
        assert "kanjivg-*.whl and hanzi-writer-data-*.tgz are wanted" in done.stdout and not done.stderr
        assert "CC BY-SA 3.0" in done.stdout and "Arphic" in done.stdout
