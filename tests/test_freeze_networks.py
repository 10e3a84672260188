"""Frozen networks are the networks: every one of `sp.models`, and every family that `sp.io.convert` makes."""

import numpy as np
import pytest
from in_turn import each
from test_freeze import NETWORKS as MODELS
from test_freeze import bench_memory, peaks, rows, tensor
from test_peers_networks import NETS

import spconv_cy as sp
from spconv_cy.deploy.program import Program
from spconv_cy.deploy.rules import rules_bytes
from spconv_cy.io.networks.known import PLACES

SIZES = {"second": (41, 32, 32), "centerpoint": (41, 32, 32), "voxelnext": (41, 64, 64)}
MORE = {  # family: a network of it; the others are those of test_peers_networks.py
    "voxelnext": lambda: sp.models.voxelnext(widths=(4, 4, 8, 8, 8), channels_out=8, rng=0),
    "spvcnn": lambda: sp.models.SPVCNN(4, 5, width=1 / 16, rng=0),
    "spvcnn_mmdet3d": lambda: sp.models.SPVCNN(4, 5, width=1 / 8, rng=0),
    "pcgc_encoder": lambda: sp.models.pcgc_encoder((1, 8, 8, 8), rng=0),
    "open3d_unet": lambda: sp.models.unet(2, 3, 3, 4, reps=2, residual=True, rng=0),
}
BUILDERS = {**{f"{family.strip()}, {source}{' ' * family.count(' ')}": build
               for (family, source), build in NETS.items()}, **MORE}
APART = {"ptv3", "pcgc_decoder"}        # "transformer" of test_freeze.py, whose stages are networks; a test of its own


def random(net, seed=0):
    """Return a network in evaluation mode with statistics and slopes of all kinds."""
    rng = np.random.default_rng(seed)
    for array in net.state().values():
        if array.dtype.kind == "f" and array.ndim < 3:                   # larger weights let deep networks overflow
            array += (0.2 * rng.random(array.shape)).astype(array.dtype)
    return net.eval()


def same(net, frozen, x, *more):
    """The frozen network gives the rows and sites of the network to 1e-6 of the largest number."""
    with sp.no_grad():
        y = net(x, *more)
    z = frozen(x, *more)
    assert np.abs(rows(z) - rows(y)).max(initial=0) <= 1e-6 * np.abs(rows(y)).max(initial=1e-30)
    assert not isinstance(y, sp.SparseTensor) or np.array_equal(y.sites, z.sites)


def first_convolution(net):
    """Return the convolution that reads the input."""
    if isinstance(net, (sp.Convolution, sp.SubmanifoldConvolution)):
        return net
    return next(filter(None, map(first_convolution, net.children())), None)


def test_every_family_and_every_network_is_there():
    assert {name.partition(",")[0] for name in BUILDERS} | APART == set(PLACES)
    public = {name for name in dir(sp.models) if not name.startswith("_")}
    functions = {name for name in public if callable(getattr(sp.models, name)) and name[0].islower()}
    aliases = {"voxel_backbone_8x": "second", "pcgc_encoder": "pcgc", "fully_convolutional": "fcn", "from_spec": "spec",
               "sliding_window": "sliding"}
    apart = {"fractional_cnn", "mlp", "reconstruction_loss"}            # in test_freeze.py; no network
    assert {aliases.get(name, name) for name in functions - apart} <= set(MODELS)


@each("name", BUILDERS)
def test_families_of_the_converter(name, tmp_path):
    net = random(BUILDERS[name]())
    frozen, family = sp.freeze(net), name.partition(",")[0].partition("_")[0]
    first = first_convolution(net)
    d, size = first.window.lattice.d, SIZES.get(family)
    for n in (0, 250):
        same(net, frozen, tensor(n, d, first.channels_in, size))
    sp.save(tmp_path / "net.safetensors", frozen)
    x = tensor(200, d, first.channels_in, size, seed=1)
    np.testing.assert_array_equal(rows(sp.load(tmp_path / "net.safetensors")(x)), rows(frozen(x)))


def test_branches_that_do_nothing():
    def product():
        return sp.NetworkInNetwork(4, 4, rng=1)

    nothing = sp.Dropout(0.5, inverted=True)
    x, first, two = tensor(60), sp.SubmanifoldConvolution(3, 1, 4, rng=0), sp.Concatenate(sp.Sequential(), nothing)
    for branched, c in ((sp.Residual(), 4), (sp.Residual(shortcut=product()), 4), (two, 8),
                        (sp.Residual(nothing, shortcut=sp.Sequential(product(), sp.ReLU())), 4)):
        same(net := sp.Sequential(first, branched, sp.NetworkInNetwork(c, 3, rng=2)), sp.freeze(net.eval()), x)
        wide = x.with_features(np.tile(x.features.data, (1, 4)))         # whose channels no layer before tells
        same(net := sp.Sequential(branched, sp.NetworkInNetwork(c, 3, rng=2)).eval(), sp.freeze(net), wide)
        same(branched.eval(), sp.freeze(branched), wide)


def test_networks_with_a_call_of_their_own(tmp_path):
    decoder = random(sp.models.PCGCDecoder((4, 8, 8), rng=0))
    codes = tensor(20, 3, 4, 8)
    counts = [[9, 4], [30, 7]]
    with sp.no_grad():
        assert decoder(codes, counts).grid.n == 37
    frozen = sp.freeze(decoder)
    sp.save(tmp_path / "net.safetensors", frozen)
    for net in (frozen, sp.load(tmp_path / "net.safetensors")):
        same(decoder, net, codes)
        same(decoder, net, codes, counts)
        same(decoder, net, tensor(0, 3, 4, 8))
    coder = random(sp.models.Autoencoder(2, 4, 8, rng=0))
    for n in (0, 40):
        x = tensor(n, 2, 1, 16)
        with sp.no_grad():
            y, z = coder(x), sp.freeze(coder)(x)
        assert np.array_equal(y.code.numpy(), z.code.numpy()) and np.array_equal(rows(y.y), rows(z.y))
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(y.scores, z.scores, strict=True))
    with pytest.raises(TypeError, match="one argument, got 2; this network takes no more"):
        sp.freeze(sp.Sequential(sp.ReLU(), sp.NetworkInNetwork(2, 3, rng=0)))(np.ones((2, 2)), 3)


class Scaled(sp.Layer):
    """Multiply all rows by a number."""

    working_memory = sp.layers.WorkingMemory()

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x.with_features(x.features * self.factor)


class Halved(Scaled):
    """The same in code of its own, of whose memory nothing is known."""

    def __call__(self, x):
        return x.with_features(x.features * 0.5 * self.factor)


class Doubled(sp.Layer):
    """Put the channels side by side twice; give the input itself if `wrong`."""

    working_memory = sp.layers.WorkingMemory()

    def __init__(self, channels, wrong=False):
        self.channels_in, self.channels_out, self.wrong = channels, 2 * channels, wrong

    def __call__(self, x):
        return x if self.wrong else x.with_features(sp.functional.concatenate(x.features, x.features))


def own(*layers, c=4):
    return sp.Sequential(sp.SubmanifoldConvolution(3, 1, 4, rng=0), *layers, sp.ReLU(),
                         sp.SubmanifoldConvolution(3, c, 2, rng=1)).eval()


def test_a_layer_of_ones_own_that_tells_its_memory_is_planned():
    x = tensor(20_000, size=64)
    for net in (own(Scaled(3.0)), own(Doubled(4), c=8)):
        frozen = sp.freeze(net)
        assert len(frozen.parts) == 1 and frozen.layers
        same(net, frozen, x)
        told, took = peaks(frozen, x)
        assert took <= told <= 1.2 * took
    for net in (own(Halved(3.0)), own(sp.layers.SampleScale(sp.SubmanifoldConvolution(3, 4, 4), sp.GlobalPooling()))):
        with pytest.raises(TypeError, match="layers whose memory is known"):
            sp.freeze(net).memory(x)
    with pytest.raises(sp.errors.ShapeError, match="Doubled to give 8 channels at"):
        sp.freeze(own(Doubled(4, wrong=True), c=8))(x)
    kept = own(Scaled(1.0))
    kept.layers[1].__class__ = type("Same", (sp.Layer,), {
        "__call__": lambda self, x: x, "working_memory": sp.layers.WorkingMemory()})
    same(kept, sp.freeze(kept), x)


LAYERS = {  # layers that are called between the steps, and tell their memory
    "average": lambda: sp.AveragePooling(3, 2, 2), "sum": lambda: sp.layers.SumPooling(3, 2, 2), "tanh": sp.layers.Tanh,
    "unpool": lambda: sp.Sequential(sp.MaxPooling(3, 2, 2), sp.layers.UnPooling(3, 2, 2)),
    "prelu": lambda: sp.layers.PReLU(16), "elu": sp.layers.ELU, "selu": sp.layers.SELU, "silu": sp.layers.SiLU,
    "relu6": sp.layers.ReLU6, "hard swish": sp.layers.HardSwish, "hard sigmoid": sp.layers.HardSigmoid,
    "gelu": sp.layers.GELU, "sigmoid": sp.layers.Sigmoid, "softmax": sp.layers.Softmax,
    "groups": lambda: sp.layers.GroupNormalization(4, 16), "layer": lambda: sp.layers.LayerNormalization(16),
    "groups of samples": lambda: sp.layers.GroupNormalization(4, 16, over="sample"),
    "instances": lambda: sp.layers.InstanceNormalization(16),
    "excitation": lambda: sp.layers.SqueezeExcitation(16, 4, rng=0),
    "attention": lambda: sp.layers.EfficientChannelAttention(16, rng=0), "global": sp.GlobalPooling,
    "generalised": sp.layers.GeneralizedMeanPooling,
}


@each("name", LAYERS)
def test_no_layer_takes_more_than_it_tells(name):
    frozen = sp.freeze(sp.Sequential(sp.NetworkInNetwork(1, 16, rng=0), LAYERS[name]()).eval())
    assert len(frozen.parts) == 1
    with sp.no_grad():
        frozen(tensor(5, size=64))                                       # what the first call imports is not counted
    for n, samples in ((700, 2), (700, 5), (30_000, 2)):
        told, took = peaks(frozen, tensor(n, size=64, samples=samples))
        assert took <= told and (took < 2**20 or told <= 1.2 * took), (told, took)


def test_memory_is_told_for_a_row_for_each_point():
    net = sp.layers.ToPoints(sp.models.unet(2, 4, 1, 5, d=3, rng=0)).eval()
    points = np.random.default_rng(0).random((40_000, 3))
    frozen = sp.freeze(net)
    for cell in (0.05, 0.02):
        x, again = (sp.SparseTensor.from_points(points, np.ones((len(points), 1)), cell=cell, batch=0, ground=None)
                    for _ in range(2))
        told = frozen.memory(x)
        frozen.forget()
        sp.release_memory()
        finding, found = bench_memory.taken(lambda x=again: frozen.parts[0].rules.find(x.grid))
        took = max(finding, rules_bytes(found) + bench_memory.taken(lambda x=again: frozen(x))[0])
        assert took <= told <= 1.2 * took
        np.testing.assert_array_equal(rows(frozen(x, memory=told)), rows(net(x)))
        with pytest.raises(MemoryError):
            frozen(x, memory=told - 1)
    for wrong in (x.grid, sp.SparseTensor(x.features, x.grid), x.sites):
        with pytest.raises(TypeError, match="made of points, .*, got an? [^\\n]*; make it by"):
            frozen.memory(wrong)


def joined_net(c, wide, d=2):
    """Return a residual block with a shortcut, a product of each row after it, and a block that adds its input."""
    conv, rng = sp.SubmanifoldConvolution, np.random.default_rng(c)
    block = sp.Residual(conv(d, c, wide, rng=rng), sp.BatchNormalization(wide), sp.ReLU(), conv(d, wide, wide, rng=rng),
                        sp.BatchNormalization(wide),
                        shortcut=sp.Sequential(sp.NetworkInNetwork(c, wide, rng=rng), sp.BatchNormalization(wide)))
    return random(sp.Sequential(conv(d, 3, c, rng=rng), sp.ReLU(), block, sp.ReLU(),
                                sp.Residual(conv(d, wide, wide, rng=rng)), sp.NetworkInNetwork(wide, 20, rng=rng)))


@pytest.mark.parametrize("ground", [None, "zero", "above"])
@each("c, wide", [(3, 20), (96, 96), (200, 33)])
def test_products_of_rows_are_computed_with_the_convolution_beside_them(c, wide, ground, isa):
    net = joined_net(c, wide)
    frozen = sp.freeze(net)
    (program,) = frozen.parts
    assert len(program.steps) == 6 and [type(step).__name__ for step in program.jobs] == [
        "Convolve", "Convolve", "Joined", "Joined"]
    for n in (0, 1, 64, 65, 700, 5000):
        x = tensor(n, 2, 3, 200, None if ground is None else "zero")
        if ground == "above":
            x = x.with_features(x.features, sp.Tensor(np.full((1, 3), 0.7, np.float32)))
        with sp.no_grad():
            wanted = rows(net(x))
        for n_threads in (1, 2, 5):
            sp.set_threads(n_threads)
            np.testing.assert_array_equal(rows(frozen(x)), wanted)
        sp.set_threads(None)


def test_joined_steps_take_no_more_than_they_tell_and_less_than_alone(tmp_path):
    conv = sp.SubmanifoldConvolution
    plain, x = sp.Sequential(conv(3, 3, 64, rng=0), sp.NetworkInNetwork(64, 20, rng=0)).eval(), tensor(20_000, 3, 3, 64)
    for net, part in ((plain, 0.6), (joined_net(16, 64, 3), 1)):
        frozen = sp.freeze(net)
        told, took = peaks(frozen, x)
        (joined,) = frozen.parts
        alone = Program(joined.values, joined.steps, joined.rules.links, joined.output, join=False)
        assert took <= told <= 1.2 * took and told < part * alone.bytes(alone.rules.find(x.grid))
        np.testing.assert_array_equal(rows(alone(x)), rows(frozen(x)))
        sp.save(tmp_path / "net.safetensors", frozen)
        loaded = sp.load(tmp_path / "net.safetensors")
        assert len(loaded.parts[0].jobs) == len(joined.jobs) < len(alone.jobs) and loaded.memory(x) == told
        np.testing.assert_array_equal(rows(loaded(x)), rows(frozen(x)))
