"""Shapes on both lattices: where points come to lie, how they move, batches that training takes, voxel files."""

import numpy as np
import pytest
from in_turn import each
from solids import solid

import spconv_cy as sp
from spconv_cy.errors import FileError, GridError, ShapeError

CUBIC, TETRAHEDRAL = sp.Lattice.cubic(3), sp.Lattice.simplex(3)


def clouds(rng, n=7, points=200):
    return [rng.uniform(-1, 1, (points, 3)) * rng.uniform(0.2, 0.5) for _ in range(n)]


@pytest.mark.parametrize("lattice", [CUBIC, TETRAHEDRAL, sp.Lattice.simplex(2), sp.Lattice.simplex(4)], ids=str)
def test_the_inscribed_ball_lies_in_the_field_and_no_larger_one_does(lattice, rng):
    size = (12,) * lattice.d
    ball = rng.standard_normal((200_000, lattice.d))
    ball *= lattice.inradius(size) / np.linalg.norm(ball, axis=1, keepdims=True)
    at = np.floor(lattice.coordinates(ball * (1 - 1e-9) + lattice.middle(size))).astype(int)
    assert lattice.inside(at, size).all()
    larger = lattice.coordinates(ball * 1.02 + lattice.middle(size))
    faces = np.column_stack([larger, 12 - larger if lattice.is_cubic else 12 - larger.sum(1)])
    assert (faces < 0).any(0).all()                                         # it touches each face


def test_points_come_to_the_cells_that_hold_them_on_either_lattice(rng):
    shapes = clouds(rng)
    for lattice, size, cell in ((CUBIC, 9, 0.2), (TETRAHEDRAL, 20, 0.25)):
        data = sp.data.ShapeBatches(shapes, np.arange(7), size, cell=cell, lattice=lattice)
        x, labels = next(data.epoch(0, training=False))
        assert labels.tolist() == list(range(7)) and x.grid.lattice == lattice and x.grid.size == (size,) * 3
        middle = np.full(3, size / 2) if lattice is CUBIC else np.full(3, size / 4)
        expected = set()
        for i, cloud in enumerate(shapes):
            at = cloud / cell if lattice is CUBIC else np.linalg.solve(lattice.basis.T, cloud.T / cell).T
            expected |= {(i, *v) for v in np.floor(at + middle).astype(int).tolist()}
        assert {tuple(s) for s in x.sites.tolist()} == expected
        assert (x.features.numpy() == 1).all()


def test_features_are_the_share_of_the_site_that_is_filled(rng):
    voxels = np.unique(rng.integers(-5, 5, (300, 3)), axis=0)
    points, one = sp.data.voxel_points(voxels, 3), [0]
    x, _ = next(sp.data.ShapeBatches([points], one, 12, cell=1, volume=1 / 27).epoch(0, training=False))
    assert np.allclose(x.features.numpy(), 1) and {tuple(s) for s in (x.sites[:, 1:] - 6).tolist()} == {
        tuple(v) for v in voxels.tolist()}
    for lattice, size, cell in ((CUBIC, 30, 0.75), (TETRAHEDRAL, 60, 0.9)):
        data = sp.data.ShapeBatches([points], one, size, cell=cell, lattice=lattice, volume=1 / 27,
                               augment=sp.data.Motion(shift=0.5))
        for epoch in range(3):
            x, _ = next(data.epoch(epoch, training=True))
            matrix = data.augment.draw(1, 3, 0, epoch)[0][0]
            whole = cell**3 * (1 if lattice is CUBIC else 0.5**0.5)
            assert x.features.numpy().sum() * whole == pytest.approx(len(voxels) * abs(np.linalg.det(matrix)), rel=1e-4)


def test_a_moved_shape_is_the_shape_times_its_matrix_plus_its_shift(rng):
    shapes, motion = clouds(rng), sp.data.Motion(linear=0.3, shift=0.1, mirror=True)
    data = sp.data.ShapeBatches(shapes, np.arange(7), 40, cell=0.07, augment=motion, batch=3)
    whole = sp.data.ShapeBatches(shapes, np.arange(7), 40, cell=0.07, augment=motion)
    matrices, shifts = motion.draw(7, 3, 5, 2)
    found = {}
    for batches in (data, whole):
        for x, labels in batches.epoch(2, 5, training=True):
            for sample, item in enumerate(labels.tolist()):
                sites = {tuple(s) for s in x.sites[x.sites[:, 0] == sample, 1:].tolist()}
                assert found.setdefault(item, sites) == sites               # whatever the batches
    for item, sites in found.items():
        at = np.floor((shapes[item] @ matrices[item] + shifts[item]) / 0.07 + 20).astype(int)
        assert sites == {tuple(v) for v in at.tolist()}


def test_turns_are_rotations_uniform_on_the_sphere_and_bounded_where_asked():
    n = 4000
    matrices, shifts = sp.data.Motion(linear=0, shift=0.3).draw(n, 3, 0, 0)
    assert np.allclose(matrices @ matrices.swapaxes(1, 2), np.eye(3)) and np.allclose(np.linalg.det(matrices), 1)
    # Haar: each entry has mean 0 and variance 1/3, the trace 1 + 2 cos has the density (1 - cos) / pi of the angle.
    assert abs(matrices.mean(0)).max() < 5 / (3 * n) ** 0.5 and abs(matrices.var(0) - 1 / 3).max() < 0.03
    cosine = (np.trace(matrices, axis1=1, axis2=2) - 1) / 2
    assert cosine.mean() == pytest.approx(-0.5, abs=0.05)
    assert abs(shifts).max() <= 0.3 and shifts.var() == pytest.approx(0.3**2 / 3, rel=0.05)
    small = sp.data.Motion(turn=0.4, linear=0).draw(n, 3, 0, 0)[0]
    angle = np.arccos(np.clip((np.trace(small, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert np.allclose(np.linalg.det(small), 1) and np.allclose(small @ small.swapaxes(1, 2), np.eye(3))
    assert 0.39 < angle.max() <= 0.4 + 1e-9 and angle.mean() == pytest.approx(0.2, abs=0.01)
    skew = small - small.swapaxes(1, 2)
    axis = np.stack([skew[:, 1, 2], skew[:, 2, 0], skew[:, 0, 1]], 1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    assert abs(axis.mean(0)).max() < 0.05 and abs((axis**2).mean(0) - 1 / 3).max() < 0.03


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_motions_of_any_dimension_have_the_parts_that_they_are_told(d):
    stretched, shifts = sp.data.Motion(turn=0, linear=0.2).draw(500, d, 1, 1)
    assert abs(stretched - np.eye(d)).max() <= 0.2 and (stretched - np.eye(d)).std() > 0.1 and shifts.shape == (500, d)
    mirrored = np.linalg.det(sp.data.Motion(mirror=True, linear=0).draw(500, d, 1, 1)[0])
    assert np.allclose(abs(mirrored), 1) and 0.4 < (mirrored < 0).mean() < 0.6
    for motion in (sp.data.Motion(), sp.data.Motion(turn=0.1, mirror=True)):
        few, many = motion.draw(3, d, 2, 3), motion.draw(50, d, 2, 3)
        assert all(np.array_equal(a, b[:3]) for a, b in zip(few, many, strict=True))
        assert not np.allclose(few[0], motion.draw(3, d, 2, 4)[0])


def test_tests_have_views_that_only_turn_and_evaluate_averages_over_them(rng):
    shapes, motion = clouds(rng), sp.data.Motion()
    matrices, shifts = motion.draw(7, 3, 0, 1, training=False)
    assert not shifts.any() and np.allclose(np.linalg.det(matrices), 1)
    still = sp.data.Motion(views=False).draw(7, 3, 0, 1, training=False)
    assert (still[0] == np.eye(3)).all() and not still[1].any()
    net = sp.models.deepc2(2, 4, classes=3, d=3, rng=0)
    data = sp.data.ShapeBatches(shapes, np.arange(7) % 3, 14, cell=0.15, augment=motion)
    passes = [np.exp(net.eval()(next(data.epoch(k, 0, training=False))[0]).data) for k in range(3)]
    mean = np.mean([p / p.sum(1, keepdims=True) for p in passes], 0)
    assert np.allclose(sp.evaluate(net, data, 3).outputs, mean, atol=1e-5) and not np.allclose(passes[0], passes[1])


def test_a_network_learns_large_from_small_shapes():
    shapes = [solid("torus", i).normalised(1 - i % 2 / 2).surface(0.3) for i in range(20)]
    net = sp.models.deepc2(1, 6, classes=2, d=TETRAHEDRAL, rng=0)
    data = sp.data.ShapeBatches(shapes, np.arange(20) % 2, 6, cell=1 / TETRAHEDRAL.inradius((6,)), lattice=TETRAHEDRAL,
                           batch=10, outside="drop", augment=sp.data.Motion(linear=0.1, shift=0))
    sp.fit(net, data, sp.Adam(net.parameters(), 0.03), 6, rng=0, progress=False)
    assert sp.evaluate(net, data, 2).error <= 0.25


def test_points_outside_the_field_are_refused_with_the_cell_that_holds_them_or_left_out():
    shapes = [np.array([[0.0, 0, 0], [0, 0, -3.0]]), np.zeros((0, 3))]
    for lattice, size in ((CUBIC, 4), (TETRAHEDRAL, 9)):
        with pytest.raises(GridError, match="points inside the field .*, got 1 of 2 outside; use a cell ab") as told:
            list(sp.data.ShapeBatches(shapes, None, size, cell=1, lattice=lattice).epoch(0, training=False))
        cell = float(told.value.args[0].split("a cell above ")[1].split()[0]) * 1.001
        held = sp.data.ShapeBatches(shapes, None, size, cell=cell, lattice=lattice, augment=sp.data.Motion(linear=0,
                                                                                                           shift=0))
        assert all(next(held.epoch(k, training=True))[0].grid.n == 2 for k in range(20))
        left = sp.data.ShapeBatches(shapes, None, size, cell=1, lattice=lattice, outside="drop")
        x, _ = next(left.epoch(0, training=False))
        assert (x.grid.n, x.grid.samples) == (1, 2)


def test_no_shapes_and_shapes_without_points_are_cases():
    assert list(sp.data.ShapeBatches([], None, 4, cell=1).epoch(0, training=True)) == []
    batches = sp.data.ShapeBatches([np.zeros((0, 3))], None, 4, cell=1, augment=sp.data.Motion())
    x, _ = next(batches.epoch(0, training=True))
    assert (x.grid.n, x.grid.samples) == (0, 1)
    assert len(sp.data.Shapes.pack([])) == 0 and sp.data.voxel_points(np.zeros((0, 3), int)).shape == (0, 3)
    with pytest.raises(IndexError):
        sp.data.Shapes.pack([])[0]


@each("options, message", [
    ({"cell": 0}, "expected cell to be a positive number, got 0"), ({"cell": "1"}, "expected cell to be a.*got '1'"),
    ({"volume": -1}, "expected volume to be a.*got -1"),
    ({"size": (4, 4)}, "size"), ({"outside": "keep"}, "expected outside to be.*got 'keep'"),
    ({"lattice": 2}, "expected points of 2.*got 3"),
    ({"augment": 0.2}, "expected augment to be a.*got 0.2"), ({"labels": [0, 1]}, "labels"),
    ({"size": 0}, "at least 1"),
    ({"shapes": [np.zeros((2, 3)), np.zeros((2, 2))]}, r"shape.*got shape \(2, 2\) of float64"),
    ({"shapes": [[[np.nan, 0, 0]]]}, "shape.*got NaN or infinity"),
    ({"shapes": [np.zeros(3)]}, "expected shape 0 as numbers"),
    ({"shapes": [[["a", "b", "c"]]]}, "expected shape 0 as numbers")])
def test_shapes_and_settings_that_do_not_fit_are_refused(options, message):
    given = {"shapes": [np.zeros((2, 3))], "labels": [0], "size": 4, "cell": 1} | options
    with pytest.raises((ValueError, TypeError), match=message):
        sp.data.ShapeBatches(given.pop("shapes"), given.pop("labels"), given.pop("size"), **given)


@pytest.mark.parametrize("options, message", [
    ({"turn": "all"}, "expected turn to be 'any' or.*got 'all'"),
    ({"turn": -1}, "expected turn to be 'any' or.*got -1"), ({"linear": 1}, "expected linear to be a.*got 1"),
    ({"shift": np.nan}, "expected shift to be a.*got nan"), ({"shift": "any"}, "expected shift to be a.*got 'any'")])
def test_motions_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sp.data.Motion(**options)
    with pytest.raises(ShapeError, match="whole numbers"):
        sp.data.voxel_points([[0.5, 1]])
    assert sp.data.Motion(**sp.data.Motion(turn=0.1).describe()["arguments"]) == sp.data.Motion(turn=0.1)


def own(path, rng, **changes):
    voxels = [rng.integers(0, 9, (n, 3)).astype(np.uint8) for n in (4, 0, 7)]
    arrays = {"voxel": np.concatenate(voxels), "shape_end": np.cumsum([4, 0, 7]), "label": np.array([0, 1, 1], np.int8),
              "fold": np.array([0, 2, 1]), "grid": np.array([9, 9, 9]), "classes": np.array(["a", "b"])} | changes
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
    return voxels


def test_voxel_files_come_back_and_the_cubes_of_their_publisher_are_the_same(tmp_path, rng):
    voxels = own(tmp_path / "own.npz", rng)
    found = sp.readers.read_voxels(tmp_path / "own.npz")
    assert [v.tolist() for v in found.voxels] == [v.tolist() for v in voxels] and found.classes == ("a", "b")
    assert found.part(1)[0][0].tolist() == voxels[2].tolist() and found.part(1)[1].tolist() == [1] and len(found) == 3
    cubes = (rng.random((6, 5, 4, 3)) < 0.2) * np.uint8(255)
    cubes[1] = 0
    parts = {"train": slice(0, 3), "val": slice(3, 4), "test": slice(4, 6)}
    arrays = {f"{name}_images": cubes[at] for name, at in parts.items()}
    arrays |= {f"{name}_labels": np.arange(6)[at, None] % 2 for name, at in parts.items()}
    np.savez_compressed(tmp_path / "theirs.npz", **arrays)
    found = sp.readers.read_voxels(tmp_path / "theirs.npz")
    assert found.size == (5, 4, 3) and found.folds.tolist() == [0, 0, 0, 1, 1, 2]
    for item, cube in zip(found.voxels, cubes[[0, 1, 2, 4, 5, 3]], strict=True):
        assert item.tolist() == np.argwhere(cube).tolist()
    assert found.labels.tolist() == [0, 1, 0, 0, 1, 1]


@each("changes, message", [
    ({"voxel": None}, "expected arrays voxel,.*got no voxel"),
    ({"voxel": np.full((11, 3), 9)}, r"inside.*got \[9, 9, 9\] at index 0"),
    ({"voxel": np.full((11, 3), -1)}, r"got \[-1, -1, -1\] at index 0"),
    ({"voxel": np.zeros((11, 3))}, "whole numbers"),
    ({"shape_end": np.array([4, 3, 11])}, "shape_end.*got 3 after 4 at index 1"),
    ({"shape_end": np.array([4, 4, 12])}, "got 12 as the last"),
    ({"label": np.array([0, 1, 2])}, "expected label from 0 to 1, got 2 at index 2"),
    ({"fold": np.array([0, 1, 3])}, "expected fold from 0 to 2, got 3 at index 2"),
    ({"grid": np.array([9, 9])}, "grid"),
    ({"classes": np.array([object()])}, "expected a complete .npz file")])
def test_damaged_voxel_files_are_refused(tmp_path, rng, changes, message):
    own(tmp_path / "a.npz", rng, **changes)
    with pytest.raises(FileError, match=message):
        sp.readers.read_voxels(tmp_path / "a.npz")
