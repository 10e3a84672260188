"""Published numbers: parameters, sizes, active sites and multiply-adds, through the library's own layers."""

import numpy as np
import oracles
import pytest
from budget import widest
from in_turn import each
from public import NAMES

import spconv_cy as sp
from spconv_cy.errors import ShapeError

LENET = {  # layer: field, channels, parameters, multiply-adds
    "6C5": (28, 6, 156, 117_600),
    "MP2": (14, 6, 0, 0),
    "16C5": (10, 16, 2_416, 240_000),
    "MP2 again": (5, 16, 0, 0),
    "120C5": (1, 120, 48_120, 48_000),
    "10C1": (1, 10, 1_210, 1_200),
}
FIELDS = {
    3: [24, 22, 11, 10, 5, 4, 2, 1],
    4: [48, 46, 23, 22, 11, 10, 5, 4, 2, 1],
    5: [96, 94, 47, 46, 23, 22, 11, 10, 5, 4, 2, 1],
    6: [192, 190, 95, 94, 47, 46, 23, 22, 11, 10, 5, 4, 2, 1],
    7: [384, 382, 191, 190, 95, 94, 47, 46, 23, 22, 11, 10, 5, 4, 2, 1],
}
DEEPCNETS = [  # l, k, channels in, classes, parameters, of each layer
    (3, 30, 1, 183, 94_713, [300, 7_260, 21_690, 43_320, 22_143]),
    (4, 30, 1, 183, 172_353, [300, 7_260, 21_690, 43_320, 72_150, 27_633]),
    (5, 30, 1, 183, 286_023, [300, 7_260, 21_690, 43_320, 72_150, 108_180, 33_123]),
    (6, 30, 1, 183, 442_923, [300, 7_260, 21_690, 43_320, 72_150, 108_180, 151_410, 38_613]),
    (7, 30, 1, 183, 650_253, [300, 7_260, 21_690, 43_320, 72_150, 108_180, 151_410, 201_840, 44_103]),
    (6, 30, 7, 183, 444_543, [1_920]),
    (5, 100, 1, 10, 2_809_010, [1_000, 80_200, 240_300, 480_400, 800_500, 1_200_600, 6_010]),
    (5, 100, 3, 10, 2_810_810, []),
    (6, 100, 1, 3755, 7_115_955, []),
    (6, 100, 7, 3755, 7_121_355, []),
    (6, 100, 8, 3755, 7_122_255, []),
    (6, 50, 7, 183, 1_188_783, []),
    (4, 30, 7, 10, 147_850, []),
    (4, 32, 8, 10, 168_234, []),
]
DEEPCNINS = [
    (5, 100, 3, 10, 3_722_910),
    (5, 300, 3, 10, 33_428_710),
    (5, 300, 3, 100, 33_590_800),
    (6, 100, 8, 3755, 8_525_055),
]
CIRCLE = [142, 426, 140, 210, 72, 108, 40, 60, 21, 16, 4, 1]
SQUARE = [1024, 1156, 289, 324, 81, 100, 25, 36, 9, 16, 4, 1]


def drawn(sites, field, channels=1, samples=1):
    """Make a tensor of ones at sites (n, 2), the same in each sample."""
    sites = np.concatenate([np.column_stack([np.full(len(sites), i), sites]) for i in range(samples)])
    return sp.SparseTensor.from_sites(sites, np.ones((len(sites), channels)), field, samples=samples)


def square():
    """List the sites of a filled 32 x 32 picture in the middle of a field of 96."""
    return np.argwhere(np.ones((32, 32))) + 32


def windowed(net):
    """Return a network's convolutions and poolings alone."""
    return [layer for layer in net.layers if hasattr(layer, "window")]


def test_the_lenet_has_the_published_sizes_parameters_and_multiply_adds(rng):
    net = sp.models.lenet5(rng=0)
    assert net.n_parameters() == 51_902 and net.input_size() == (32, 32)
    x = sp.SparseTensor.from_dense(rng.normal(size=(1, 1, 32, 32)))
    summary = net.summary(x)
    counted = [row for row in summary if row.parameters or row.name.startswith("MP")]
    for row, (field, channels, parameters, multiply_adds) in zip(counted, LENET.values(), strict=True):
        assert (row.sites, row.channels, row.parameters) == (field**2, channels, parameters)
        assert row.multiply_adds == row.dense_multiply_adds == multiply_adds
    assert (summary.parameters, summary.multiply_adds, summary.dense_multiply_adds) == (51_902, 406_800, 406_800)
    assert net(x).shape == (1, 10)


def test_a_multi_layer_perceptron_has_the_published_parameters(rng):
    assert sp.models.mlp((2, 3, 4, 5, 6), rng=0).n_parameters() == 86
    net = sp.models.mlp((784, 800, 800, 10), rng=0)
    assert net.n_parameters() == 1_276_810 and net(rng.normal(size=(3, 784))).shape == (3, 10)
    assert isinstance(net[-1], sp.NetworkInNetwork)  # no activation before the softmax
    assert net.summary(sp.Tensor(np.ones((5, 784)))).multiply_adds == 5 * (784 * 800 + 800 * 800 + 800 * 10)
    with pytest.raises(ShapeError, match="widths"):
        sp.models.mlp((3,))


@pytest.mark.parametrize("l", FIELDS)
def test_a_deepcnet_has_the_published_fields(l):
    net = sp.models.deepcnet(l, 1, rng=0)
    assert net.input_size() == (3 * 2**l,) * 2
    size, sizes = net.input_size(), [3 * 2**l]
    for layer in windowed(net):
        size = layer.window.out_size(size)
        sizes.append(size[0])
    assert sizes == FIELDS[l]
    assert sp.models.deepcnin(l, 1, rng=0).input_size() == net.input_size()


@each("l, k, channels_in, classes, parameters, each", DEEPCNETS)
def test_a_deepcnet_has_the_published_parameters(l, k, channels_in, classes, parameters, each):
    net = sp.models.deepcnet(l, k, channels_in, classes, rng=0)
    counts = [layer.n_parameters() for layer in net.layers if layer.parameters()]
    assert net.n_parameters() == sum(counts) == parameters
    assert counts[: len(each)] == each and len(counts) == l + 2


@pytest.mark.parametrize("l, k, channels_in, classes, parameters", DEEPCNINS)
def test_a_deepcnin_has_the_published_parameters(l, k, channels_in, classes, parameters):
    assert sp.models.deepcnin(l, k, channels_in, classes, rng=0).n_parameters() == parameters


def test_a_deepcnin_has_the_published_layers():
    net = sp.models.deepcnin(5, 3, rng=0)
    assert net.spec() == (
        "3C3-MP2-3C1-6C2-MP2-6C1-9C2-MP2-9C1-12C2-MP2-12C1-15C2-MP2-15C1-18C2-18C1-GP-10C1-linear"
    )
    assert sp.models.deepcnet(2, 4, d=3, rng=0).input_size() == (12, 12, 12)
    for wrong in ((0, 3), (2, 0), (1.5, 3)):
        with pytest.raises(ShapeError, match="a whole number from 1"):
            sp.models.deepcnet(*wrong)


@pytest.mark.parametrize("sites, expected", [(oracles.circle(36, 96), CIRCLE), (square(), SQUARE)], ids=len)
def test_the_published_active_sites_come_out_layer_by_layer(sites, expected):
    for samples in (1, 3):
        x, found = drawn(sites, 96, samples=samples), []
        for layer in windowed(sp.models.deepcnet(5, 2, rng=0)):
            found.append(x.grid.n)
            x = layer(x)
        assert [*found, x.grid.n] == [samples * n for n in expected]
    assert x.grid.size == (1, 1)


@pytest.mark.parametrize(
    "middle, expected",
    [
        (126, [142, 426, 175, 245, 101, 137, 54, 71, 32, 25, 4, 1]),
        (127, [144, 432, 180, 252, 100, 136, 52, 69, 32, 25, 4, 1]),
    ],
)
def test_overlapping_pools_leave_the_published_active_sites(middle, expected):
    net = sp.models.from_spec("2C3-MP3/2" + 4 * "-2C2-MP3/2" + "-2C2", rng=0)  # the DeepCNet of 2015
    assert net.input_size() == (127, 127)
    x, found = drawn(oracles.circle(36, middle), 127), []
    for layer in windowed(net):
        found.append(x.grid.n)
        x = layer(x)
    assert [*found, x.grid.n] == expected and x.grid.size == (1, 1)


@pytest.mark.parametrize(
    "diameter, active", [(8, 30), (16, 62), (18, 70), (32, 126), (64, 254), (128, 510), (256, 1022)]
)
def test_a_circle_has_four_diameters_less_two_sites_and_grows_by_three(diameter, active):
    field = 3 * diameter
    x = drawn(oracles.circle(diameter, field), field)
    assert x.grid.n == active == 4 * diameter - 2
    assert sp.Convolution(2, 1, 1, 3, rng=0)(x).grid.n == 3 * active


@pytest.mark.parametrize(
    "k, channels_in, classes, sites, sparse, dense",
    [
        (100, 1, 10, oracles.circle(36, 96), 85_909_400, 355_398_400),
        (30, 1, 183, oracles.circle(36, 96), 7_844_760, 33_688_260),
        (100, 3, 10, square(), 84_327_200, 371_303_200),
    ],
)
def test_the_published_multiply_adds_come_out_of_the_summary(k, channels_in, classes, sites, sparse, dense):
    net = sp.models.deepcnet(5, k, channels_in, classes, rng=0)
    summary = net.summary(drawn(sites, 96, channels_in))
    assert (summary.multiply_adds, summary.dense_multiply_adds) == (sparse, dense)
    by_pairs = sum(row.pair_multiply_adds for row in summary)
    assert summary.pair_multiply_adds == by_pairs < sparse
    assert summary.parameters == net.n_parameters()
    assert net.training  # as it was


def test_a_summary_prints_a_line_a_layer_and_counts_samples():
    net = sp.models.deepcnet(5, 100, rng=0)
    one, two = (net.summary(drawn(oracles.circle(36, 96), 96, samples=n)) for n in (1, 2))
    assert two.multiply_adds == 2 * one.multiply_adds and two.dense_multiply_adds == 2 * one.dense_multiply_adds
    lines = str(one).splitlines()
    assert len(lines) == 1 + len(one) + 1
    rows = {row.name: row for row in one}
    assert (rows["input"].rows, rows["100C3"].rows, rows["100C3"].size) == (142, 426, (94, 94))
    assert [row.multiply_adds for row in one if row.multiply_adds] == [
        383_400, 16_800_000, 25_920_000, 28_800_000, 12_800_000, 1_200_000, 6_000,
    ]  # fmt: skip
    for cell in ("94x94", "426", "8,836", "100C3", "85,909,400", "355,398,400", "2,809,010"):
        assert cell in str(one), cell
    unbounded = sp.Sequential(sp.SubmanifoldConvolution(2, 1, 4, rng=0)).summary(
        sp.SparseTensor.from_sites([[0, -3, 5]], [[1.0]])
    )
    assert unbounded.dense_multiply_adds is None and "unbounded" in str(unbounded)


# The notation, both ways


@pytest.mark.parametrize(
    "text, shown",
    [
        ("8C3-MP2-16C2-output", "8C3-MP2-16C2-GP-10C1-linear"),
        ("8C3 – MP2 – 16C2 – softmax", "8C3-MP2-16C2-GP-10C1-linear"),
        ("8C3/2-ReLU-MP3/2-16C2-linear-AP2-32C1-GP-10C1-linear", None),
        ("8C3-BN-ReLU-D0.5-16SC3-LReLU0.2-4SC2-linear-MP2", None),
        ("8C3-LReLU1e-05-D0.25-GP", None),
        ("8SC3-VLReLU-MP2", "8SC3-MP2"),
        ("GP", None),
    ],
)
def test_the_notation_is_read_and_written_both_ways(text, shown):
    net = sp.models.from_spec(text, 3, classes=10, rng=0)
    assert net.spec() == (text if shown is None else shown)
    again = sp.models.from_spec(net.spec(), 3, rng=0)
    assert repr(again) == repr(net) and again.spec() == net.spec()
    assert all(np.array_equal(again.state()[name], array) for name, array in net.state().items())


@pytest.mark.parametrize("make", [sp.models.lenet5, lambda **o: sp.models.deepcnet(4, 6, **o),
                                  lambda **o: sp.models.deepcnin(3, 5, **o)])
def test_a_network_by_name_is_the_one_that_its_notation_gives(make):
    net = make(rng=3)
    again = sp.models.from_spec(net.spec(), rng=3)
    assert again.spec() == net.spec() and list(again.state()) == list(net.state())
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in net.layers]
    assert all(np.array_equal(again.state()[name], array) for name, array in net.state().items())
    x = sp.SparseTensor.from_sites([[0, 5, 5], [0, 6, 5], [1, 9, 9]], np.ones((3, 1)), net.input_size(), 2)
    assert np.array_equal(again.eval()(x).data, net.eval()(x).data)


def test_a_network_that_the_notation_has_no_word_for_prints_as_python():
    net = sp.Sequential(sp.Convolution(2, 1, 2, (3, 2), rng=0), sp.Residual(sp.SubmanifoldConvolution(2, 2, 2, rng=0)))
    assert "Residual(" in net.spec() and repr(eval(repr(net), dict(NAMES))) == repr(net)
    with pytest.raises(ShapeError, match="expected words such as"):
        sp.models.from_spec(net.spec())


@pytest.mark.parametrize(
    "text, says",
    [
        ("8C3-XP2-16C2", "word 2 .*'XP2'"),
        ("8C3-MP", "whole number.*'MP'"),
        ("C3", "number of channels.*'C3'"),
        ("8C2.5", "whole number.*'8C2.5'"),
        ("8C3-output", "classes="),
        ("8C3--MP2x", "'MP2x'"),
    ],
)
def test_a_word_that_is_not_known_is_named_with_its_place(text, says):
    with pytest.raises(ShapeError, match=says):
        sp.models.from_spec(text)


# On lattices: DeepC2


@pytest.mark.parametrize("d, l, cubic, simplex", [
    (2, 5, 297_170, 225_458), (2, 6, 471_026, 356_306), (3, 5, 584_018, 297_170), (3, 6, 929_906, 471_026),
    (4, 5, 1_157_714, 368_882), (4, 6, 1_847_666, 585_746),
])
def test_deepc2_has_the_published_parameters_and_field(d, l, cubic, simplex):
    for lattice, parameters in ((sp.Lattice.cubic(d), cubic), (sp.Lattice.simplex(d), simplex)):
        net = sp.models.deepc2(l, 32, 1, 50, d=lattice, rng=0)
        assert net.n_parameters() == parameters and net.input_size() == (2 ** (l + 2) - 2,) * d


@pytest.mark.parametrize("family", ["zero", None])
def test_an_item_that_loses_all_its_sites_gets_the_prediction_of_the_ground_state(family, ops, rng):
    lattice = sp.Lattice.simplex(4)
    net = sp.models.deepc2(4, 3, 2, 5, d=lattice, rng=0)
    sites = [[0, 12, 12, 12, 12], [2, 20, 0, 3, 1]]                     # no window of the last levels sees the first
    values, field = [[1.0, -2.0], [3.0, 1.0]], net.input_size()
    for bias in (p for p in net.parameters() if p.data.ndim == 2):
        bias.data[...] = rng.normal(size=bias.shape)
    x = sp.SparseTensor.from_sites(sites, values, field, 3, ground=family, lattice=lattice)
    row, before = np.zeros((1, 2)), x
    for layer in net.layers:
        before = layer(before) if isinstance(before, sp.SparseTensor) else before
        if isinstance(layer, (sp.Convolution, sp.NetworkInNetwork)) and (family or layer is net.layers[-1]):
            row = row @ layer.weight.numpy().astype(float).sum(0) + layer.bias.numpy()
        elif isinstance(layer, sp.VeryLeakyReLU):
            row = np.where(row >= 0, row, row / 3)
        elif family is None and isinstance(layer, sp.Convolution):
            row = np.zeros((1, layer.channels_out))                      # no ground state: zero before every layer
    y = net(x)
    np.testing.assert_allclose(y.numpy()[[0, 1]], np.repeat(row, 2, 0), rtol=1e-5, atol=1e-6)
    assert not np.allclose(y.numpy()[2], row, rtol=1e-3)
    sp.softmax_cross_entropy(y, np.array([0, 1, 2])).backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("d", [2, 5])
def test_a_deepcnet_of_small_first_windows_has_a_field_of_one_site_less(d):
    for l in (3, 4):
        net = sp.models.deepcnet(l, 4, 3, 7, d=d, first=2, rng=0)
        assert net.input_size() == (3 * 2**l - 1,) * d
        widths = [3, *(4 * (i + 1) for i in range(l + 1))]
        layers = sum((2**d * a + 1) * b for a, b in zip(widths[:-1], widths[1:], strict=True))
        assert net.n_parameters() == layers + (widths[-1] + 1) * 7


def test_the_widest_network_of_a_budget_is_just_not_above_it():
    def build(k):
        return sp.models.deepcnet(3, k, d=3, rng=0)

    net = widest(build, 30_000)
    k = net[0].channels_out
    assert net.n_parameters() == build(k).n_parameters() <= 30_000 < build(k + 1).n_parameters()
    assert widest(build, 1).n_parameters() == build(1).n_parameters()
    with pytest.raises(ShapeError, match="parameters to be a whole number from 1"):
        widest(build, 0)
