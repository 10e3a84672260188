"""Clouds of labelled points: what an epoch holds, how it is moved and cut, and a network that labels points."""

import numpy as np
import pytest
from in_turn import each
from numpy.testing import assert_allclose, assert_array_equal
from terrain import terrain

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError

STILL = sp.data.PointAffine(turn=0, flip=0, stretch=0)


@pytest.fixture
def clouds(rng):
    """Three clouds of 3-D points, one of them empty; features tell which point it is."""
    points = [rng.uniform(0, 30, (n, 3)) for n in (70, 0, 50)]
    numbers = np.split(np.arange(120), [70, 70])
    return points, [n[:, None] / 8 for n in numbers], numbers


def tiles(batches, epoch=0, seed=0):
    """List (numbers of the points, their places less the tile's corner) of each sample of a training epoch."""
    found = []
    for x, labels in batches.epoch(epoch, seed, training=True):
        sample = x.sites[x.point_rows, 0]
        found += [labels[sample == s] for s in range(x.grid.samples)]
    return found


def test_testing_gives_every_cloud_as_a_sample_in_its_own_order(clouds):
    points, features, numbers = clouds
    batches = sp.data.PointBatches(points, features, numbers, 2.0, tile=5, batch=2, augment=sp.data.PointAffine())
    found = list(batches.epoch(0, training=False))
    assert [x.grid.samples for x, _ in found] == [2, 1] and len(batches) == 120
    assert_array_equal(np.concatenate([labels for _, labels in found]), np.arange(120))
    for (x, labels), cloud in zip(found, (points[0], points[2]), strict=True):
        assert x.ground is None
        sites = x.sites[x.point_rows, 1:]
        assert_array_equal(sites, np.floor(cloud / 2))
        site = [tuple(s) for s in sites]
        mean = [np.mean([labels[j] for j in range(len(site)) if site[j] == s]) / 8 for s in site]
        assert_allclose(x.features.data[x.point_rows, 0], mean, rtol=1e-5)


def test_training_meets_every_point_once_in_tiles_no_wider_than_asked(clouds):
    points, features, numbers = clouds
    batches = sp.data.PointBatches(points, features, numbers, 0.5, tile=8, batch=3,
                                   augment=sp.data.PointAffine(stretch=0))
    every = np.concatenate(points)
    cuts = [tiles(batches, epoch) for epoch in (0, 1)]
    for cut in cuts:
        assert_array_equal(np.sort(np.concatenate(cut)), np.arange(120))
        assert len(cut) > 20
        for tile in cut:
            assert len({number < 70 for number in tile}) == 1                # of one cloud
            distances = np.linalg.norm(every[tile][:, None, :2] - every[tile][:, :2], axis=2)
            assert distances.max() < 8 * np.sqrt(2)
    assert sorted(map(len, cuts[0])) != sorted(map(len, cuts[1]))
    for tile, again in zip(cuts[0], tiles(batches, 0), strict=True):
        assert_array_equal(tile, again)


def test_a_tile_is_a_square_of_its_side_and_all_of_one_square_are_in_it(rng):
    points = rng.uniform(0, 40, (400, 2))
    batches = sp.data.PointBatches(points, None, np.arange(400), 1.0, tile=10, batch=100, augment=STILL)
    cut = tiles(batches)
    assert 16 <= len(cut) <= 25
    low = np.array([points[tile].min(0) for tile in cut])
    high = np.array([points[tile].max(0) for tile in cut])
    assert (high - low < 10).all()
    for i in range(len(cut)):                                                # no tile reaches into another
        apart = ((low > high[i]) | (high < low[i])).any(1)
        assert apart.sum() == len(cut) - 1


def test_moves_turn_mirror_stretch_and_keep_the_vertical_axis(rng):
    matrices, shifts = sp.data.PointAffine(stretch=0.2, shift=3).draw(4000, 3, seed=1, epoch=2)
    scales = np.linalg.norm(matrices, axis=2)
    assert_allclose(matrices / scales[..., None] @ (matrices / scales[..., None]).swapaxes(1, 2),
                    np.tile(np.eye(3), (4000, 1, 1)), atol=1e-12)
    assert 0.8 <= scales.min() < 0.81 and 1.19 < scales.max() <= 1.2
    assert not matrices[:, 2, :2].any() and not matrices[:, :2, 2].any() and (matrices[:, 2, 2] > 0).all()
    assert 0.46 < (np.linalg.det(matrices) < 0).mean() < 0.54
    angles = np.arctan2(matrices[:, 0, 1], matrices[:, 0, 0])
    assert_allclose(np.histogram(angles, 8, (-np.pi, np.pi))[0] / 4000, 1 / 8, atol=0.02)
    assert 2.99 < abs(shifts).max() <= 3
    assert_array_equal(sp.data.PointAffine(stretch=0.2, shift=3).draw(9, 3, 1, 2)[0], matrices[:9])


def test_a_cloud_is_moved_about_its_middle_by_what_was_drawn(clouds):
    points, features, numbers = clouds
    augment = sp.data.PointAffine(shift=4)
    batches = sp.data.PointBatches(points, features, numbers, 1e-3, batch=3, augment=augment)
    (x, labels), = batches.epoch(3, 7, training=True)
    matrices, shifts = augment.draw(3, 3, 7, 3)
    places = (x.sites[x.point_rows, 1:] + 0.5) * 1e-3
    for i in (0, 2):
        middle = points[i].mean(0)
        expected = (points[i] - middle) @ matrices[i] + middle + shifts[i]
        mine = np.argsort(labels)[(np.sort(labels) >= 70) == (i == 2)]
        assert_allclose(places[mine], expected, atol=1e-3)


def test_each_point_has_a_move_of_its_own(rng):
    moves = sp.data.PointAffine(jitter=0.5).draw_points(5000, 3, 0, 0)
    assert_allclose(moves.std(0), 0.5, rtol=0.05)
    assert sp.data.PointAffine().draw_points(5, 3, 0, 0) is None
    points = rng.uniform(0, 9, (50, 3))
    still, moved = (sp.data.PointBatches(points, None, np.arange(50), 1e-3, augment=sp.data.PointAffine(0, 0, 0,
                                                                                                        jitter=j))
                    for j in (0, 0.5))
    (x, _), = still.epoch(0, training=True)
    (y, _), = moved.epoch(0, training=True)
    assert len(np.unique((x.sites[x.point_rows] - y.sites[y.point_rows])[:, 1])) > 40


def test_later_passes_of_a_test_see_other_views_and_the_first_the_cloud_as_it_is(clouds):
    points, features, numbers = clouds
    batches = sp.data.PointBatches(points, features, numbers, 1.0, views=sp.data.PointAffine())
    (first, labels), = batches.epoch(0, training=False)
    (second, again), = batches.epoch(1, training=False)
    assert_array_equal(labels, again)
    assert not np.array_equal(first.sites[first.point_rows], second.sites[second.point_rows])


def test_a_network_labels_points_and_its_views_are_averaged(rng):
    points = rng.uniform(0, 20, (600, 3))
    labels = (points[:, 2] > 10).astype(int)
    features = (points[:, 2:] - 10) / 10
    net = sp.layers.ToPoints(sp.SubmanifoldConvolution(3, 1, 8, rng=0), sp.ReLU(), sp.NetworkInNetwork(8, 2, rng=0))
    data = sp.data.PointBatches(points, features, labels, 2.0, tile=10, batch=4, augment=sp.data.PointAffine(shift=2),
                           views=sp.data.PointAffine())
    history = sp.fit(net, data, sp.Adam(net.parameters(), 0.02), 12, rng=0, progress=False)
    assert history.errors[-1] < 0.1
    found = sp.evaluate(net, data, repeats=3)
    assert found.error < 0.1 and found.outputs.shape == (600, 2) and (found.iou > 0.8).all()
    assert_array_equal(found.labels, labels)
    net.eval()
    views = []
    for view in range(3):
        (x, _), = data.epoch(view, training=False)
        scores = np.exp(net(x).numpy())
        views.append(scores / scores.sum(1, keepdims=True))
    assert_allclose(found.outputs, np.mean(views, 0), atol=1e-5)


def test_layers_that_move_the_sites_are_refused(rng):
    x = sp.SparseTensor.from_points(np.column_stack([np.zeros(9), rng.uniform(0, 9, (9, 2))]), np.ones((9, 4)))
    with pytest.raises(ShapeError, match="expected layers that keep the sites, such as a U-Net, got layers that gave"):
        sp.layers.ToPoints(sp.MaxPooling(2, 2))(x)
    with pytest.raises(ShapeError, match="whose points are known"):
        sp.layers.ToPoints()(sp.SubmanifoldConvolution(2, 4, 1)(sp.MaxPooling(2, 1)(x)))
    with pytest.raises(TypeError, match="expected a SparseTensor, got a Tensor"):
        sp.layers.ToPoints()(sp.Tensor([[1.0]]))


def test_neighbourhood_features_are_those_of_the_nearest_in_the_plane(rng):
    points = rng.uniform(0, 9, (60, 3))
    found = sp.data.neighbourhood_features(points, 7)
    for point, row in zip(points, found, strict=True):
        near = points[np.argsort(np.hypot(*(points - point)[:, :2].T))[:7]]
        reach = np.log(np.hypot(*(near - point)[-1, :2]))
        assert_allclose(row, [point[2] - near[:, 2].min(), near[:, 2].max() - point[2], reach], rtol=1e-4, atol=1e-5)
    assert sp.data.neighbourhood_features(points[:1]).shape == (1, 3)
    assert sp.data.neighbourhood_features(points[:0]).shape == (0, 3)
    assert_allclose(sp.data.neighbourhood_features(points[:3], 9)[:, 0], points[:3, 2] - points[:3, 2].min(), rtol=1e-5)


def test_no_points_are_an_empty_epoch():
    batches = sp.data.PointBatches([], None, [], 1.0, tile=3, augment=sp.data.PointAffine())
    assert len(batches) == 0 and list(batches.epoch(0, training=True)) == []
    empty = sp.data.PointBatches(np.zeros((0, 3)), None, np.zeros(0, int), 1.0, tile=3, augment=sp.data.PointAffine())
    assert list(empty.epoch(0, training=True)) == [] and next(empty.epoch(0, training=False))[0].grid.n == 0


CLOUD = np.zeros((4, 3))


@each("change, message", [
    ({"points": [CLOUD, np.zeros((2, 2))]}, r"cloud.*got shape \(2, 2\) of float64"),
    ({"points": CLOUD * np.nan}, "finite numbers"),
    ({"points": np.zeros((4, 1)), "tile": 3}, "2 or more for tiles"),
    ({"points": CLOUD.astype(str)}, "finite numbers"),
    ({"features": np.ones((3, 1))}, r"features.*got shapes \[\(3, 1\)\]"),
    ({"features": np.ones(4)}, r"features.*got shapes \[\(4,\)\]"),
    ({"labels": [1, 2, 3]}, r"labels.*got shapes \[\(3,\)\]"),
    ({"labels": [0.5] * 4}, "labels.*got dtype float64"),
    ({"cell": 0}, "cell to be a positive number, .*, got 0"),
    ({"tile": 0}, "expected tile to be a number.*got 0"),
    ({"tile": (3, 3)}, r"expected tile to be a number.*got \(3, 3\)"),
    ({"labels": 7}, "labels")])
def test_clouds_that_do_not_fit_are_refused(change, message):
    arguments = {"points": CLOUD, "features": None, "labels": None, "cell": 1.0} | change
    with pytest.raises(ShapeError, match=message):
        sp.data.PointBatches(**arguments)


def test_moves_that_do_not_fit_are_refused():
    for wrong in ({"flip": 2}, {"stretch": 1.0}, {"turn": -1}, {"shift": np.inf}, {"jitter": "much"}):
        name, value = next(iter(wrong.items()))
        with pytest.raises(ValueError, match=f"PointAffine: expected {name} to be a number from 0 .*got {value!r}"):
            sp.data.PointAffine(**wrong)
    with pytest.raises(TypeError, match="augment to be a PointAffine or None, got 'affine'"):
        sp.data.PointBatches(CLOUD, None, None, 1.0, augment="affine")
    with pytest.raises(TypeError, match="views to be .*, got 8"):
        sp.data.PointBatches(CLOUD, None, None, 1.0, views=8)
    with pytest.raises(ValueError, match="batch to be .*, got 0"):
        sp.data.PointBatches(CLOUD, None, None, 1.0, batch=0)
    for wrong in ((np.zeros((4, 2)), 5), (CLOUD, 1), (CLOUD * np.nan, 5), (CLOUD.astype(str), 5)):
        with pytest.raises(ShapeError, match="neighbourhood_features: expected points"):
            sp.data.neighbourhood_features(*wrong)


# A scan in a file


def scan_arrays(rng, **change):
    return {"xyz": rng.uniform(0, 9, (7, 3)).astype(np.float32), "intensity": np.arange(7, dtype=np.uint16),
            "return_number": np.full(7, 2, np.uint8), "classification": np.array([1, 2, 9, 9, 1, 1, 2], np.uint8),
            "source": np.array("somewhere")} | change


def test_a_scan_is_read(tmp_path, rng):
    arrays = scan_arrays(rng)
    np.savez(tmp_path / "scan.npz", **arrays)
    scan = sp.readers.read_scan(tmp_path / "scan.npz")
    assert len(scan) == 7 and scan.points.dtype == np.float64 and scan.codes.tolist() == [1, 2, 9, 9, 1, 1, 2]
    assert_array_equal(scan.points, arrays["xyz"])
    assert scan.intensity.tolist() == list(range(7)) and scan.return_number.tolist() == [2.0] * 7


@pytest.mark.parametrize("change, message", [
    ({"xyz": np.zeros((7, 2))}, r"xyz.*got shape \(7, 2\) of float64"),
    ({"xyz": np.full((7, 3), np.nan)}, "finite numbers"),
    ({"intensity": np.zeros(6, int)}, r"intensity.*got shape \(6,\) of int64"),
    ({"classification": np.zeros(7)}, "classification"),
    ({"return_number": np.array([None] * 7)}, "damaged")])
def test_a_scan_whose_arrays_do_not_fit_is_refused(tmp_path, rng, change, message):
    np.savez(tmp_path / "scan.npz", **scan_arrays(rng, **change))
    with pytest.raises(FileError, match=f"scan.npz: .*{message}"):
        sp.readers.read_scan(tmp_path / "scan.npz")


def test_a_file_that_is_no_scan_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", xyz=np.zeros((2, 3)))
    with pytest.raises(FileError, match="intensity.*got no intensity, return_number, classification"):
        sp.readers.read_scan(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError):
        sp.readers.read_scan(tmp_path / "none.npz")


# A landscape made from a seed


def test_a_terrain_has_flat_water_at_one_height_below_all_ground():
    points, labels = terrain(8000, seed=3)
    assert len(points) == 8000 and points[:, :2].min() >= 0 and points[:, :2].max() <= 200
    water, ground = points[labels == 2, 2], points[labels == 1, 2]
    assert 300 < len(water) < 1500 and water.std() < 0.1 and ground.min() > water.mean() - 0.5
    assert np.ptp(ground) > 5 and (labels == 0).sum() > 1000


def test_what_stands_on_a_terrain_is_above_the_ground_beside_it():
    points, labels = terrain(20_000, seed=1)
    above = points[labels == 0]
    ground = points[labels == 1]
    near = np.linalg.norm(above[::50, None, :2] - ground[:, :2], axis=2).argmin(1)
    assert np.mean(above[::50, 2] > ground[near, 2] + 0.2) > 0.95


def test_a_terrain_depends_on_its_seed_alone_and_may_be_empty():
    assert_array_equal(terrain(500, seed=2)[0], terrain(500, seed=2)[0])
    assert not np.array_equal(terrain(500, seed=2)[0], terrain(500, seed=3)[0])
    assert terrain(0)[0].shape == (0, 3) and terrain(50, side=3.0)[0].shape == (50, 3)
    for wrong in ({"n": -1}, {"n": 2.5}, {"side": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="terrain: expected .*, got"):
            terrain(**wrong)


def test_the_first_point_that_is_not_finite_is_named():
    clouds = [np.zeros((3, 2)), np.array([[0, 1], [np.nan, 2], [np.inf, 3]])]
    with pytest.raises(ShapeError, match=r"cloud 1 of finite numbers, got \[nan, 2.0\] at point 1; .*the 2 such"):
        sp.data.PointBatches(clouds, None, None, 0.5)


@each("labels, remedy", [(np.zeros(3), "give labels.astype.int."), (np.zeros(3, bool), "give labels.astype.int."),
                         (np.array(["a", "b", "a"]), "number the names"), (np.array(["a", None], object), "np.unique")])
def test_labels_that_are_no_class_numbers_come_with_a_remedy(labels, remedy):
    with pytest.raises(ShapeError, match=f"expected labels to be class numbers, got dtype .*; .*{remedy}"):
        sp.data.PointBatches([np.eye(3)[:len(labels)]], None, [labels], 1.0)
