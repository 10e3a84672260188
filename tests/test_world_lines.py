"""World-lines: the counts of sites that are known, and that no single moment and no footprint tells the label."""

import itertools

import numpy as np
import pytest
from world_lines import (
    WorldLineBatches,
    WorldLines,
    circle,
    circling_points,
    dart_events,
    helices,
    helix,
    leader_pairs,
    lissajous,
    reversed_strokes,
    surface_sites,
)

import spconv_cy as sp
from spconv_cy.errors import ShapeError


def sites_of(places):
    return {(*site, t) for t, site in enumerate(np.floor(places).astype(int).tolist())}


def reached(sites, size):
    return len({tuple(np.add(site, offset)) for site in sites
                for offset in itertools.product(range(size), repeat=len(next(iter(sites))))})


@pytest.mark.parametrize(("places", "counts"), [                         # REFERENCE 10.2
    (circle([0.0])[0], (32, 248, 712)),
    (helix([0.0])[0], (32, 512, 2592)),
    (lissajous(np.zeros((1, 4)), (1, 2, 3, 4))[0], (16, 512, 3888))], ids=["rotor", "helix", "lissajous"])
def test_the_known_numbers_of_active_sites(places, counts):
    sites = sites_of(places)
    assert (len(sites), reached(sites, 2), reached(sites, 3)) == counts
    d = places.shape[1] + 1
    x = sp.SparseTensor.from_sites([(0, *site) for site in sites], np.ones((counts[0], 1)), size=32)
    assert [sp.Convolution(d, 1, 1, size, rng=0)(sp.SparseTensor.from_sites(
        x.sites + [0, *[2] * d], x.features.data, size=40)).grid.n for size in (2, 3)] == list(counts[1:])


@pytest.mark.parametrize("lines", [circling_points(60), helices(60), leader_pairs(60)],
                         ids=["circling_points", "helices", "leader_pairs"])
def test_they_stay_in_their_field_and_the_classes_are_balanced(lines):
    assert lines.places.min() >= 0 and lines.places.max() < lines.size
    assert np.ptp(np.bincount(lines.labels)) <= 1 and len(np.bincount(lines.labels)) == len(lines.classes)


@pytest.mark.parametrize(("draw", "d"), [(circling_points, 2), (helices, 3)])
def test_the_classes_differ_in_the_order_of_moments_alone(draw, d):
    lines = draw(40, seed=3)
    other = WorldLines(lines.places[:, ::-1], lines.labels ^ 1, lines.classes, lines.size)
    for time, same in (("none", True), ("axis", False)):
        a, b = (next(WorldLineBatches(part, 32, time=time).epoch(0, training=False))[0] for part in (lines, other))
        assert a.grid.d == d + (time == "axis") and np.array_equal(a.sites, b.sites) is same


def test_turning_and_hand_are_what_the_names_say():
    def turn(places):                                                    # the sum of signed steps round the middle
        x, y = (places[:, :2] - places[:, :2].mean(0)).T
        return (x[:-1] * y[1:] - y[:-1] * x[1:]).sum()

    lines = circling_points(20)
    assert all((turn(places) > 0) == (label == 0) for places, label in zip(lines.places, lines.labels, strict=True))
    lines = helices(40)
    for places, label in zip(lines.places, lines.labels, strict=True):
        up = places[-1, 2] > places[0, 2]
        assert up == (label % 2 == 0)
        assert (turn(places) > 0) == (up == (label < 2))                 # right-handed: turns with its way


def test_one_point_follows_the_other_and_backward_it_leads():
    lines = leader_pairs(40, lag=2)
    for places, label in zip(lines.places, lines.labels, strict=True):
        leader, follower = (places[:, 2 * k:2 * k + 2] for k in (label, 1 - label))
        forms = [part - (part.min(0) + part.max(0)) / 2 for part in (np.roll(leader, 2, 0), follower)]
        np.testing.assert_allclose(forms[0] / abs(forms[0]).max(0), forms[1] / abs(forms[1]).max(0), atol=1e-9)


def test_batches_hold_every_point_of_every_shape_at_its_moment():
    lines, shapes = helices(12, seed=1), [surface_sites("cube", 1), surface_sites("ball", 2)]
    kinds = np.arange(12) % 2
    x, labels = next(WorldLineBatches(lines, 47, shapes=shapes, kinds=kinds, batch=12).epoch(0, training=False))
    expected = {(i, *(np.floor(place).astype(int) + 7 + offset), 7 + t) for i in range(12)
                for t, place in enumerate(lines.places[i]) for offset in shapes[kinds[i]]}
    assert set(map(tuple, x.sites.tolist())) == expected and x.features.data.sum() == len(expected)
    assert labels.tolist() == lines.labels.tolist()
    assert (len(surface_sites("cube", 3)), len(surface_sites("cube", 1))) == (7**3 - 5**3, 26)
    flat, _ = next(WorldLineBatches(lines, 47, time="none", batch=12).epoch(0, training=False))
    assert flat.features.data.sum() == 12 * 32 and flat.grid.d == 3


def test_permuted_moments_are_the_same_places_in_other_orders():
    lines = leader_pairs(30)
    plain, mixed = (next(WorldLineBatches(lines, 16, time=time).epoch(0, training=False))[0] for time in
                    ("axis", "permuted"))
    assert not np.array_equal(plain.sites, mixed.sites)
    for x in (plain, mixed):
        assert [len(np.unique(x.sites[x.sites[:, 0] == i, 5])) for i in range(30)] == [16] * 30
    np.testing.assert_array_equal(*(sorted(x.sites[:, :5].tolist()) for x in (plain, mixed)))


def test_a_small_network_tells_the_turn_with_time_and_cannot_without():
    errors = {}
    for time, d in (("axis", 3), ("none", 2)):
        train, test = (WorldLineBatches(circling_points(200, 16, 16, seed), 23, time=time, batch=20) for seed in (0, 1))
        net = sp.models.from_spec("6C2-MP2-12C2-MP2-18C2-MP2-24C2-output", 1, d, classes=2, rng=0)
        sp.fit(net, train, sp.Adam(net.parameters(), 0.005), 4, rng=0, progress=False)
        errors[time] = sp.evaluate(net, test).error
    assert errors["axis"] < 0.02 and 0.4 < errors["none"] < 0.6


def test_strokes_drawn_backward():
    characters = [[[(0, 0), (3, 4)], [(5, 5), (6, 6), (7, 8)]], [], [[(1, 2)]]]
    turned = reversed_strokes(characters)
    for character, back in zip(characters, turned, strict=True):
        assert [stroke.tolist() for stroke in back] == [[list(p) for p in stroke[::-1]] for stroke in character[::-1]]
    twice = reversed_strokes(turned)
    assert [len(c) for c in twice] == [2, 0, 1] and np.array_equal(twice.points,
                                                                   sp.data.Characters.pack(characters).points)


def test_the_dart_flies_with_its_point_ahead_and_is_dark():
    events = dart_events(400)
    first, end = events.between(100_000, 120_000)
    middle = np.array([events.x[first:end].mean(), events.y[first:end].mean()])
    later = slice(*events.between(130_000, 150_000))
    way = np.array([events.x[later].mean(), events.y[later].mean()]) - middle
    ahead = (np.stack([events.x, events.y], 1)[first:end] - middle) @ way
    assert events.on[first:end][ahead < -8].mean() > 0.8 > 0.2 > events.on[first:end][ahead > 8].mean()
    assert (np.diff(events.t) >= 0).all() and events.size == (320, 240)


def test_wrong_arguments_say_what_fits():
    lines = circling_points(4)
    for error, arguments in ((ValueError, {"time": "late"}), (ShapeError, {"field": 31}),
                             (ShapeError, {"kinds": [0]}), (ShapeError, {"shapes": [[[0, 0, 0]]]}),
                             (ShapeError, {"labels": [0]}),
                             (ShapeError, {"kinds": [1, 0, 0, 0]})):
        with pytest.raises(error, match="expected .*, got|came for"):
            WorldLineBatches(lines, **{"field": 32} | arguments)
    with pytest.raises(ValueError, match="'cube' or 'ball'"):
        surface_sites("cone")
