"""SparseConvNet's builders: published parameters and field sizes of its example nets, forward, backward, files."""

import numpy as np
import pytest
from in_turn import each
from public import NAMES
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.initial import zero_weights

DRAWN = 10**8


def activated(channels):
    """List batch normalisation and ReLU."""
    return [sp.BatchNormalization(channels), sp.ReLU()]


def reading(trunk, channels, size, classes, d=2):
    """Put SparseConvNet's head for characters on a trunk: a convolution to one site, a linear layer."""
    layer = sp.Convolution(d, channels[0], channels[1], *size, bias=False)
    return [*trunk, layer, *activated(channels[1]), sp.SparseToDense(d, flat=True),
            sp.NetworkInNetwork(channels[1], classes)]


def residual(first, blocks, channels_in):
    """List the stem and the trunk of an example ResNet."""
    stem = [sp.SubmanifoldConvolution(2, channels_in, first, bias=False), sp.MaxPooling(2, 3, 2, background="zero")]
    return [*stem, *sp.models.resnet(blocks, first)]


CHINESE = [16, 16, "MP", 32, 32, "MP", 48, 48, "MP", 64, 64, "MP", 96, 96]
PLUS = [(16, 8), (16, 8), "MP", (32, 8), (32, 8), "MP", (48, 16), (48, 16), "MP", (64, 16), (64, 16), "MP", (96, 16),
        (96, 16)]
EXAMPLES = {  # what makes the layers; field, site of the output, parameters
    "hello world": (
        lambda: [*sp.models.vgg([8, 8, "MP", 16, 16, "MP", 24, 24, "MP"]), sp.SubmanifoldConvolution(2, 24, 32,
                                                                                                     bias=False),
                 *activated(32), sp.SparseToDense(2)], 87, 10, 19_912),
    "Assamese VGG+": (
        lambda: reading(sp.models.vgg([8, 8, "MP", 16, 16, "MP", (16, 8), (16, 8), "MP", (24, 8), (24, 8), "MP"], 3),
                        (32, 64), (5,), 183), 95, 1, 97_295),
    "Assamese ResNet": (
        lambda: reading(residual(8, [(8, 2, 1), (16, 2, 2), (24, 2, 2), (32, 2, 2)], 3), (32, 64), (5,), 183),
        95, 1, 139_551),
    "Chinese VGG-C": (lambda: reading(sp.models.vgg(CHINESE, 3), (96, 128), (3, 2), 3755), 63, 1, 850_139),
    "Chinese VGG-C+": (lambda: reading(sp.models.vgg(PLUS, 3), (112, 128), (3, 2), 3755), 63, 1, 1_033_715),
    "Chinese ResNet": (
        lambda: reading(residual(16, [(16, 2, 1), (32, 2, 2), (48, 2, 2), (96, 2, 2)], 3), (96, 128), (3, 1), 3755),
        63, 1, 1_064_955),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_net_has_the_published_field_and_parameters(name, rng):
    make, field, out_size, parameters = EXAMPLES[name]
    with zero_weights(DRAWN):
        net = sp.Sequential(*make())
    assert net.input_size(out_size) == (field, field) and net.n_parameters() == parameters
    channels_in = 1 if name == "hello world" else 3
    x = sp.SparseTensor.from_sites(random_sites(rng, 60, 2, 0, field), np.ones((60, channels_in)), field, ground=None)
    assert net.eval()(x).shape == ((1, 32, 10, 10) if out_size == 10 else (1, net[-1].channels_out))


def test_a_plus_block_with_three_branches_has_the_listed_weights():
    a, b, c = 2, 3, 4
    listed = [(9, 1, 5), (9, 1, a), (9, a, a), (9, a, a),
              *[(9, 1, b), (9, b, b)], *[(9, b, b)] * 5,
              *[(9, 1, c), (9, c, c)], *[(9, c, c)] * 4, *[(9, c, c)] * 5]
    found = [p.shape for p in sp.models.vgg([(5, a, b, c)], rng=0).parameters() if len(p.shape) == 3]
    assert found == listed


@pytest.mark.parametrize("options, base, core", [({}, 8, 3_456), ({"residual": True}, 8, 6_384),
                                                 ({}, [8, 16], 3_456)])
def test_the_fully_convolutional_network_has_the_published_parameters(options, base, core):
    with zero_weights(DRAWN):
        net = sp.models.fully_convolutional(2, base, 3, 20, d=2, **options)
    assert net.n_parameters() == 9 * 3 * 8 + core + 2 * 24 + 24 * 20 + 20


@pytest.mark.parametrize("levels, filters, d", [(5, 16, 3), (3, 4, 2)])
def test_the_u_resnet_has_the_parameters_of_its_list(levels, filters, d):
    volume, widths = 3**d, [filters * i for i in range(1, levels + 1)]

    def block(a, b):
        return 2 * a + volume * a * b + 2 * b + volume * b * b + (a * b if a != b else 0)

    expected = volume * filters + 2 * filters + filters * 5 + 5 + 2 * block(widths[-1], widths[-1])
    for a, b in zip(widths[:-1], widths[1:], strict=True):
        expected += 2 * block(a, a) + 2 * a + 2**d * a * b + 2 * b + 2**d * b * a + block(2 * a, a) + block(a, a)
    with zero_weights(DRAWN):
        assert sp.models.uresnet(filters=filters, levels=levels, d=d).n_parameters() == expected


NETS = {
    "vgg": lambda: sp.models.vgg([2, "MP", (2, 1), ("C3/2", 3), (2, 1, 1, 1), ("MP", 3, 1), "C3/2"], 2, rng=0),
    "resnet": lambda: sp.models.resnet([(2, 2, 1), (3, 1, 1), (4, 2, 2)], 2, rng=0),
    "unet": lambda: sp.models.unet(2, [2, 3], 2, 4, d=2, downsample=(3, 2), rng=0),
    "fully convolutional": lambda: sp.models.fully_convolutional(3, 2, 2, 4, d=2, reps=2, downsample=(3, 2), rng=0),
    "u-resnet": lambda: sp.models.uresnet(2, 4, filters=2, levels=2, d=2, rng=0),
}


@each("name", NETS)
def test_every_weight_learns_and_a_file_and_the_repr_bring_the_net_back(name, rng, tmp_path, ops):
    net = NETS[name]()
    field = 64 if name == "u-resnet" else 63
    sites = random_sites(rng, 400, 2, 0, 40, samples=2)
    x = sp.SparseTensor.from_sites(sites, rng.normal(size=(400, 2)), field, 3, ground=None)
    y = net(x)
    y.features.backward(rng.normal(size=y.features.shape))
    assert all(np.abs(p.grad).max() > 0 for p in net.parameters())
    if name in ("unet", "fully convolutional", "u-resnet"):
        assert y.grid is x.grid and y.channels == 4
    sp.save(tmp_path / "net.safetensors", net)
    again = sp.load(tmp_path / "net.safetensors").eval()
    assert repr(again) == repr(net) == repr(eval(repr(net), dict(NAMES)))
    assert np.array_equal(again(x).features.numpy(), net.eval()(x).features.numpy())
    summary = net.summary(x)
    assert summary.parameters == net.n_parameters()
    assert 0 < summary.pair_multiply_adds <= summary.multiply_adds < summary.dense_multiply_adds


def test_an_empty_batch_and_an_empty_sample_pass(ops):
    for name, make in NETS.items():
        field = 64 if name == "u-resnet" else 63
        x = sp.SparseTensor.from_sites(np.zeros((0, 3), np.int32), np.zeros((0, 2)), field, 2, ground=None)
        assert make()(x).features.shape[0] == 0


def test_pooling_takes_the_maximum_over_zero_too():
    x = sp.SparseTensor.from_sites([[0, 1, 1], [0, 4, 4]], [[-1.0], [2.0]], 7, ground=None)
    assert sp.models.vgg(["MP"])(x).features.data[:, 0].tolist() == [0, 2, 2, 2, 2]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"vgg: expected layers to be a list, got 8"):
        sp.models.vgg(8)
    with pytest.raises(ShapeError, match=r"unet: expected downsample to be \(size, stride\), got 2"):
        sp.models.unet(2, 8, downsample=2)
    for entry in ("SP", ("MP", 3), (1, 2, 3, 4, 5), ("C3/2", 1, 2), 2.5):
        with pytest.raises(ShapeError, match=r"vgg: expected each entry to be such as .*, got"):
            sp.models.vgg([8, entry])
    with pytest.raises(ShapeError, match=r"resnet: expected each block to be \(channels, repeats, stride\), got 8"):
        sp.models.resnet([8], 1)
    with pytest.raises(ShapeError, match=r"resnet: expected repeats to be a whole number from 1"):
        sp.models.resnet([(8, 0, 1)], 1)
    with pytest.raises(ShapeError, match=r"unet: expected base to be .*, got levels=3 and 2 channels"):
        sp.models.unet(3, [8, 16])
    with pytest.raises(ShapeError, match=r"fully_convolutional: expected reps to be a whole number from 1"):
        sp.models.fully_convolutional(2, 8, reps=0)
