"""The digits that come with the package: how many, whose, and that they are UCI's."""

import os
from pathlib import Path

import numpy as np
import pytest

import spconv_cy.data.pen_digits as module
from spconv_cy.data.pen_digits import digits, digits_by_writers, digits_split, with_aspect

# UCI's pendigits.names, training and testing sets together.
COUNTS = [1143, 1143, 1144, 1055, 1144, 1055, 1056, 1142, 1055, 1055]


def test_every_class_has_as_many_digits_as_uci_says():
    characters, labels = digits()
    assert np.bincount(labels).tolist() == COUNTS
    points = np.array([stroke for (stroke,) in characters])
    assert points.shape == (10_992, 8, 2) and points.dtype == np.float64
    assert points.min() == 0 and points.max() == 100
    for corner in (points.min(1), points.max(1)):
        assert set(np.unique(corner)) <= {0, 100}           # each digit fills its box, to rounding of the points


def test_y_points_down():
    characters, labels = digits()
    points = np.array([stroke for (stroke,) in characters])
    for digit in range(10):                                 # the pen comes down in the upper part
        assert np.median(points[labels == digit][:, 0, 1]) < 40


def test_the_licence_names_authors_terms_and_changes():
    text = Path(module.__file__).with_name("DIGITS_LICENCE.txt").read_text()
    for words in ("CC BY 4.0", "creativecommons.org/licenses/by/4.0", "E. Alpaydin, F. Alimoglu", "10.24432/C5MG6K",
                  "Changes:"):
        assert words in text


def test_the_digits_are_those_of_the_writers_split():
    folder = os.environ.get("SPCONV_CY_DATA")
    if not folder:
        pytest.skip("needs pendigits.npz: SPCONV_CY_DATA=FOLDER")
    with np.load(Path(folder) / "pendigits.npz") as file:
        theirs = np.column_stack([file["label"], file["xy"].reshape(len(file["label"]), 16)])
    characters, labels = digits()
    ours = np.column_stack([labels, np.array(characters).reshape(len(labels), 16)])
    np.testing.assert_array_equal(np.unique(ours, axis=0, return_counts=True)[0], np.unique(theirs, axis=0))
    with np.load(Path(folder) / "pendigits.npz") as file:
        for (characters, labels), part in zip(digits_by_writers(), (0, 1), strict=True):
            ours = np.column_stack([labels, np.array(characters).reshape(len(labels), 16)])
            of_part = theirs[file["fold"] == part]
            np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (ours, of_part)))


def test_the_split_by_writers_has_every_digit_once_and_ucis_counts():
    (train, train_labels), (test, test_labels) = digits_by_writers()
    # Of pendigits.names.
    assert np.bincount(train_labels).tolist() == [780, 779, 780, 719, 780, 720, 720, 778, 719, 719]
    assert np.bincount(test_labels).tolist() == [363, 364, 364, 336, 364, 335, 336, 364, 336, 336]
    both = sorted((label, stroke.tobytes()) for (stroke,), label in
                  zip([*train, *test], [*train_labels, *test_labels], strict=True))
    assert both == sorted((label, stroke.tobytes()) for (stroke,), label in zip(*digits(), strict=True))


def test_the_split_is_drawn_within_each_class_by_the_seed_alone():
    characters, labels = digits()
    everything = {(label, stroke.tobytes()) for (stroke,), label in zip(characters, labels, strict=True)}
    tests = []
    for seed in (0, 0, 1):
        (train, train_labels), (test, test_labels) = digits_split(seed)
        assert (len(train), len(test)) == (7494, 3498)
        share = 3498 / 10_992
        assert np.abs(np.bincount(test_labels) - share * np.array(COUNTS)).max() < 1
        np.testing.assert_array_equal(np.bincount(train_labels) + np.bincount(test_labels), COUNTS)
        both = {(label, stroke.tobytes()) for (stroke,), label in
                zip([*train, *test], [*train_labels, *test_labels], strict=True)}
        assert both == everything                           # each digit kept its label, none is lost
        tests.append(np.array(test).tobytes())
    assert tests[0] == tests[1] != tests[2]


def test_one_nearest_neighbour_has_its_known_error():
    (train, train_labels), (test, test_labels) = digits_split()
    a, b = (np.array(part, np.float32).reshape(-1, 16) for part in (train, test))
    nearest = ((a**2).sum(1) - 2 * b @ a.T).argmin(1)
    assert 0.004 < np.mean(train_labels[nearest] != test_labels) < 0.010        # about 0.7 %


@pytest.mark.parametrize("squeezed", [0.3, 1, 3.7])
def test_the_aspect_of_points_at_even_spacing_comes_back(squeezed, rng):
    for _ in range(20):
        angles = rng.uniform(0, 2 * np.pi, 7)
        points = np.cumsum(np.column_stack([np.cos(angles), np.sin(angles)]), 0)
        (found,) = with_aspect([points * (1, 1 / squeezed)])
        np.testing.assert_allclose(found, points, atol=1e-9)


def test_the_aspect_is_the_best_of_all_factors_within_their_limits():
    # Real digits, whose corners are cut and whose pen was lifted: no factor makes their steps equal.
    factors = np.geomspace(0.25, 4, 2000)
    for (stroke,) in digits()[0][:300]:
        steps = np.diff(stroke, axis=0) ** 2
        squares = steps[:, :1] + factors**2 * steps[:, 1:]
        best = factors[np.argmin(squares.var(0) / squares.mean(0) ** 2)]
        (found,) = with_aspect([stroke])
        np.testing.assert_allclose(found, stroke * (1, best), rtol=0.002)


@pytest.mark.parametrize("points", [[(3, 4)], [(0, 0), (5, 5)], [(0, 0), (0, 9), (0, 18)], [(1, 1), (1, 1)]])
def test_a_line_has_no_aspect_to_find(points):
    np.testing.assert_array_equal(with_aspect([points])[0], points)


@pytest.mark.parametrize("test", [-1, 10_993, 0.3, "all"])
def test_sizes_that_cannot_be_are_refused(test):
    with pytest.raises(ValueError, match="expected test to be a whole number from 0 to 10992, got"):
        digits_split(test=test)


@pytest.mark.parametrize("test", [0, 1, 10_992])
def test_either_side_of_the_split_may_be_empty(test):
    train, tested = digits_split(test=test)
    assert (len(train[0]), len(tested[0])) == (10_992 - test, test)
