"""Random distortions: the shape of the draws, taken apart again, and what they depend on."""

import numpy as np
import pytest
from oracles import is_uniform

from spconv_cy.data.augment import NAMED, Affine, from_name

N = 30_000


def taken_apart(matrices):
    """(stretch - 1, angle, kind) of each matrix, by the zeros in it: kind 0 a turn, 1 y += u x, 2 x += u y."""
    a, b, c, d = matrices.reshape(-1, 4).T
    kind = np.where((b != 0) & (c != 0), 0, np.where(c == 0, 1, 2))
    across, down = np.where(kind == 0, np.hypot(a, b), a), np.where(kind == 0, np.hypot(c, d), d)
    angle = np.select([kind == 0, kind == 1], [np.arctan2(b, a), b / across], c / down)
    return np.stack([across, down], 1) - 1, angle, kind


def test_stretches_turns_and_shifts_are_uniform_and_each_kind_comes_a_third_of_the_time():
    matrices, shifts = Affine(stretch=0.3, turn=0.2, shift=0.1875).draw(N, seed=1, epoch=0)
    stretch, angle, kind = taken_apart(matrices)
    assert is_uniform(stretch[:, 0], 0.3 + 1e-12) and is_uniform(stretch[:, 1], 0.3 + 1e-12)
    assert is_uniform(shifts[:, 0], 0.1875) and is_uniform(shifts[:, 1], 0.1875)
    for k in range(3):
        assert abs(np.mean(kind == k) - 1 / 3) < 4 * np.sqrt(2 / 9 / N)
        assert is_uniform(angle[kind == k], 0.2 + 1e-12)
    draws = np.column_stack([stretch, angle, shifts])
    assert abs(np.corrcoef(draws.T) - np.eye(5)).max() < 4.5 / np.sqrt(N)


def test_a_turn_is_a_stretch_and_then_a_turn_of_row_vectors():
    matrices, _ = Affine().draw(1000, seed=2, epoch=0)
    stretch, angle, kind = taken_apart(matrices)
    assert (kind == 0).sum() > 200
    for matrix, (a, b), u in zip(matrices[kind == 0], stretch[kind == 0], angle[kind == 0], strict=True):
        # (1, 0) is stretched along x and comes to stand at the angle u towards y (down); (0, 1) a quarter turn on.
        np.testing.assert_allclose([1, 0] @ matrix, (1 + a) * np.array([np.cos(u), np.sin(u)]), atol=1e-12)
        np.testing.assert_allclose([0, 1] @ matrix, (1 + b) * np.array([-np.sin(u), np.cos(u)]), atol=1e-12)


def test_a_draw_depends_on_seed_epoch_and_item_alone():
    drawn = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            matrices, shifts = Affine(jitter=0.1).draw(50, seed, epoch)
            jitter = Affine(jitter=0.1).draw_strokes(50, seed, epoch)
            more = *Affine().draw(80, seed, epoch), Affine(jitter=0.1).draw_strokes(80, seed, epoch)
            for array, again in zip((matrices, shifts, jitter), more, strict=True):
                np.testing.assert_array_equal(array, again[:50])        # more items change nothing
            drawn[seed, epoch] = np.column_stack([matrices.reshape(50, 4), shifts, jitter]).ravel()
    values = np.concatenate(list(drawn.values()))
    free = values[(values != 0) & (values != 1)]
    assert len(np.unique(free)) > 0.75 * len(free)
    assert len({row.tobytes() for row in drawn.values()}) == 4


def test_strokes_jitter_by_themselves_and_only_when_asked():
    assert Affine().draw_strokes(10, 0, 0) is None
    jitter = Affine(jitter=1 / 64).draw_strokes(N, 0, 0)
    assert is_uniform(jitter[:, 0], 1 / 64) and is_uniform(jitter[:, 1], 1 / 64)
    assert abs(np.corrcoef(jitter[:-1, 0], jitter[1:, 0])[0, 1]) < 4.5 / np.sqrt(N)


def test_times_shift_only_when_asked_and_change_no_other_draw():
    assert Affine().draw_times(10, 0, 0) is None
    times = Affine(time=0.1).draw_times(N, 3, 1)
    assert is_uniform(times, 0.1) and abs(np.corrcoef(times[:-1], times[1:])[0, 1]) < 4.5 / np.sqrt(N)
    np.testing.assert_array_equal(times[:50], Affine(time=0.1).draw_times(50, 3, 1))
    assert (times[:50] != Affine(time=0.1).draw_times(50, 3, 2)).all()
    for a, b in zip(Affine(time=0.1).draw(20, 3, 1), Affine().draw(20, 3, 1), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name, scale, jitter, stretch, turn, shift, time", [
    ("assamese", 64, 1, 0.3, 0.3, 12, 0), ("casia", 64, 1, 0.3, 0.3, 10, 0), ("uji", 16, 1, 0.3, 0.3, 8, 0),
    ("affine", 64, 0, 0.3, 0.3, 12, 0), ("space-time", 64, 0, 0.3, 0.3, 12, 6.4), ("rigid", 63, 0, 0, 0.2, 8, 0),
    ("cifar", 1, 0, 0.2, 0.2, 0, 0), ("translation", 64, 0, 0, 0, 12, 0)])
def test_distortions_of_the_papers_have_their_sizes_in_sites_of_their_scale(
        name, scale, jitter, stretch, turn, shift, time):
    distortion = from_name(name)
    matrices, shifts = distortion.draw(N, 0, 0)
    stretches, angles, kinds = taken_apart(matrices)
    largest = {"stretch": abs(stretches).max(), "turn": abs(angles).max(), "shift": scale * abs(shifts).max()}
    strokes, times = distortion.draw_strokes(N, 0, 0), distortion.draw_times(N, 0, 0)
    largest["jitter"] = 0 if strokes is None else scale * abs(strokes).max()
    largest["time"] = 0 if times is None else scale * abs(times).max()
    expected = {"stretch": stretch, "turn": turn, "shift": shift, "jitter": jitter, "time": time}
    assert largest == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert not turn or {0, 1, 2} == set(kinds)


@pytest.mark.parametrize("name", ["assamese", "casia", "uji", "space-time", "rigid"])
def test_distortions_of_the_papers_keep_characters_in_a_field_of_three_scales(name):
    # The field is 3 * 2^l sites for a character of 2^l: the corners of its box must stay inside.
    matrices, shifts = from_name(name).draw(N, 0, 0)
    corners = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
    jitter = from_name(name).jitter * np.sign(corners)
    assert abs((corners + jitter) @ matrices + shifts[:, None]).max() < 1.5


def test_no_distortion_is_the_identity():
    matrices, shifts = from_name("none").draw(20, 3, 4)
    np.testing.assert_array_equal(matrices, np.broadcast_to(np.eye(2), (20, 2, 2)))
    assert not shifts.any()
    matrices, shifts = from_name("translation").draw(20, 3, 4)
    np.testing.assert_array_equal(matrices, np.broadcast_to(np.eye(2), (20, 2, 2)))
    assert shifts.all()


def test_names_give_distributions_that_describe_themselves():
    assert from_name("affine") == Affine(0.3, 0.3, 0.1875, 0.0)         # Graham's of 2015
    for distribution in NAMED.values():
        assert Affine(**distribution.describe()["arguments"]) == distribution == from_name(distribution)


@pytest.mark.parametrize("name", ["elastic", 3, None, ["affine"]])
def test_unknown_names_are_refused_with_those_that_fit(name):
    with pytest.raises(ValueError, match="expected one of none, translation, mild, affine, .*, or an Affine, got"):
        from_name(name)


@pytest.mark.parametrize("options", [{"stretch": 1}, {"turn": -0.1}, {"shift": np.nan}, {"jitter": np.inf}])
def test_distributions_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=f"Affine: expected {next(iter(options))} to be a number from 0 up"):
        Affine(**options)
