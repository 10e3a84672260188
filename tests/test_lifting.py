"""Lifted strokes: against an encoder in plain Python written from the definitions, and what the axes must tell."""

import json
import math

import numpy as np
import pytest
from world_lines import reversed_strokes

import spconv_cy as sp
from spconv_cy.data.lifting import AXES
from spconv_cy.errors import GridError, ShapeError


def lifted(character, encoder, times=None):
    """{site: weight} of a character, point by point, stroke by stroke."""
    box = np.concatenate([np.asarray(stroke, float) for stroke in character])
    middle, extent = (box.min(0) + box.max(0)) / 2, max(np.ptp(box, axis=0).max(), 1e-4)
    strokes = [(np.asarray(stroke, float) - middle) * encoder.scale / extent for stroke in character]
    ways = [np.r_[0, np.cumsum([math.dist(p, q) for p, q in zip(s[:-1], s[1:], strict=True)])] for s in strokes]
    whole, passed, found = sum(way[-1] for way in ways), 0, {}
    clock = None if times is None else [(np.array(t) - times[0][0]) / (times[-1][-1] - times[0][0]) for t in times]
    for s, (stroke, way) in enumerate(zip(strokes, ways, strict=True)):
        def at(a, stroke=stroke, way=way):
            return np.array([np.interp(a, way, stroke[:, axis]) for axis in (0, 1)])

        n = math.floor(way[-1] / encoder.spacing + 0.5)
        for i in range(n + 1):
            a = way[-1] * i / max(n, 1)
            here, before, behind = at(a), at(a - encoder.window), at(a + encoder.window)
            first, second = here - before, behind - here
            turn = math.atan2(first[0] * second[1] - first[1] * second[0], first @ second)
            angle = math.atan2(*(behind - before)[::-1])
            share = (passed + a) / whole if clock is None else np.interp(a, way, clock[s])
            low = (encoder.size - encoder.directions - encoder.overlap) // 2
            bin_ = math.floor(angle / (2 * math.pi) * encoder.directions + 0.5) % encoder.directions
            places = {
                "x": math.floor(here[0] + encoder.size / 2), "y": math.floor(here[1] + encoder.size / 2),
                "curvature": (encoder.size - encoder.bends) // 2
                + min(max(math.floor((turn / math.pi + 0.5) * encoder.bends), 0), encoder.bends - 1),
                "time": math.floor(encoder.size / 2 + encoder.span * (share - 0.5))}
            bins = [bin_] if way[-1] else list(range(encoder.directions))
            weight = encoder.spacing / len(bins) if "direction" in encoder.axes else encoder.spacing
            bins += [b + encoder.directions for b in bins if b < encoder.overlap]
            for b in bins if "direction" in encoder.axes else [0]:
                site = tuple(low + b if axis == "direction" else places[axis] for axis in encoder.axes)
                found[site] = found.get(site, 0) + weight
        passed += way[-1]
    return found


def given(encoder, characters, **more):
    """[{site: weight}] of every character, by ours."""
    sites, features = encoder.sites(characters, **more)
    found = [{} for _ in characters]
    for (sample, *site), feature in zip(sites.tolist(), features[:, 0].tolist(), strict=True):
        assert tuple(site) not in found[sample]
        found[sample][tuple(site)] = feature
    return found


@pytest.mark.parametrize("axes", [("x", "y"), ("x", "y", "time"), ("direction", "x"), AXES])
@pytest.mark.parametrize("timed", [False, True])
def test_random_characters_are_lifted_as_the_definition_says(axes, timed, rng):
    encoder = sp.data.LiftedEncoder(axes, size=32, scale=15.3, spacing=0.37, window=1.9, directions=7, overlap=2,
                                    span=11.7)
    characters = [[rng.uniform(-50, 80, (rng.integers(2, 9), 2)) for _ in range(rng.integers(1, 4))] for _ in range(8)]
    characters[3].append(np.array([[3.0, 4.0]]))                                           # a dot
    times = [[np.sort(rng.uniform(0, 9, len(stroke))) + 10 * s for s, stroke in enumerate(c)] for c in characters]
    more = {"times": np.concatenate([t for c in times for t in c])} if timed else {}
    for ours, character, clock in zip(given(encoder, characters, **more), characters, times, strict=True):
        expected = lifted(character, encoder, clock if timed else None)
        assert ours.keys() == expected.keys()
        np.testing.assert_allclose([ours[site] for site in expected], list(expected.values()), rtol=1e-5)


def test_what_crosses_in_the_plane_is_apart_in_direction_and_in_time():
    cross = [[[(0, 5), (10, 5)], [(5, 0), (5, 10)]]]
    plane = sp.data.LiftedEncoder(("x", "y")).sites(cross)[0].tolist()
    assert plane.count([0, 16, 16]) == 1
    for axis, apart in (("direction", 2), ("time", 2), ("curvature", 1)):
        sites = sp.data.LiftedEncoder(("x", "y", axis), overlap=0).sites(cross)[0]
        assert (sites[:, 1:3] == 16).all(1).sum() == apart and len(np.unique(sites[:, 1:3], axis=0)) == len(plane)


def test_a_turn_by_one_bin_turns_the_direction_axis_round_and_the_copies_stand_behind():
    encoder = sp.data.LiftedEncoder(("direction",), size=24, directions=8, overlap=3)
    low = (24 - 11) // 2
    for k in range(8):
        step = [(0, 0), (9 * math.cos(k * math.pi / 4), 9 * math.sin(k * math.pi / 4))]
        bins = set((encoder.sites([[step]])[0][:, 1] - low).tolist())
        assert bins == ({k, k + 8} if k < 3 else {k})


def test_the_same_ink_drawn_backward_differs_in_time_alone():
    characters = sp.data.digits()[0][:200]
    plane = sp.data.LiftedEncoder(("x", "y"))
    for a, b in zip(plane.sites(characters), plane.sites(reversed_strokes(characters)), strict=True):
        np.testing.assert_array_equal(a, b)
    timed = sp.data.LiftedEncoder(("x", "y", "time"))
    assert not np.array_equal(timed.sites(characters)[0], timed.sites(reversed_strokes(characters))[0])


def test_items_moves_and_empty_characters():
    characters, encoder = [[], [[(0, 0), (9, 3)]], [[(5, 5)]]], sp.data.LiftedEncoder()
    sites, features = encoder.sites(characters)
    assert set(sites[:, 0]) == {1, 2} and features[sites[:, 0] == 2].sum() == pytest.approx(0.5 * 9 / 8)
    alone = encoder.sites(characters, [1])
    again = encoder.sites(characters, [2, 1])
    for part, both, column in zip(alone, again, (slice(1, None), slice(None)), strict=True):
        np.testing.assert_array_equal(part[:, column], both[again[0][:, 0] == 1][:, column])
    assert encoder.sites([[], []])[0].shape == (0, 6) and encoder.sites([])[0].shape == (0, 6)
    moved = encoder.sites(characters, [1], shifts=[(2 / 16, -3 / 16)], time_shifts=[0.25])[0]
    np.testing.assert_array_equal(moved - alone[0], np.tile([0, 2, -3, 0, 0, 4], (len(moved), 1)))
    turned = sp.data.LiftedEncoder(("x", "y")).sites(characters, [1], matrices=[[(0, 1), (-1, 0)]])[0]
    straight = sp.data.LiftedEncoder(("x", "y")).sites([[[(0, 0), (-3, 9)]]])[0]
    np.testing.assert_array_equal(turned, straight)


def test_wrong_arguments_say_what_fits():
    for arguments in ({"axes": ("x", "z")}, {"axes": ()}, {"axes": ("x", "x")}, {"size": 0}, {"scale": 0}, {"bends": 4},
                      {"directions": 1}, {"overlap": 9}, {"size": 8}, {"span": 32}, {"spacing": 0}):
        with pytest.raises(ValueError, match="LiftedEncoder: expected .*, got "):
            sp.data.LiftedEncoder(**arguments)
    encoder, one = sp.data.LiftedEncoder(), [[[(0, 0), (9, 3)]]]
    with pytest.raises(GridError, match="along x"):
        encoder.sites(one, shifts=[(1, 0)])
    for arguments in ({"times": [1.0]}, {"times": [0, np.nan]}, {"shifts": [(1,)]}, {"items": [[0]]}):
        with pytest.raises(ShapeError, match="LiftedEncoder.sites: expected .*, got "):
            encoder.sites(one, **arguments)
    with pytest.raises(IndexError):
        encoder.sites(one, [1])


def test_it_comes_back_from_json_and_feeds_a_training():
    encoder = sp.data.LiftedEncoder(("x", "time"), size=23, scale=10, span=10)
    assert sp.data.LiftedEncoder(**json.loads(json.dumps(encoder.describe()["arguments"]))) == encoder
    characters = [[[(0, 0), (9, 3)]], [[(0, 0), (3, 9), (4, 4)]]]
    data = sp.data.StrokeBatches(characters, [0, 1], encoder, augment="space-time", times=[0, 1, 0, 3, 4])
    x, labels = next(data.epoch(0, training=True))
    assert x.grid.size == (23, 23) and x.grid.samples == 2 and sorted(labels) == [0, 1]
    with pytest.raises(TypeError, match="LiftedEncoder"):
        sp.data.StrokeBatches(characters, [0, 1], sp.data.StrokeEncoder(), times=[0, 1, 0, 3, 4])
