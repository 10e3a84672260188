"""Strokes become sites and features: against an encoder in plain Python written from the definitions alone."""

import math

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.data.characters import Characters
from spconv_cy.data.strokes import StrokeEncoder
from spconv_cy.errors import GridError, ShapeError

ENCODINGS = ("pen", "undirected", "octogram")


def resampled(points, spacing):
    """Points at even arc length along a polyline: n steps, n the length in spacings to the nearest whole number."""
    lengths = [math.dist(p, q) for p, q in zip(points[:-1], points[1:], strict=True)]
    along = np.concatenate([[0], np.cumsum(lengths)])
    steps = math.floor(along[-1] / spacing + 0.5)
    at = along[-1] * np.arange(steps + 1) / max(1, steps)
    return np.stack([np.interp(at, along, np.asarray(points)[:, axis]) for axis in (0, 1)], 1)


def shares(step, encoding):
    """The weights of a step by REFERENCE's rule: 1 - angle / 45 degrees to each compass point, none below 0."""
    compass = [(math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)) for k in range(8)]
    cosines = np.clip([(step @ np.array(c)) / np.linalg.norm(step) for c in compass], -1, 1)
    if encoding == "undirected":
        cosines = np.abs(cosines[:4])
    return np.maximum(0, 1 - np.arccos(cosines) / (math.pi / 4))


def drawn(character, encoding, size, spacing):
    """{(column, row): weights} of a character whose points are in sites from the middle of the field."""
    planes, found = {"pen": 1, "undirected": 4, "octogram": 8}[encoding], {}

    def mark(point, weights):
        site = tuple(math.floor(c + size / 2) for c in point)
        found[site] = found.get(site, 0) + np.asarray(weights, float)

    for stroke in character:
        points = resampled(stroke, spacing)
        if encoding == "pen" or len(points) == 1:
            for point in points:
                mark(point, np.full(planes, 1 / planes))
        else:
            for a, b in zip(points[:-1], points[1:], strict=True):
                mark((a + b) / 2, shares(b - a, encoding))
    return found


def normalised(character, scale):
    points = np.concatenate(character)
    low, high = points.min(0), points.max(0)
    return [(stroke - (low + high) / 2) * scale / (high - low).max() for stroke in character]


def scribbles(rng, n, strokes=3, points=6):
    return [[rng.uniform(-50, 90, (rng.integers(2, points + 1), 2)) for _ in range(rng.integers(1, strokes + 1))]
            for _ in range(n)]


def as_dict(sites, features, sample=0):
    return {tuple(site[1:].tolist()): row for site, row in zip(sites, features, strict=True) if site[0] == sample}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for site, row in expected.items():
        np.testing.assert_allclose(found[site], row, rtol=1e-5, atol=1e-5, err_msg=str(site))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_random_characters_are_drawn_as_the_definition_says(encoding, rng):
    characters = scribbles(rng, 20)
    sites, features = StrokeEncoder(encoding, size=41, scale=23.7, spacing=0.31).sites(characters)
    for c, character in enumerate(characters):
        assert_same(as_dict(sites, features, c), drawn(normalised(character, 23.7), encoding, 41, 0.31))


@pytest.mark.parametrize("turns, planes", [
    (0, {0: 1}), (1 / 16, {0: 0.5, 1: 0.5}), (7.5 / 8, {7: 0.5, 0: 0.5}), (2 / 8, {2: 1}), (0.3 / 8, {0: 0.7, 1: 0.3}),
    (5 / 8, {5: 1})])
def test_a_step_is_shared_between_the_two_nearest_directions_and_2_is_down(turns, planes):
    end = 0.2 * np.array([math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)])
    stroke = np.array([[0.5, 0.5], 0.5 + end])
    expected = np.zeros(8)
    expected[list(planes)] = list(planes.values())
    found = StrokeEncoder("octogram", size=2, scale=None, spacing=0.2).sites([[stroke]])
    np.testing.assert_array_equal(found[0], [[0, 1, 1]])
    np.testing.assert_allclose(found[1], [expected], atol=1e-6)
    for way in (stroke, stroke[::-1]):
        undirected = StrokeEncoder("undirected", size=2, scale=None, spacing=0.2).sites([[way]])[1]
        np.testing.assert_allclose(undirected, [expected[:4] + expected[4:]], atol=1e-6)


@pytest.mark.parametrize("size", [4, 5])
def test_a_point_stands_in_the_site_of_its_floor_after_the_middle_is_added(size, rng):
    points = rng.uniform(-size / 2, size / 2, (200, 2))
    sites, features = StrokeEncoder("pen", size=size, scale=None).sites([[[p]] for p in points])
    np.testing.assert_array_equal(sites[:, 1:], np.floor(points + size / 2))
    assert (features == 1).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_dot_weighs_one_in_all_and_stands_in_the_middle(encoding):
    for dot in ([(7, 9)], [(7, 9), (7, 9)]):
        sites, features = StrokeEncoder(encoding, size=9, scale=4).sites([[dot]])
        assert sites.tolist() == [[0, 4, 4]]
        assert len(set(features[0])) == 1 and features.sum() == pytest.approx(1)


def test_points_put_on_the_line_between_others_change_nothing(rng):
    stroke = rng.uniform(0, 10, (5, 2))
    at = np.sort(np.concatenate([np.arange(5), rng.uniform(0, 4, 40), [1, 1]]))         # corners also twice
    finer = np.stack([np.interp(at, np.arange(5), stroke[:, axis]) for axis in (0, 1)], 1)
    for encoding in ENCODINGS:
        encoder = StrokeEncoder(encoding, size=40, scale=25.3)
        found, expected = encoder.sites([[finer]]), encoder.sites([[stroke]])
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], atol=1e-4)


def test_the_box_keeps_its_aspect_and_stands_in_the_middle():
    wide = [np.array([(100.0, 7.0), (300.0, 7.0)]), np.array([(100.0, 57.0), (300.0, 57.0)])]
    sites, _ = StrokeEncoder("pen", size=40, scale=20.5).sites([wide])
    assert set(sites[:, 1]) == set(range(9, 31))                # 20 +- 10.25
    assert set(sites[:, 2]) == {17, 22}                         # 20 +- 2.5625


def test_neither_place_nor_unit_of_the_pen_matters(rng):
    characters = scribbles(rng, 5)
    encoder = StrokeEncoder()
    expected = encoder.sites(characters)
    found = encoder.sites([[1024 * stroke for stroke in character] for character in characters])
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    whole = [[stroke.round().astype(np.int16) for stroke in character] for character in characters]
    moved = encoder.sites([[stroke + np.int16(300) for stroke in character] for character in whole])
    np.testing.assert_array_equal(moved[1], encoder.sites(whole)[1])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_moves_turn_the_centred_character_and_the_directions_with_it(encoding, rng):
    characters = scribbles(rng, 6)
    packed = Characters.pack(characters)
    matrices, shifts = rng.uniform(-0.7, 0.7, (6, 2, 2)), rng.uniform(-0.2, 0.2, (6, 2))
    jitter = rng.uniform(-0.1, 0.1, (len(packed.stroke_starts) - 1, 2))
    sites, features = StrokeEncoder(encoding, size=80, scale=20.3).sites(
        packed, matrices=matrices, shifts=shifts, stroke_shifts=jitter)
    strokes = iter(jitter)
    for c, character in enumerate(characters):
        moved = [(stroke + 20.3 * next(strokes)) @ matrices[c] + 20.3 * shifts[c]
                 for stroke in normalised(character, 20.3)]
        assert_same(as_dict(sites, features, c), drawn(moved, encoding, 80, 0.1))


def test_items_choose_order_and_repeat_and_every_character_stands_alone(rng):
    characters, encoder = scribbles(rng, 5), StrokeEncoder()
    sites, features = encoder.sites(characters, [3, 0, 3])
    for sample, item in enumerate([3, 0, 3]):
        alone = encoder.sites([characters[item]])
        rows = sites[:, 0] == sample
        np.testing.assert_array_equal(sites[rows, 1:], alone[0][:, 1:])
        np.testing.assert_array_equal(features[rows], alone[1])


def test_sites_are_different_and_in_canonical_order_so_that_a_tensor_keeps_them(rng):
    sites, features = StrokeEncoder().sites(scribbles(rng, 8))
    assert sorted(set(map(tuple, sites.tolist()))) == list(map(tuple, sites.tolist()))
    x = sp.SparseTensor.from_sites(sites, features, size=(48, 48))
    np.testing.assert_array_equal(x.features.data, features)


def test_bits_do_not_depend_on_the_threads(threads, rng):
    characters = scribbles(rng, 30)
    expected = StrokeEncoder().sites(characters, n_threads=1)
    found = StrokeEncoder().sites(characters)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_empty_characters_are_samples_without_sites():
    encoder = StrokeEncoder()
    sites, features = encoder.sites([[], [[(0, 0), (1, 1)]], []])
    assert set(sites[:, 0]) == {1} and features.shape == (len(sites), 8)
    for nothing in ([], [[], []]):
        sites, features = encoder.sites(nothing)
        assert sites.shape == (0, 3) and features.shape == (0, 8)
    assert encoder.fit([]).factors == (0.0,) * 8


def test_fitted_factors_bring_each_plane_to_one_and_leave_empty_planes_at_zero(rng):
    characters = scribbles(rng, 12)
    fitted = StrokeEncoder("octogram", size=48, scale=16).fit(characters)
    np.testing.assert_allclose(fitted.sites(characters)[1].max(0), 1, rtol=1e-6)
    right = StrokeEncoder("octogram").fit([[np.array([(0, 0), (9, 0)])]])
    assert right.factors[0] > 0 and not any(right.factors[1:])
    assert fitted.fit(characters).factors == fitted.factors     # those that it has are left out of account


def test_an_encoder_is_made_anew_from_its_description(rng):
    encoder = StrokeEncoder("undirected", size=30, scale=9.5, spacing=0.2).fit(scribbles(rng, 3))
    assert StrokeEncoder(**encoder.describe()["arguments"]) == encoder


def test_packed_characters_give_their_strokes_back_and_cannot_be_changed(rng):
    characters = [[], *scribbles(rng, 4)]
    packed = Characters.pack(characters)
    for found, expected in zip(packed, characters, strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert Characters.pack(packed) is packed
    with pytest.raises(ValueError, match="read-only"):
        packed[1][0][0, 0] = 5


LINE = [(0.0, 0.0), (1.0, 2.0)]


@each("characters, error, message", [
    ([[LINE], [LINE, [(0, 0), (1, math.nan), (1, math.nan)]]], ValueError,
     r"character 1, stroke 1: expected finite numbers, got \(1.0, nan\) at point 1"),
    ([[[(0, math.inf)]]], ValueError, r"character 0, stroke 0: .*finite numbers, got \(0.0, inf\) at point 0"),
    ([[LINE, []]], ShapeError, r"character 0, stroke 1: .*got shape \(0,\); drop strokes without points"),
    ([[np.zeros((3, 3))]], ShapeError, r"got shape \(3, 3\)"),
    ([np.zeros((3, 2))], ShapeError, r"got one array of shape \(3, 2\); put a single stroke into a list"),
    (np.ones((4, 5)), ShapeError, r"got one array of shape \(5,\); give strokes, not a row of features"),
    ([[np.ones((3, 4))]], ShapeError, r"got shape \(3, 4\); leave out what follows x and y: stroke\[:, :2\]"),
    ([[np.ones((2, 9))]], ShapeError, r"got shape \(2, 9\); transpose it"),
    ([LINE], ShapeError, r"got shape \(2,\); put a single stroke into a list"),
    ("abc", ShapeError, r"character 0: expected a list of \(n, 2\) arrays.*got a str"),
    ([[[(0, 0), (1,)]]], ShapeError, "character 0, stroke 0: .*got points of unequal length"),
    ([[[("a", "b")]]], ShapeError, "expected integers or floats, got dtype <U1"),
    ([[[(True, False)]]], ShapeError, "expected integers or floats, got dtype bool"),
    ([[[(1j, 0)]]], ShapeError, "got dtype complex128"),
    ([5], ShapeError, r"expected a list of \(n, 2\).*got an int"),
    (5, ShapeError, "expected a list of.*got an int"),
])
def test_wrong_strokes_are_named_with_their_place(characters, error, message):
    with pytest.raises(error, match=message):
        StrokeEncoder().sites(characters)


def test_points_outside_the_field_are_counted_and_the_size_that_is_named_holds_them():
    characters = [[[(0, 0), (1, 1)]], [[(0, 0), (30, -2), (40.5, 0)]]]
    with pytest.raises(GridError, match=r"16 x 16 .* got 2 points of character 1 .*a size of 82 would hold all"):
        StrokeEncoder("pen", size=16, scale=None).sites(characters)
    assert StrokeEncoder("pen", size=82, scale=None).sites(characters)[0][:, 1].max() == 81
    with pytest.raises(GridError, match="check scale, matrices and shifts"):
        StrokeEncoder("pen", size=16, scale=None).sites([[[(1e9, 0)]]])


@each("options, message", [
    ({"encoding": "hexagram"}, "encoding.*got 'hexagram'"),
    ({"encoding": ["pen"]}, r"expected encoding to be one.*got \['pen'\]"),
    ({"size": 0}, "expected size to be a whole.*got 0"), ({"size": 2.5}, "expected size to be a whole.*got 2.5"),
    ({"scale": 48}, "expected scale to be a.*got 48"), ({"scale": math.nan}, "expected scale to be a.*got nan"),
    ({"spacing": 0}, "expected spacing to be a.*got 0"), ({"spacing": 1e-9}, "expected spacing to be a.*got 1e-09"),
    ({"factors": (1, 2)}, r"expected factors to be 8 finite numbers, got \(1, 2\)")])
def test_encoders_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StrokeEncoder(**options)


@each("moves, message", [
    ({"matrices": np.zeros((2, 2))}, r"expected matrices \(1, 2, 2\), got shape \(2, 2\)"),
    ({"shifts": np.zeros(2)}, r"expected shifts \(1, 2\), got shape \(2,\)"),
    ({"matrices": np.zeros((2, 2, 2))}, r"expected matrices \(1, 2, 2\), got shape \(2, 2, 2\)"),
    ({"shifts": np.zeros((1, 3))}, r"expected shifts \(1, 2\), got shape \(1, 3\)"),
    ({"stroke_shifts": np.zeros((2, 2))}, r"expected stroke_shifts \(1, 2\), got shape \(2, 2\)"),
    ({"items": [1]}, "expected items from 0 to 0, got 1 to 1"), ({"items": [0.5]}, r"got shape \(1,\) of float64"),
    ({"shifts": np.full((1, 2), np.nan)}, "points inside the field")])
def test_moves_that_do_not_fit_are_refused(moves, message):
    with pytest.raises(ValueError, match=message):
        StrokeEncoder().sites([[LINE]], **moves)
