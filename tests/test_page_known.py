"""What is no digit: few of the real digits of people never seen are doubted, most of what is none is."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.data.pen_digits import with_aspect
from spconv_cy.page.known import FARTHEST, KnownDigits
from spconv_cy.page.reader import LEAST_SHARE, Reader

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments"))
import drawn_digits  # noqa: E402
import known_digits  # noqa: E402


@pytest.fixture(scope="module")
def reader():
    return Reader.of_file()


def doubted(reader, characters):
    """Return for each character whether the page is not sure of it; the layers are not computed."""
    shares = reader.classifier.predict_proba([reader.prepare(character) for character in characters]).max(1)
    return (shares < LEAST_SHARE) | [reader.is_unlike(character) for character in characters]


def test_at_most_one_in_a_hundred_real_digits_of_writers_never_seen_is_doubted(reader):
    _, (characters, _) = sp.data.digits_by_writers()
    assert len(characters) == 3498
    assert doubted(reader, [with_aspect(character) for character in characters]).mean() <= 0.01


def test_digits_in_all_ways_of_writing_that_are_known_are_not_doubted(reader, rng):
    ways = [[np.array(stroke) + rng.normal(0, 2, (len(stroke), 2)) for stroke in way]
            for ways in drawn_digits.WAYS.values() for way in ways]
    assert not doubted(reader, ways).any()
    assert not doubted(reader, [[3 * stroke[::-1] + 50 for stroke in way[::-1]] for way in ways]).any()


def test_what_is_no_digit_is_mostly_doubted(reader, rng):
    crosses = [[np.array([(0, 0), (100, 100.0)]) + rng.normal(0, 4, (2, 2)),
                np.array([(100, 0), (0, 100.0)]) + rng.normal(0, 4, (2, 2))] for _ in range(20)]
    level = [[np.linspace((0, 0), (100 * np.cos(a), 100 * np.sin(a)), 20)] for a in rng.uniform(-0.4, 0.4, 20)]
    walks = [[np.cumsum(rng.normal(size=(40, 2)), 0)] for _ in range(60)]
    dots = [[[(7, 7)]], [[(5, 5), (5, 5)]]]
    for drawn, least in ((crosses, 1), (level, 1), (dots, 1), (walks, 0.85)):
        assert doubted(reader, drawn).mean() >= least
    assert reader.read(crosses[0])["sure"] is False and len(reader.read(crosses[0])["answers"]) == 3
    path = Path(os.environ.get("SPCONV_CY_DATA") or "nowhere") / "omniglot_strokes.npz"
    if path.exists():
        signs = sp.readers.read_handwriting(path)
        chosen = [signs.characters[i] for i in rng.permutation(len(signs))[:200]]
        assert doubted(reader, chosen).mean() > 0.65


def test_the_distance_does_not_depend_on_place_size_and_direction():
    known = KnownDigits()
    _, (characters, _) = sp.data.digits_by_writers()
    for character in characters[:10]:
        points, = with_aspect(character)
        found = known.distance([points])
        for other in ([points[::-1]], [0.3 * points + 70]):
            assert known.distance(other) == pytest.approx(found, abs=0.01)
        assert not known.is_unlike([points]) or found > FARTHEST


def test_a_ring_is_known_wherever_it_begins(reader):
    turn = np.linspace(0, 2 * np.pi, 40)
    rings = [[np.stack([0.7 * np.cos(way * turn + begin), np.sin(way * turn + begin)], 1)]
             for begin in np.linspace(0, 2 * np.pi, 12) for way in (-1, 1)]
    assert not doubted(reader, rings).any()
    assert {reader.read(ring)["answers"][0][0] for ring in rings} == {"0"}
    points = np.array([(50, 0), (0, 50), (50, 100), (100, 50), (50, 1)])
    assert [found[0][0].tolist() for found in known_digits.begun_elsewhere(points)] == points[1:4].tolist()
    assert known_digits.begun_elsewhere(points[:3]) == []


def test_the_known_digits_are_thinned_out_and_made_as_told(rng):
    points = rng.uniform(0, 100, (300, 2))
    kept = known_digits.thinned(points, 10)
    distances = np.linalg.norm(points[:, None] - points[kept], axis=2)
    assert (distances.min(1) < 10).all() and (np.sort(distances[kept], axis=1)[:, 1] >= 10).all()
    known = KnownDigits()
    (characters, _), _ = sp.data.digits_by_writers()
    distances = [known.distance(with_aspect(character)) for character in characters[:200]]
    assert max(distances) < 25 + 3                                       # the radius, and what rounding adds
