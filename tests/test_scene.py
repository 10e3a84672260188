"""One scene cut among ranks equals the whole: bit by bit in float64, closely in float32. tests/scene_ranks.py runs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scene_ranks import network, on_threads, scene, step
from test_distributed import loaded, mpiexec

import spconv_cy as sp
from spconv_cy.config import data_folder
from spconv_cy.distributed import gather, scatter
from spconv_cy.errors import BackendError, GridError, ShapeError
from spconv_cy.sites import Window

PROGRAM = Path(__file__).parent / "scene_ranks.py"


@pytest.fixture(scope="module")
def whole():
    """The results of one process in float64."""
    with sp.use("reference"):
        return step(network(), *scene())


def cut(n, dtype="float64"):
    """Return the results of n ranks with a network each."""
    x, labels = scene(dtype=dtype)
    with sp.use("reference" if dtype == "float64" else "cpu"):
        nets = [network() for _ in range(n)]
    return on_threads(n, lambda ranks: step(nets[ranks.rank], x, labels, ranks))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_ranks_equal_the_whole_bit_by_bit_in_float64(whole, n):
    found = cut(n)
    for name, array in whole.items():
        assert np.array_equal(found[0][name], array), name
    for other in found[1:]:                                              # weights and losses, on every rank
        assert all(np.array_equal(other[name], found[0][name]) for name in other)
    assert np.array_equal(found[0]["sites"], scene()[0].sites)


@pytest.mark.parametrize("n", [2, 4])
def test_ranks_equal_the_whole_closely_in_float32(n):
    expected, found = step(network(), *scene(dtype="float32")), cut(n, "float32")
    for name, array in expected.items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-5, atol=1e-5, err_msg=name)


def test_three_processes_equal_the_whole(whole, tmp_path):
    path = tmp_path / "found.npz"
    done = subprocess.run([mpiexec(), "-n", "3", sys.executable, str(PROGRAM), str(path)], text=True, timeout=60,
                          capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    found = loaded(path)
    assert all(np.array_equal(found[name], whole[name]) for name in whole)


@pytest.fixture(scope="module")
def scan():
    """An aerial scan in cells of 3 m, with heights as features and classes as labels."""
    path = Path(data_folder() or ".") / "lidar_topography.npz"
    if data_folder() is None or not path.exists():
        pytest.skip("no lidar_topography.npz in the folder of SPCONV_CY_DATA")
    with np.load(path) as file:
        points, classes = file["xyz"].astype(float), file["classification"]
    points -= points.min(0)
    cells, first = np.unique(np.floor(points / 3).astype(int), axis=0, return_index=True)
    features = np.column_stack([points[first] % 3 - 1.5])
    sites = np.column_stack([np.zeros(len(cells), int), cells])
    return sites, features, np.searchsorted([1, 2, 9], classes[first])


@pytest.mark.parametrize(("n", "dtype"), [(3, "float64"), (2, "float32"), (4, "float32")])
def test_a_real_scan_is_cut(scan, n, dtype):
    part = slice(800) if dtype == "float64" else slice(None)            # exact sums take long
    sites, features, labels = (rows[part] for rows in scan)
    with sp.use("reference" if dtype == "float64" else "cpu"):
        nets = [network() for _ in range(n + 1)]
        leaf = sp.Tensor(features.astype(dtype), requires_grad=True)
    x = sp.SparseTensor(leaf, sp.Grid.from_sites(sites))
    assert np.array_equal(x.sites, sites) and len(scan[0]) > 5000
    whole = step(nets[n], x, labels)
    found = on_threads(n, lambda ranks: step(nets[ranks.rank], x, labels, ranks))
    for name, array in whole.items():
        if dtype == "float64":
            assert np.array_equal(found[0][name], array), name
        else:
            np.testing.assert_allclose(found[0][name], array, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_rank_has_its_slab_and_no_more_than_a_thin_halo():
    x, _ = scene(6000, 80, samples=1)

    def task(ranks):
        part = scatter(x if ranks.first else None, ranks=ranks)
        halo = part.grid.rules(Window(3, 3, 1, 1, 0, "submanifold"))[1].side.halo
        return part.sites, len(halo.sites) - len(part.sites)

    found = on_threads(4, task)
    sizes = [len(sites) for sites, _ in found]
    assert sum(sizes) == x.grid.n and max(sizes) < 1.35 * x.grid.n / 4
    for (sites, _), (after, _) in zip(found, found[1:], strict=False):
        assert sites[:, 1].max() < after[:, 1].min()
    assert all(0 < foreign < x.grid.n / 15 for _, foreign in found)


@pytest.mark.parametrize("sites", [[[0, 5, 5, 5]], [[0, 0, 0, 0], [0, 1, 0, 0]], np.zeros((0, 4), int)])
def test_ranks_without_sites(sites):
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 2, 4, 3, rng=0), sp.BatchNormalization(4), sp.ReLU(),
                        sp.Convolution(3, 4, 3, 2, 2, rng=1))
    x = sp.SparseTensor(np.arange(2.0 * len(sites)).reshape(len(sites), 2), sp.Grid.from_sites(sites))

    def task(ranks):
        return gather(net(scatter(x if ranks.rank == 1 else None, ranks=ranks)))

    found = on_threads(3, task)
    assert found[1:] == [None, None] and found[0].features.shape[1] == 3


@pytest.mark.parametrize("loss", ["cross entropy with weights", "mse", "mean", "focal"])
def test_losses_are_those_of_the_whole(loss):
    x, labels = scene(400)
    target = np.random.default_rng(1).standard_normal((len(labels), 3))

    def value(x, labels, target):
        if loss == "mse":
            result = sp.functional.mse(x.features, target)
        elif loss == "mean":
            result = (x.features * x.features).mean()
        elif loss == "focal":
            result = sp.functional.focal_loss(x.features, labels % 3)
        else:
            result = sp.functional.softmax_cross_entropy(x.features, labels % 3, weights=[1.0, 2.0, 0.5])
        result.backward()
        return float(result.data), np.asarray(x.features.grad)

    def task(ranks):
        part, *others = scatter(x, labels, target, ranks=ranks) if ranks.first else scatter(None, ranks=ranks)
        number, gradient = value(part, *others)
        return number, gather(part, gradient)[1]

    expected, gradient = value(x, labels, target)
    found = on_threads(3, task)
    assert [number for number, _ in found] == [expected] * 3
    assert np.array_equal(found[0][1], gradient)


def outputs(layer, x, ranks=None):
    """Return the sites, the outputs and the gradient of the inputs of a layer."""
    whole = x if ranks is None or ranks.first else None
    x = scatter(whole, ranks=ranks) if ranks else sp.SparseTensor(sp.Tensor.of(x.features.data), x.grid)
    x.features.requires_grad = True
    y = layer(x)
    (y.features * y.features).sum().backward()
    if ranks is None:
        return y.sites, y.features.data, x.features.grad
    whole, (_, gradient) = gather(y), gather(x, np.asarray(x.features.grad))
    return (whole.sites, whole.features.data, gradient) if ranks.first else None


@pytest.mark.parametrize("make", [
    lambda: sp.MaxPooling(3, 2, 2), lambda: sp.MaxPooling(3, 3, 2), lambda: sp.AveragePooling(3, 3, 2),
    lambda: sp.Convolution(3, 3, 4, 3, 2, rng=0),
    lambda: sp.SubmanifoldConvolution(3, 3, 4, 5, rng=0), lambda: sp.NetworkInNetwork(3, 2, rng=0)])
def test_layers_equal_the_whole(make):
    x, _ = scene(400)
    with sp.use("reference"):
        layer = make()
    found = on_threads(3, lambda ranks: outputs(layer, x, ranks))[0]
    for mine, expected in zip(found, outputs(layer, x), strict=True):
        assert np.array_equal(mine, expected)


@pytest.mark.parametrize("make", [sp.GlobalPooling])
def test_layers_of_whole_samples_are_refused(make):
    x, layer = scene(400)[0], make()
    with pytest.raises(BackendError, match="gather the scene first"):
        on_threads(2, lambda ranks: layer(scatter(x if ranks.first else None, ranks=ranks)))


def test_wrong_scenes_are_refused():
    x, labels = scene(100)
    with pytest.raises(TypeError, match="SparseTensor or None"):
        scatter([1.0])
    with pytest.raises(TypeError, match="no other arrays"):
        scatter(None, labels)
    with pytest.raises(ShapeError, match="rows, one for each site"):
        scatter(x, labels[1:])
    with pytest.raises(ShapeError, match="axis from 0 to 2"):
        scatter(x, axis=3)
    with pytest.raises(ShapeError, match="at least one rank"):
        scatter(None)
    with pytest.raises(TypeError, match="scatter or a layer"):
        gather(x)
    with pytest.raises(GridError, match="each site on one rank"):
        on_threads(2, lambda ranks: scatter(x, ranks=ranks))
    with pytest.raises(ShapeError, match="parts that fit"):
        on_threads(2, lambda ranks: scatter(scene(50, channels=2 + ranks.rank)[0], ranks=ranks))
