"""The model of digits that comes with the package reads people whom it was not trained on."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.data.pen_digits import as_digit, with_aspect
from spconv_cy.page.reader import SHIPPED, Reader

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments"))
import digit_model  # noqa: E402
import drawn_digits  # noqa: E402


@pytest.fixture(scope="module")
def model():
    return sp.SparseConvClassifier.load(SHIPPED)


def test_at_most_one_in_a_hundred_digits_of_writers_never_seen_is_misread(model):
    _, (characters, labels) = sp.data.digits_by_writers()
    assert digit_model.error(model, [with_aspect(character) for character in characters], labels) <= 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_upright_strokes_are_ones_up_and_down_and_with_a_trembling_hand(model, seed):
    assert digit_model.error(model, digit_model.upright(seed), np.ones(200, int)) == 0


@pytest.mark.parametrize("tremble", [0, 1, 2, 3])
@pytest.mark.parametrize("up", [False, True])
def test_the_page_reads_an_upright_stroke_as_one(tremble, up, rng):
    reader = Reader.of_file()
    for length in (60, 150, 280):
        points = np.column_stack([rng.uniform(-tremble, tremble, 40) + 120, np.linspace(10, 10 + length, 40)])
        assert reader.read([(points[::-1] if up else points).tolist()])["answers"][0][0] == "1"


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_is_read_in_every_way_of_writing_that_was_drawn(model, digit):
    ways = [as_digit(way, aspect=True) for way in drawn_digits.WAYS[digit]]
    assert model.predict(ways).tolist() == [digit] * len(ways)


def test_digits_of_another_source_are_read():
    folder = Path(os.environ.get("SPCONV_CY_DATA") or "nowhere")
    path = next((folder / name for name in ("ujipenchars2.txt", "ujipenchars.txt", "other_digits.npz")
                 if (folder / name).exists()), None)
    if path is None:
        pytest.skip("needs UJI's pen characters, ujipenchars2.txt, or other_digits.npz: SPCONV_CY_DATA=FOLDER")
    others = digit_model.others_of(path)
    labels = np.array(others.classes, int)[others.labels]
    assert digit_model.error(sp.SparseConvClassifier.load(SHIPPED), others.characters, labels) <= 1.5


def test_the_digits_to_train_on_have_their_aspect_and_ends_that_are_cut():
    (characters, labels), _ = sp.data.digits_by_writers()
    found, answers = drawn_digits.training_digits(characters[:50], labels[:50], copies=1, drawn=0.2, lines=0.1)
    assert len(found) == len(answers) == 100 + 20 + 10 and answers[-10:].tolist() == [1] * 10
    for character, label in zip(found[50:], answers[50:], strict=True):
        (points,) = character
        assert points.shape == (8, 2) and 0 <= label < 10
        assert np.ptp(points, axis=0).max() == pytest.approx(100) and np.ptp(points, axis=0).min() <= 100
    again = drawn_digits.training_digits(characters[:50], labels[:50], copies=1, drawn=0.2, lines=0.1)[0]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(found, again, strict=True))
