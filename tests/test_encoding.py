"""Windowed signatures and space-time on the grid: against encoders in plain Python written from the definitions."""

import math

import numpy as np
import pytest
from in_turn import each
from test_signature import iterated
from test_strokes import as_dict, assert_same, normalised, resampled, scribbles

import spconv_cy as sp
from spconv_cy.data.encoding import ENCODINGS
from spconv_cy.errors import GridError, ShapeError

PLANES = {"signature": [1, 3, 7, 15, 31], "log-signature": [None, 2, 3, 5, 8],
          "time-signature": [None, 4, 13, 40, 121], "time-log-signature": [None, 3, 6, 14, 32]}


def even(points, spacing, finer):
    """Points at even arc length: n * finer steps, n the length in spacings to the nearest whole number."""
    length = sum(math.dist(p, q) for p, q in zip(points[:-1], points[1:], strict=True))
    n = math.floor(length / spacing + 0.5)
    return resampled(points, length / (n * finer) * (1 - 1e-12)) if n else np.asarray(points)[:1]


def windows(character, size, window):
    """{site: points of the coarse path in the window at the first visit}; points in sites from the field's middle."""
    spacing, found = window / 4, {}
    finer = max(1, math.floor(2 * spacing + 0.5))
    for stroke in character:
        coarse, drawn = even(stroke, spacing, 1), even(stroke, spacing, finer)
        assert len(drawn) == (len(coarse) - 1) * finer + 1
        for j, point in enumerate(drawn):
            site = tuple(math.floor(c + size / 2) for c in point)
            middle = j // finer
            found.setdefault(site, coarse[max(0, middle - 4):middle + 5])
    return found


def test_the_names_have_the_planes_of_the_reference():
    for name, counts in PLANES.items():
        for level, planes in enumerate(counts):
            assert planes is None or sp.data.StrokeEncoder(f"{name}{level}").planes == planes


@pytest.mark.parametrize("name, options", [
    ("signature4", {"scale": 23.7}), ("signature2", {"scale": 23.7, "window": 11.3}),
    ("signature3", {"scale": None, "window": 1.4}), ("time-signature2", {"scale": 23.7})])
def test_a_site_has_the_signature_of_the_window_at_its_first_visit(name, options, rng):
    level = int(name[-1])
    characters = scribbles(rng, 1)
    if options["scale"] is None:
        characters = [normalised(character, 30.1) for character in characters]
    sites, features = sp.data.StrokeEncoder(name, size=41, **options).sites(characters)
    for c, character in enumerate(characters):
        placed = normalised(character, options["scale"]) if options["scale"] else character
        expected = {}
        for site, path in windows(placed, 41, options.get("window", 23.7 / 5)).items():
            if name.startswith("time"):
                path = np.column_stack([np.arange(len(path)), path])
            expected[site] = list(iterated(path, level).values())
        assert_same(as_dict(sites, features, c), expected)


@pytest.mark.parametrize("timed", [False, True])
def test_log_signatures_on_the_grid_are_those_of_the_windows(timed, rng):
    characters = scribbles(rng, 6)
    encoder = sp.data.StrokeEncoder("time-" * timed + "log-signature4", size=41, scale=23.7)
    sites, features = encoder.sites(characters)
    for c, character in enumerate(characters):
        paths = windows(normalised(character, 23.7), 41, 23.7 / 5)
        if timed:
            paths = {site: np.column_stack([np.arange(len(path)), path]) for site, path in paths.items()}
        assert_same(as_dict(sites, features, c), {site: sp.data.log_signature(path, 4) for site, path in paths.items()})


def test_the_spacing_at_scale_64_is_grahams():
    # Window 12.8, coarse points every 3.2 sites, 6 drawing points to each: a line of 64 sites has 20 * 6 + 1 of them.
    sites, features = sp.data.StrokeEncoder("signature1", size=96, scale=64).sites([[[(0, 0), (1, 0)]]])
    assert len(sites) == 65
    np.testing.assert_allclose(features[20:40, 1], 25.6, rtol=1e-6)      # in the middle, four spacings to each side
    np.testing.assert_allclose(features[0], [1, 12.8, 0], rtol=1e-6)
    assert (features[:, 0] == 1).all()


def test_a_window_ends_with_its_stroke_and_a_later_stroke_changes_nothing():
    across, down = [(-9.0, 0.2), (9.0, 0.2)], [(0.2, -9.0), (0.2, 9.0)]
    encoder = sp.data.StrokeEncoder("signature2", size=24, scale=None, window=4)
    alone, both = (as_dict(*encoder.sites([character])) for character in ([across], [across, down]))
    for site, row in alone.items():
        np.testing.assert_array_equal(both[site], row)
    np.testing.assert_allclose(both[12, 3], [1, 0, 4, 0, 0, 0, 8], atol=1e-6)


def timed_points(character, spacing, pace, size):
    """Every resampled point with its place in time, through all strokes: x, y, t and the stroke."""
    strokes = [resampled(stroke, spacing) for stroke in character]
    n, j, found = sum(map(len, strokes)), 0, []
    for points in strokes:
        times = size / 2 + (np.arange(j, j + len(points)) - n / 2) * pace * spacing
        found.append(np.column_stack([points + size / 2, times]))
        j += len(points)
    return found


@pytest.mark.parametrize("name", ["space-time", "vector-space-time"])
def test_space_time_counts_points_or_steps_where_and_when_they_are(name, rng):
    characters = scribbles(rng, 10)
    sites, features = sp.data.StrokeEncoder(name, size=60, scale=19.3, spacing=0.31, pace=0.173).sites(characters)
    assert sites.shape[1] == 4
    for c, character in enumerate(characters):
        expected = {}
        for points in timed_points(normalised(character, 19.3), 0.31, 0.173, 60):
            marks = [(p, [1.0]) for p in points]
            if name != "space-time":
                marks = [((p + q) / 2, [1, *(q - p)[:2] / np.linalg.norm((q - p)[:2])])
                         for p, q in zip(points[:-1], points[1:], strict=True)] or [(points[0], [1, 0, 0])]
            for place, row in marks:
                site = tuple(np.floor(place).astype(int).tolist())
                expected[site] = expected.get(site, 0) + np.array(row)
        assert_same(as_dict(sites, features, c), expected)


def test_the_time_axis_tells_forward_from_backward_and_its_sum_does_not(rng):
    (character,) = scribbles(rng, 1, strokes=1)
    encoder = sp.data.StrokeEncoder("space-time", size=48, scale=16)
    forward, backward = (encoder.sites([[s]]) for s in (character[0], character[0][::-1]))
    assert not np.array_equal(forward[0], backward[0])
    assert {tuple(s[:3]) for s in forward[0].tolist()} == {tuple(s[:3]) for s in backward[0].tolist()}


def test_a_shift_in_time_moves_the_sites_along_the_last_axis(rng):
    characters = scribbles(rng, 4)
    encoder = sp.data.StrokeEncoder("space-time", size=64, scale=16)
    plain, moved = encoder.sites(characters), encoder.sites(characters, time_shifts=[3 / 16] * 4)
    np.testing.assert_array_equal(moved[0], plain[0] + [0, 0, 0, 3])
    np.testing.assert_array_equal(moved[1], plain[1])


def test_the_pen_octogram_is_the_octogram_and_a_map(rng):
    characters = scribbles(rng, 4)
    sites, features = sp.data.StrokeEncoder("pen-octogram").sites(characters)
    expected = sp.data.StrokeEncoder().sites(characters)
    np.testing.assert_array_equal(sites, expected[0])
    np.testing.assert_array_equal(features, np.column_stack([np.ones(len(sites)), expected[1]]))


@each("name", ENCODINGS)
def test_every_encoding_keeps_the_contract(name, threads, rng):
    characters = [[], *scribbles(rng, 12), [[(3, 3)]]]
    encoder = sp.data.StrokeEncoder(name, size=64, scale=16)
    sites, features = encoder.sites(characters)
    one = encoder.sites(characters, n_threads=1)
    assert sites.tobytes() == one[0].tobytes() and features.tobytes() == one[1].tobytes()
    x = sp.SparseTensor.from_sites(sites, features, size=(64,) * encoder.dimension, samples=14)
    np.testing.assert_array_equal(x.sites, sites)                       # different, and in canonical order
    fitted = encoder.fit(characters)
    largest = abs(fitted.sites(characters)[1]).max(0)
    assert all(value == 0 or value == pytest.approx(1, rel=1e-6) for value in largest)
    assert sp.data.StrokeEncoder(**fitted.describe()["arguments"]) == fitted
    alone = encoder.sites([characters[5]])
    np.testing.assert_array_equal(alone[1], features[sites[:, 0] == 5])
    assert encoder.sites([])[0].shape == (0, 1 + encoder.dimension)
    assert (sites[:, 0] == 13).sum() == 1


def test_moves_come_before_signatures(rng):
    characters = scribbles(rng, 5)
    matrices, shifts = rng.uniform(-0.7, 0.7, (5, 2, 2)), rng.uniform(-0.2, 0.2, (5, 2))
    moved = [[stroke @ matrix + 20.3 * shift for stroke in normalised(character, 20.3)]
             for character, matrix, shift in zip(characters, matrices, shifts, strict=True)]
    found = sp.data.StrokeEncoder("log-signature3", size=80, scale=20.3).sites(characters, matrices=matrices,
                                                                               shifts=shifts)
    expected = sp.data.StrokeEncoder("log-signature3", size=80, scale=None, window=20.3 / 5).sites(moved)
    for c in range(5):
        assert_same(as_dict(*found, c), as_dict(*expected, c))


@pytest.mark.parametrize("options, message", [
    ({"encoding": "signature2", "scale": None}, "expected a scale or a window.*got neither"),
    ({"encoding": "signature2", "window": 0}, "expected window to be a.*got 0"),
    ({"pace": -1}, "expected pace to be a number.*got -1"),
    ({"encoding": "space-time", "size": 1025}, "expected size to be a whole.*got 1025"),
    ({"encoding": "signature5"}, "signature.*got 'signature5'")])
def test_encoders_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sp.data.StrokeEncoder(**options)


def test_time_that_the_field_does_not_hold_is_refused_with_the_character():
    encoder = sp.data.StrokeEncoder("space-time", size=24, scale=16, pace=2)
    line = [[(0, 0), (9, 0)]]
    with pytest.raises(GridError, match="24 sites along the time axis, got 32 for character 1.*smaller pace than 2"):
        encoder.sites([[[(0, 0)]], line])
    with pytest.raises(GridError, match="along the time axis"):
        encoder.sites([line], time_shifts=[math.nan])
    with pytest.raises(ShapeError, match=r"expected time_shifts \(1,\), got shape \(2,\)"):
        encoder.sites([line], time_shifts=[0, 0])


def test_space_time_batches_are_tensors_of_three_axes_and_shift_in_time(rng):
    encoder = sp.data.StrokeEncoder("space-time", size=64, scale=16)
    data = sp.data.StrokeBatches(scribbles(rng, 6), None, encoder, augment="space-time")
    (x, _), = data.epoch(0, training=True)
    assert x.grid.size == (64, 64, 64) and x.grid.samples == 6
    still = sp.data.StrokeBatches(data.characters, None, encoder, augment="affine")
    (y, _), = still.epoch(0, training=True)
    assert not np.array_equal(x.sites, y.sites)
