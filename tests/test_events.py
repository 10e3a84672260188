"""Events of a camera become sites: against set arithmetic, with what must and must not change when time is reversed."""

import os

import numpy as np
import pytest
from world_lines import dart_events

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError


@pytest.fixture
def events(rng):
    n = 4000
    return sp.data.Events(np.sort(rng.integers(0, 50_000, n)), rng.integers(0, 64, n), rng.integers(0, 48, n),
                     rng.random(n) < 0.5, (64, 48))


CROPS = np.array([[1000, 3, 5], [20_000, 30, 10], [60_000, 0, 0]])       # the last one is empty


def whole(data, training=False, epoch=0):
    return next(data.epoch(epoch, training=training))[0]


def counted(events, crops, backward, *, length, side, cell, field, polarity, time):
    """{(sample, x, y, t): [counts]}, event by event."""
    found = {}
    cells = [-(-side // cell[0])] * 2 + [-(-length // cell[2])]
    for sample, (start, left, top) in enumerate(crops):
        for t, x, y, on in np.stack([events.t, events.x, events.y, events.on], 1).tolist():
            at = [x - left, y - top, t - start]
            if not (0 <= at[0] < side and 0 <= at[1] < side and 0 <= at[2] < length):
                continue
            if backward[sample]:
                at[2] = length - 1 - at[2]
                on ^= polarity == "flipped"
            site = [a // c + (field - n) // 2 for a, c, n in zip(at, cell, cells, strict=True)]
            counts = found.setdefault((sample, *site[:3 if time == "axis" else 2]), [0, 0])
            counts[0 if polarity == "none" or on else 1] += 1
    return found


@pytest.mark.parametrize("polarity", ["none", "kept", "flipped"])
@pytest.mark.parametrize("time", ["axis", "none"])
def test_sites_and_counts_are_those_of_the_events(events, polarity, time):
    backward = np.array([False, True, True])
    data = sp.data.EventBatches(events, CROPS, [0, 1, 1], backward=backward, length=20_000, side=30, pixels=3,
                           microseconds=2500, field=23, time=time, polarity=polarity,
                           factors=[1] * (1 + (polarity != "none")))
    x = whole(data)
    expected = counted(events, CROPS, backward, length=20_000, side=30, cell=(3, 3, 2500), field=23, polarity=polarity,
                       time=time)
    assert list(map(tuple, x.sites.tolist())) and set(map(tuple, x.sites.tolist())) == set(expected)
    ours = dict(zip(map(tuple, x.sites.tolist()), x.features.data.tolist(), strict=True))
    assert all(ours[site] == counts[:data.planes] for site, counts in expected.items())
    assert x.grid.samples == 3 and x.grid.size == (23,) * x.grid.d


def test_only_a_flipped_polarity_shows_without_time_which_way_a_recording_runs():
    events = dart_events(200)
    crops = events.crops(np.arange(0, 180_000, 20_000), 20_000, 64, 2)
    for polarity, same in (("none", True), ("kept", True), ("flipped", False)):
        a, b = (whole(sp.data.EventBatches(events, crops, None, backward=np.full(len(crops), back), time="none",
                                      polarity=polarity)) for back in (False, True))
        assert np.array_equal(a.sites, b.sites)
        assert np.array_equal(a.features.data, b.features.data) is same
    a, b = (whole(sp.data.EventBatches(events, crops, None, backward=np.full(len(crops), back))) for back in (False,
                                                                                                              True))
    assert not np.array_equal(a.sites, b.sites)


def test_the_mean_count_becomes_one_and_the_test_takes_the_factors_of_the_training(events):
    train = sp.data.EventBatches(events, CROPS, [0, 1, 1], side=30, polarity="kept")
    features = whole(train).features.data
    np.testing.assert_allclose([plane[plane > 0].mean() for plane in features.T], 1, rtol=1e-5)
    test = sp.data.EventBatches(events, CROPS[:1], [0], side=30, polarity="kept", factors=train.factors)
    x = whole(test)
    np.testing.assert_array_equal(x.features.data, whole(train).features.data[:x.grid.n])


def test_mirrors_turns_shifts_and_boosts_move_the_events(events):
    crop = np.array([[0, 8, 0]] * 24)
    plain = whole(sp.data.EventBatches(events, crop[:1], None, length=50_000, side=48, pixels=4, microseconds=50_000,
                                  factors=[1]))
    dense = plain.to_dense()[0, 0].sum(2)
    mirrored = whole(sp.data.EventBatches(events, crop, None, length=50_000, side=48, pixels=4, microseconds=50_000,
                                     factors=[1], mirror=True), training=True).to_dense()[:, 0].sum(3)
    found = {next(i for i, view in enumerate((dense, dense[::-1], dense[:, ::-1], dense[::-1, ::-1]))
                  if np.array_equal(view, sample)) for sample in mirrored}
    assert found == {0, 1, 2, 3}
    moves = {"turn": 1.0, "stretch": 0.2, "shift": 3, "boost": 0.1}
    for name, value in moves.items():
        data = sp.data.EventBatches(events, crop[:2], None, side=48, pixels=2, **{name: value})
        a, b, again = whole(data, True), whole(data, True, epoch=1), whole(data, True)
        assert np.array_equal(a.sites, again.sites) and not np.array_equal(a.sites, b.sites), name
        assert np.array_equal(whole(data).sites, whole(data, epoch=5).sites), name


def test_a_boost_is_a_motion_of_its_own():
    still = sp.data.Events(np.arange(0, 20_000, 1000), np.full(20, 32), np.full(20, 32), np.ones(20, bool), (64, 64))
    data = sp.data.EventBatches(still, [[0, 0, 0]], None, side=64, pixels=1, microseconds=1000, boost=1.0)
    x = whole(data, training=True).sites.astype(float)
    slopes = [np.polyfit(x[:, 3], x[:, axis], 1)[0] for axis in (1, 2)]
    assert any(abs(slope) > 0.05 for slope in slopes)
    np.testing.assert_allclose(x[:, 1:3], x[:, 1:3].mean(0) + np.outer(x[:, 3] - x[:, 3].mean(), slopes), atol=1)


def test_crops_lie_inside_and_hold_what_was_asked(events):
    crops = events.crops([0, 10_000, 45_000, 90_000], 10_000, 40, 5, min_events=200)
    assert crops.shape[1] == 3 and len(crops) and set(crops[:, 0]) <= {0, 10_000, 45_000}
    assert (crops[:, 1:] >= 0).all() and (crops[:, 1:] + 40 <= events.size).all()
    for start, left, top in crops:
        held = (events.t >= start) & (events.t < start + 10_000) & (abs(events.x - left - 19.5) < 20)
        assert (held & (abs(events.y - top - 19.5) < 20)).sum() >= 200
    np.testing.assert_array_equal(crops, events.crops([0, 10_000, 45_000, 90_000], 10_000, 40, 5, min_events=200))
    with pytest.raises(ShapeError, match="expected side to be a whole.*got 49"):
        events.crops([0], 10, 49)


def test_a_recording_comes_back_from_its_file(events, tmp_path):
    path = tmp_path / "events.npz"
    arrays = {name: getattr(events, name) for name in ("t", "x", "y", "on", "size")}
    np.savez_compressed(path, **arrays)
    found = sp.readers.read_events(path)
    assert all(np.array_equal(getattr(found, name), value) for name, value in arrays.items())
    with pytest.raises(FileNotFoundError):
        sp.readers.read_events(tmp_path / "none.npz")


@pytest.mark.parametrize(("name", "value", "says"), [
    ("t", np.arange(10)[::-1], "got 8 after 9 at event 1"), ("t", np.arange(9), r"got shape \(10,\) of int64"),
    ("x", np.full(10, 64), "sensor.*got 10 outside"),
    ("y", np.full(10, -1), "sensor.*got 10 outside"), ("on", np.zeros(10), "bool"), ("x", np.full(10, np.nan), "whole"),
    ("size", [64], "width, height"), ("on", np.array([None] * 10), "damaged"),
    ("on", None, "expected arrays t, x, y, on, size, got no on")])
def test_damaged_recordings_are_refused(tmp_path, name, value, says):
    arrays = {"t": np.arange(10), "x": np.zeros(10, int), "y": np.zeros(10, int), "on": np.ones(10, bool)}
    arrays |= {"size": [64, 48]} | {name: value}
    np.savez(tmp_path / "a.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(FileError, match=says):
        sp.readers.read_events(tmp_path / "a.npz")


def test_a_file_cut_short_anywhere_is_refused(tmp_path, events):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, t=events.t, x=events.x, y=events.y, on=events.on, size=events.size)
    content = path.read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:end])
        with pytest.raises(FileError, match=r"a\.npz"):
            sp.readers.read_events(path)
    for at in range(60, len(content), 997):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1:])
        try:
            sp.readers.read_events(path)
        except FileError:
            pass


def test_wrong_arguments_say_what_fits(events):
    for error, arguments in ((ShapeError, {"crops": [[0, 0]]}), (ShapeError, {"backward": [0, 1, 1]}),
                             (ShapeError, {"labels": [0]}), (ShapeError, {"pixels": 0}),
                             (ShapeError, {"microseconds": 1500}),
                             (ShapeError, {"field": 9}), (ValueError, {"time": "late"}),
                             (ValueError, {"polarity": "yes"}), (ValueError, {"shift": -1}),
                             (ValueError, {"stretch": 1}), (ShapeError, {"factors": [1, 2]})):
        with pytest.raises(error, match="EventBatches: expected .*, got "):
            sp.data.EventBatches(events, **{"crops": CROPS, "labels": [0, 1, 1]} | arguments)


def test_the_real_recording_is_read():
    folder = os.environ.get("SPCONV_CY_DATA")
    if not folder:
        pytest.skip("needs events_dvs.npz: SPCONV_CY_DATA=FOLDER")
    events = sp.readers.read_events(os.path.join(folder, "events_dvs.npz"))
    assert (len(events), events.size) == (473_225, (320, 240))
