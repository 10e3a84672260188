"""Frozen networks: the values of the network, in the memory that was told, from any number of threads, from a file."""

import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from in_turn import each
from strategies import distinct

import spconv_cy as sp
from spconv_cy.deploy.steps import Apply, Convolve, Join, Map

memory = pytest.importorskip("spconv_cy.compiled.memory")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import bench_memory  # noqa: E402

models = sp.models



def transformer_stage(parts):
    """Return the layers of a PointTransformerParts that run before its first attention."""
    return sp.Sequential(parts.stem, parts.encoder[0])


# name: (network, dimension, channels, ground, size of the field)
NETWORKS = {
    "deepcnet": (lambda: models.deepcnet(3, 8, 2, 10, rng=0), 2, 2, "zero", 24),
    "deepcnet, dropout": (lambda: models.deepcnet(3, 8, 2, 10, dropout=0.3, rng=0), 2, 2, "zero", 24),
    "deepcnin": (lambda: models.deepcnin(2, 4, 1, 10, rng=0), 2, 1, "zero", 12),
    "deepc2": (lambda: models.deepc2(3, 8, 2, 10, rng=0), 2, 2, "zero", 30),
    "lenet5": (lambda: models.lenet5(rng=0), 2, 1, "zero", 32),
    "unet": (lambda: models.unet(3, 4, 3, 5, reps=2, rng=0), 3, 3, None, 16),
    "uresnet": (lambda: models.uresnet(filters=4, rng=0), 3, 1, None, 32),
    "minkunet": (lambda: models.minkunet("14A", 4, 7, width=0.25, rng=0), 3, 4, None, None),
    "spunet": (lambda: models.spunet(4, 7, base=4, channels=(4, 8, 8, 4), repeats=(1, 1, 1, 1), rng=0), 3, 4, None, 32),
    "vgg": (lambda: models.vgg([8, "MP", (8, 4), "C3/2"], 3, rng=0), 2, 3, None, 63),
    "resnet": (lambda: models.resnet([(8, 2, 1), (16, 2, 2)], 8, rng=0), 2, 8, None, 31),
    "minkfpn": (lambda: models.minkfpn(channels=(8, 8), channels_out=8, repeats=(1, 1), attention=True, rng=0),
                3, 1, None, 32),
    "fcgf": (lambda: models.fcgf(channels=(8, 8), up=(8, 8), rng=0), 3, 1, None, 32),
    "second": (lambda: models.voxel_backbone_8x(rng=0), 3, 4, None, (41, 32, 32)),
    "voxelnext": (lambda: models.voxelnext(widths=(4, 4, 8, 8, 8), channels_out=8, rng=0), 3, 5, None, (41, 64, 64)),
    "spvcnn": (lambda: models.SPVCNN(4, 5, width=0.25, rng=0), 3, 4, None, 32),
    "pcgc": (lambda: models.pcgc_encoder((1, 8, 8, 8), rng=0), 3, 1, None, 32),
    "deepc2c2": (lambda: models.deepc2c2(2, 6, rng=0), 2, 1, "zero", models.deepc2c2(2, 1).input_size()),
    "deepc3c3": (lambda: models.deepc3c3(2, 6, rng=0), 2, 1, "zero", models.deepc3c3(2, 1).input_size()),
    "fcn": (lambda: models.fully_convolutional(2, 8, 1, 5, d=2, rng=0), 2, 1, None, 32),
    "spec": (lambda: models.from_spec("8C3-MP2-16C2-output", classes=10, rng=0), 2, 1, "zero", 22),
    "sliding": (lambda: models.sliding_window(models.deepcnet(2, 6, rng=0)), 2, 1, "zero", 40),
    "transformer": (lambda: transformer_stage(models.PointTransformerParts(6, (8,), (2,), (), (), rng=0)), 3, 6, None,
                    32),
}


def tensor(n, d=3, channels=1, size=32, ground=None, samples=2, seed=0):
    """Return a SparseTensor of about n random sites."""
    rng = np.random.default_rng(seed)
    axes = (64 if size is None else size,) * d if not isinstance(size, tuple) else size
    sites = distinct(np.column_stack([rng.integers(0, samples, n), *(rng.integers(0, a, n) for a in axes)]))
    features = rng.normal(size=(len(sites), channels)).astype(np.float32)
    return sp.SparseTensor.from_sites(sites, features, size, samples, ground=ground)


def rows(y):
    """Return the numbers of a result."""
    return (y.features if isinstance(y, sp.SparseTensor) else y).numpy()


def peaks(frozen, x):
    """Return (bytes told of a call, the most that it takes)."""
    return bench_memory.measured(frozen, x)[:2]


@pytest.fixture(scope="module")
def made():
    """Return a function that gives a network, with statistics of some batches, frozen and not, and an input of n."""
    kept = {}

    def make(name):
        if name not in kept:
            build, d, channels, ground, size = NETWORKS[name]
            net = build()
            with sp.no_grad():
                for seed in range(2):
                    net(tensor(300, d, channels, size, ground, seed=seed))
            kept[name] = net.eval(), sp.freeze(net), lambda n, **o: tensor(n, d, channels, size, ground, **o)
        return kept[name]

    return make


@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_the_network_for_no_site_one_and_many(made, name):
    net, frozen, inputs = made(name)
    for n in (0, 1, 60, 800):
        x = inputs(n)
        with sp.no_grad():
            y = net(x)
        z = frozen(x)
        scale = np.abs(rows(y)).max(initial=1e-30)
        np.testing.assert_allclose(rows(z), rows(y), rtol=0, atol=1e-6 * scale)
        if name not in ("deepcnet, dropout",):                           # whose factor comes before the slope
            np.testing.assert_array_equal(rows(z), rows(y))
        if isinstance(y, sp.SparseTensor):
            assert np.array_equal(z.sites, y.sites) and z.grid.size == y.grid.size
            assert (z.grid is x.grid) == (y.grid is x.grid)
            assert (z.ground is None) == (y.ground is None)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_the_network_for_a_million_sites(made, name):
    _, d, channels, ground, size = NETWORKS[name]
    field = np.prod((size,) * d if not isinstance(size, tuple) else size) if size else 64**3
    net, frozen, inputs = made(name)
    samples = max(2, int(8 * 10**6 / field))
    x = inputs(1_080_000, samples=samples)
    assert x.grid.n >= 10**6
    y = rows(frozen(x))
    with sp.no_grad():
        wanted = rows(net(x))
    assert np.abs(y - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_drawn_regions_are_those_that_the_network_draws():
    net = models.fractional_cnn(2, 4, rng=0).eval()
    frozen, x = sp.freeze(net), tensor(100, 2, 1, net.input_size(), "zero")
    np.testing.assert_array_equal(rows(frozen(x)), rows(net(x)))


def test_what_follows_a_convolution_is_in_its_step_and_joined_rows_are_written_in_place(made):
    program = made("minkunet")[1].parts[0]
    assert not any(isinstance(step, (Map, Apply)) for step in program.steps)
    joins = [step for step in program.steps if isinstance(step, Join)]
    assert len(joins) == 4
    assert all(program.values[part].inside is not None for join in joins for part in join.parts)
    assert sum(isinstance(step, Convolve) and step.residual is not None for step in program.steps) == 8


def test_the_network_stays_as_it_is_and_may_be_trained_further(made):
    net, frozen = models.unet(2, 4, 3, 5, rng=0), None
    before = {name: array.copy() for name, array in net.state().items()}
    frozen, x = sp.freeze(net), tensor(100, 3, 3, 16)
    assert net.training and all(np.array_equal(before[name], array) for name, array in net.state().items())
    y = rows(frozen(x))
    net(x)                                                               # moves the running statistics
    for parameter in net.parameters():
        parameter.data[...] += 1
    np.testing.assert_array_equal(rows(frozen(x)), y)
    assert frozen.train() is frozen and not frozen.training and sp.freeze(frozen) is frozen


def test_rulebooks_are_kept_while_the_sites_stay_the_same(made):
    _, frozen, inputs = made("unet")
    rules, x = frozen.parts[0].rules, inputs(200)
    frozen(x)
    made_before = rules.made
    y = frozen(x.with_features(2 * x.features))
    again = sp.SparseTensor.from_sites(x.sites, x.features, x.grid.size, 2, ground=None)
    z = frozen(again)
    assert rules.made == made_before and y.grid is x.grid and z.grid is again.grid
    frozen(inputs(201, seed=1))
    assert rules.made == made_before + 1


def test_coarse_sites_of_equal_sites_lead_back_to_the_new_grid():
    net = sp.Sequential(sp.Convolution(3, 1, 2, 2, 2, rng=0))
    frozen = sp.freeze(net)
    for x in (tensor(50, seed=3), tensor(50, seed=3)):
        assert frozen(x).grid.source.parent is x.grid
    assert frozen.parts[0].rules.made == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_the_bits_are_the_same_for_any_number_of_threads_and_from_eight_at_once(made, name):
    net, frozen, inputs = made(name)
    xs = [inputs(400 + 50 * i, seed=i) for i in range(8)]
    sp.set_threads(1)
    wanted = [rows(frozen(x)) for x in xs]
    with sp.no_grad():
        assert np.abs(rows(net(xs[7])) - wanted[7]).max(initial=0) <= 1e-6 * np.abs(wanted[7]).max(initial=0)
    for n_threads in (2, 5):
        sp.set_threads(n_threads)
        np.testing.assert_array_equal(rows(frozen(xs[0])), wanted[0])
    sp.set_threads(None)
    found = [None] * 8

    def work(i):
        for _ in range(3):
            found[i] = rows(frozen(xs[i]))

    team = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    for y, z in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(z, y)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_gives_the_same_bits(made, name, tmp_path):
    _, frozen, inputs = made(name)
    sp.save(tmp_path / "net.safetensors", frozen)
    loaded = sp.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(rows(loaded(inputs(300))), rows(frozen(inputs(300))))
    assert repr(loaded) == repr(frozen) and loaded.limit is None


def test_freezing_and_loading_make_no_needless_copies_of_the_weights(tmp_path):
    net = sp.Sequential(*(sp.SubmanifoldConvolution(3, 96, 96, rng=0) for _ in range(4))).eval()
    size = sum(p.data.nbytes for p in net.parameters())
    for work, most in ((lambda: sp.freeze(net), 1.7), (lambda: sp.load(tmp_path / "net"), 2.3)):
        sp.release_memory()
        memory.peak()
        before = memory.in_use()[0]
        tracemalloc.start()
        frozen = work()
        peak = memory.peak() - before + tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most * size, peak / size
        sp.save(tmp_path / "net", frozen)


def test_a_limit_is_kept_by_single_samples_or_refused(made):
    net, frozen, inputs = made("uresnet")
    x = inputs(6000, samples=4)
    needs = frozen.memory(x)
    with sp.no_grad():
        wanted = rows(net(x))
    np.testing.assert_array_equal(rows(frozen(x, memory=needs)), wanted)
    y = frozen(x, memory=int(0.7 * needs))
    np.testing.assert_array_equal(rows(y), wanted)
    assert y.grid is x.grid
    with pytest.raises(MemoryError, match="limit"):
        frozen(x, memory="10KB")
    limited = sp.freeze(net, memory=int(0.7 * needs))
    assert "memory=" in repr(limited)
    np.testing.assert_array_equal(rows(limited(x)), wanted)


def test_memory_is_told_for_arrays_and_grids(made):
    _, frozen, inputs = made("unet")
    x = inputs(500)
    assert frozen.memory(x) == frozen.memory(x.grid) == frozen.memory(x.sites, size=16, samples=2)
    assert frozen.weight_bytes() > 0


@each("wrong, error", [
    (lambda net, x: sp.freeze(3), TypeError),
    (lambda net, x: sp.freeze(net, memory="many"), ValueError),
    (lambda net, x: sp.freeze(net, float_ends="no"), ValueError),
    (lambda net, x: sp.freeze(net, memory=0), ValueError),
    (lambda net, x: sp.freeze(net, memory="0.5B"), ValueError),
    (lambda net, x: sp.freeze(net, memory="9" * 400 + "GB"), ValueError),
    (lambda net, x: sp.freeze(net, memory=1)(x), MemoryError),
    (lambda net, x: sp.freeze(net)(x.with_features(np.zeros((x.grid.n, 2), np.float32))), sp.errors.ShapeError),
    (lambda net, x: sp.freeze(net)(np.zeros((3, 3))), TypeError),
    (lambda net, x: sp.freeze(net)(tensor(10, 2, 3, 16)), sp.errors.ShapeError),
    (lambda net, x: sp.freeze(net).memory(x.sites, size=32, ground="one"), sp.errors.ShapeError),
])
def test_wrong_arguments(made, wrong, error):
    net, _, inputs = made("unet")
    with pytest.raises(error):
        wrong(net, inputs(20))


@each("given, words", [(None, "None"), ("scene.npz", "'scene.npz'"), ({"sites": [[0, 1, 1, 1]]}, "a dict"),
                       ([None, 1.0], r"\[None, 1.0\]"), (np.array([["a"]]), r"an array \(1, 1\) of <U1")])
def test_what_is_no_input_is_named(made, given, words):
    net, _, _ = made("unet")
    with pytest.raises(TypeError, match=f"^Frozen: expected a SparseTensor or rows of numbers, got {words}$"):
        sp.freeze(net)(given)


def test_rows_without_sites_and_float64():
    net = models.mlp((5, 8, 3), rng=0).eval()
    x = np.random.default_rng(0).normal(size=(4, 5))
    frozen = sp.freeze(net)
    np.testing.assert_array_equal(rows(frozen(x)), rows(net(x)))
    np.testing.assert_array_equal(rows(frozen(x.tolist())), rows(net(x.tolist())))
    assert rows(frozen(x[:0])).shape == (0, 3)


def test_a_layer_of_ones_own_is_called_as_it_is():
    class Doubled(sp.Convolution):
        def activated(self, x, slope=None, grid=None):
            return super().activated(2 * x, slope, grid)

    net = sp.Sequential(sp.SubmanifoldConvolution(3, 1, 4, rng=0), Doubled(3, 4, 2, 2, 2, rng=0)).eval()
    x, frozen = tensor(50), sp.freeze(net)
    np.testing.assert_array_equal(rows(frozen(x)), rows(net(x)))
    assert frozen.layers == frozen.children() == [frozen.parts[1]]
    own = [name for name in frozen.state() if not name.startswith("steps.")]
    assert own == ["layers.0.weight", "layers.0.bias"]                   # each once, as in a file


def test_a_frozen_network_of_points_gives_a_row_for_each_point(tmp_path):
    net = sp.layers.ToPoints(*models.unet(2, 4, 1, 2, d=3, rng=0)).eval()
    points = np.random.default_rng(0).normal(size=(60, 3))
    x = sp.SparseTensor.from_points(points, np.ones((60, 1)), cell=0.5, batch=0, ground=None)
    sp.save(tmp_path / "net.safetensors", sp.freeze(net))
    for frozen in (sp.freeze(net), sp.freeze(sp.Sequential(net)), sp.load(tmp_path / "net.safetensors")):
        assert frozen(x).shape == (60, 2) and np.array_equal(frozen(x).numpy(), net(x).numpy())


def test_a_ground_state_above_zero_after_one_of_zeros_at_the_same_sites():
    layer = sp.SubmanifoldConvolution
    net = sp.Sequential(layer(2, 3, 8, bias=False, rng=0), sp.layers.ReLU(), layer(2, 8, 8, bias=False, rng=1)).eval()
    x, frozen = tensor(300, 2, 3, ground="zero"), sp.freeze(net)
    for value in (0, 1, 0):                                              # the room of a call depends on it
        x = x.with_features(x.features, sp.Tensor(np.full((1, 3), value, np.float32)))
        np.testing.assert_allclose(rows(frozen(x)), rows(net(x)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("last", [
    lambda: sp.Deconvolution(2, 4, 2, 2, 2), lambda: sp.layers.UnPooling(2, 2, 2),
    lambda: sp.layers.TransposedConvolution(2, 4, 2, 2, 2)])
def test_a_ground_state_is_refused_where_the_network_refuses_it(last):
    net = sp.Sequential(sp.Convolution(2, 3, 4, 2, 2, rng=0), last()).eval()
    x, frozen = tensor(50, 2, 3, ground="zero"), sp.freeze(net)
    for called in (net, frozen, frozen.memory):
        with pytest.raises(sp.errors.ShapeError, match="ground=None"):
            called(x)
    assert rows(frozen(x.with_features(x.features, None))).shape[1] in (2, 4)


def test_a_frozen_network_is_given_a_limit():
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 1, 4, rng=0)).eval()
    frozen, x = sp.freeze(net), tensor(50)
    limited = sp.freeze(frozen, memory=10)
    assert limited.limit == 10 and frozen.limit is None and limited.parts == frozen.parts
    with pytest.raises(MemoryError):
        limited(x)
