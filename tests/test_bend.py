"""Bent characters: moves that must be affine, hand-made shares along strokes, and what the draws depend on."""

import numpy as np
import pytest
from oracles import is_uniform
from scipy.interpolate import BPoly

import spconv_cy as sp
from spconv_cy.data.bend import bent

CHARACTERS = [[[(0, 0), (4, 0), (8, 0), (8, 16)], [(2, 3), (2, 3)]], [], [[(5, 5)]], [[(-3, 1), (7, 2)]]]


def random_characters(rng, n=30):
    return [[rng.normal(20, 9, (rng.integers(1, 7), 2)) for _ in range(rng.integers(0, 4))] for _ in range(n)]


def test_equal_controls_move_a_character_and_controls_on_a_linear_map_apply_that_map(rng):
    packed = sp.data.Characters.pack(random_characters(rng))
    knots = np.stack(np.meshgrid(*[np.linspace(0, 1, 4)] * 2, indexing="ij"), -1)
    maps, shifts = rng.normal(0, 0.3, (len(packed), 2, 2)), rng.normal(0, 0.3, (len(packed), 2))
    moved = bent(packed, knots @ maps[:, None] + shifts[:, None, None])
    for i in range(len(packed)):
        if packed[i]:
            points = np.concatenate(packed[i])
            low, high = points.min(0), points.max(0)
            side = max((high - low).max(), 1e-4)
            inside = (points - (low + high - side) / 2) / side
            expected = points + side * (inside @ maps[i] + shifts[i])
            np.testing.assert_allclose(np.concatenate(moved[i]), expected, atol=1e-9)


def test_controls_weigh_by_bernstein_polynomials(rng):
    controls = rng.normal(0, 0.1, (1, 4, 4, 2))
    square = np.array([(0, 0), (10, 0), (10, 10), (0, 10), (3, 6), (9, 1)], float)
    moved = bent(sp.data.Characters.pack([[square]]), controls).points
    for point, found in zip(square / 10, moved, strict=True):
        columns = np.stack([BPoly(controls[0, i][:, None], [0, 1])(point[1]) for i in range(4)])
        expected = BPoly(columns[:, None], [0, 1])(point[0])
        np.testing.assert_allclose(found, 10 * (point + expected), atol=1e-12)


def test_strokes_move_by_shares_of_their_way():
    ends = np.zeros((4, 3, 2))
    ends[0] = (0, 1), (2, 0), (0, 0.5)
    moved = bent(sp.data.Characters.pack(CHARACTERS), ends=ends)
    # The way is 24 long, the box 16; the points lie at 0, 1/6, 1/3 and 1 of it.
    shares = np.array([0, 1 / 6, 1 / 3, 1])
    expected = np.array(CHARACTERS[0][0]) + 16 * np.stack([2 * shares, 1 - shares + 2 * shares * (1 - shares)], 1)
    np.testing.assert_allclose(moved[0][0], expected, atol=1e-9)
    for i, k in ((0, 1), (2, 0), (3, 0)):
        np.testing.assert_array_equal(moved[i][k], np.array(CHARACTERS[i][k], float))
    ends = np.zeros((4, 3, 2))
    ends[3] = (0.1, 0), (0, -0.2), (9, 9)                               # the middle's move is none at the ends
    assert bent(sp.data.Characters.pack(CHARACTERS), ends=ends)[3][0].tolist() == [[-2, 1], [7, 0]]


def test_a_character_bends_alike_alone_and_among_others_moved_and_in_another_size(rng):
    characters = random_characters(rng)
    packed = sp.data.Characters.pack(characters)
    controls, ends = sp.data.Affine(warp=0.2, ends=0.05).draw_bends(30, len(packed.stroke_starts) - 1, 4, 2)
    together = bent(packed, controls, ends)
    for i in range(30):
        part, strokes = packed.take(np.array([i]))
        other = sp.data.Characters.pack([[5 + 3 * np.asarray(stroke) for stroke in characters[i]]])
        alone, larger = bent(part, controls[[i]], ends[strokes]), bent(other, controls[[i]], ends[strokes])
        np.testing.assert_allclose(alone.points, np.concatenate([np.empty((0, 2)), *together[i]]), atol=1e-9)
        np.testing.assert_allclose(larger.points, 5 + 3 * alone.points, atol=1e-3)       # a dot has no size
    assert bent(packed) is packed and len(bent(sp.data.Characters.pack([[]]), controls[:1]).points) == 0


def test_bends_are_uniform_and_drawn_only_when_asked():
    assert sp.data.Affine().draw_bends(5, 9, 0, 0) == (None, None)
    controls, ends = sp.data.Affine(warp=0.2, ends=0.05).draw_bends(1000, 3000, 1, 0)
    assert controls.shape == (1000, 4, 4, 2) and ends.shape == (3000, 3, 2)
    for draws, most in ((controls, 0.2), (ends, 0.05)):
        assert is_uniform(draws.ravel(), most)
    fewer, _ = sp.data.Affine(warp=0.2).draw_bends(10, 30, 1, 0)
    np.testing.assert_array_equal(fewer, controls[:10])                 # more items, and the strokes, change nothing
    with pytest.raises(ValueError, match="expected warp to be a number.*got -1"):
        sp.data.Affine(warp=-1)


def test_batches_bend_in_training_alone_by_seed_epoch_and_item(rng):
    characters = [c for c in random_characters(rng) if c]
    encoder = sp.data.StrokeEncoder("pen", size=48, scale=16, spacing=0.5)
    bends = sp.data.Affine(stretch=0, turn=0, shift=0, warp=0.1, ends=0.02, jitter=0.01)

    def batches(batch, training, epoch=0, augment=bends):
        data = sp.data.StrokeBatches(characters, np.arange(len(characters)), encoder, batch=batch, augment=augment)
        return {int(y): x.features.numpy()[x.sites[:, 0] == i].tobytes() + x.sites[x.sites[:, 0] == i, 1:].tobytes()
                for x, labels in data.epoch(epoch, 3, training=training) for i, y in enumerate(labels)}

    assert batches(7, True) == batches(1, True)
    assert all(a != b for a, b in zip(batches(7, True).values(), batches(7, True, 1).values(), strict=True))
    assert batches(7, False) == batches(7, False, augment="none")
