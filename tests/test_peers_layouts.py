"""Layouts of weights: each library's convolution by its own definition, in loops, against ours after `convert`."""

import itertools
import tracemalloc

import numpy as np
import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.io.matching import is_same
from spconv_cy.io.peers.layout import reversed_axes

C, O = 3, 6


def orders(size):
    """Return {source: (taps in the library's order, function from (k, c, o) in that order to its array)}."""
    lines = [range(n) for n in size]
    last_fastest = list(itertools.product(*lines))
    first_fastest = [tap[::-1] for tap in itertools.product(*lines[::-1])]
    odd = np.prod(size) % 2
    return {
        "spconv2": (last_fastest, lambda w: np.moveaxis(w.reshape(*size, C, O), -1, 0)),
        "spconv1": (last_fastest, lambda w: w.reshape(*size, C, O)),
        "paddle": (last_fastest, lambda w: w.reshape(*size, C, O)),
        "sparseconvnet": (last_fastest, lambda w: w[:, None]),
        "minkowski": (first_fastest, lambda w: w),
        "torchsparse": (first_fastest if odd else last_fastest, lambda w: w),
        "fvdb": (last_fastest, lambda w: np.moveaxis(w.reshape(*size, C, O), (-1, -2), (0, 1))),
        "warpconvnet": (last_fastest, lambda w: w),
    }


LEAF = {"minkowski": "kernel", "torchsparse": "kernel"}


def definition(sites, rows, taps, weights, offset, size):
    """Sum rows[i] @ weights[t] over the sites i = o + tap - offset, at the sites themselves."""
    at = {tuple(site): i for i, site in enumerate(sites.tolist())}
    y = np.zeros((len(sites), weights.shape[2]))
    for o, (b, *site) in enumerate(sites.tolist()):
        for tap, w in zip(taps, weights, strict=True):
            i = at.get((b, *(s + t - m for s, t, m in zip(site, tap, offset, strict=True))))
            y[o] += 0 if i is None else rows[i].astype(float) @ w
    return y


@each("source", list(orders((1,))))
@each("size", [(3, 3), (5, 3, 3), (3, 1, 5), (2, 3), (2, 2, 2), (4,)])
def test_a_convolution_by_the_definition_of_the_library(source, size, rng):
    taps, shaped = orders(size)[source]
    weights = rng.normal(size=(len(taps), C, O)).astype(np.float32)
    d = len(size)
    sites = np.unique(np.insert(rng.integers(0, 6, (40, d)), 0, rng.integers(0, 2, 40), axis=1), axis=0)
    rows = rng.normal(size=(len(sites), C)).astype(np.float32)
    # SparseConvNet's even windows reach one site further on the low side; MinkowskiEngine's begin at the site itself.
    offset = [n // 2 if source in ("spconv2", "sparseconvnet") or n % 2 else 0 for n in size]
    net = (sp.SubmanifoldConvolution(d, C, O, size, bias=False) if offset == [n // 2 for n in size] else
           sp.Convolution(d, C, O, size, padding=offset, bias=False, sites="valid"))
    array = shaped(weights)
    state = {f"conv.{LEAF.get(source, 'weight')}": array}
    net, _ = sp.io.convert(state, net, source)
    x = sp.SparseTensor.from_sites(sites, rows, ground=None, samples=2)
    y = net(x) if isinstance(net, sp.SubmanifoldConvolution) else net(x, x.grid)
    want = definition(sites, rows, taps, weights, offset, size)
    assert np.abs(y.features.numpy() - want).max() <= 2e-6 * np.abs(want).max()
    back = sp.io.to_peer(net, source, names={"conv": ""})
    assert {name: np.array_equal(back[name], state[name]) for name in back} == dict.fromkeys(state, True)


def test_a_cross_of_minkowski_has_its_centre_first(rng):
    w = rng.normal(size=(9, C, O)).astype(np.float32)
    steps = [(0, 0), (1, 0), (2, 0), (-2, 0), (-1, 0), (0, 1), (0, 2), (0, -2), (0, -1)]
    net, _ = sp.io.convert({"conv.kernel": w}, sp.SubmanifoldConvolution(2, C, O, 5, shape="cross", bias=False),
                           "minkowski")
    sites = np.unique(np.insert(rng.integers(0, 6, (20, 2)), 0, 0, axis=1), axis=0)
    rows = rng.normal(size=(len(sites), C)).astype(np.float32)
    y = net(sp.SparseTensor.from_sites(sites, rows, ground=None)).features.numpy()
    np.testing.assert_allclose(y, definition(sites, rows, steps, w, (0, 0), (5, 5)), rtol=1e-5, atol=1e-5)
    assert np.array_equal(sp.io.to_peer(net, "minkowski", names={"conv": ""})["conv.kernel"], w)


@each("size", [(3, 3), (2, 2, 2), (3, 1, 5)])
def test_a_channelwise_convolution_of_minkowski_has_a_row_of_taps_for_each_channel(size, rng):
    d, taps = len(size), [tap[::-1] for tap in itertools.product(*map(range, size[::-1]))]
    w = rng.normal(size=(len(taps), C)).astype(np.float32)
    offset = [n // 2 if n % 2 else 0 for n in size]
    net, _ = sp.io.convert({"conv.kernel": w}, sp.Convolution(d, C, C, size, padding=offset, groups=C, bias=False,
                                                              sites="valid"), "minkowski")
    sites = np.unique(np.insert(rng.integers(0, 6, (40, d)), 0, 0, axis=1), axis=0)
    rows = rng.normal(size=(len(sites), C)).astype(np.float32)
    x = sp.SparseTensor.from_sites(sites, rows, ground=None, samples=1)
    want = definition(sites, rows, taps, np.stack([np.diag(row) for row in w]), offset, size)
    np.testing.assert_allclose(net(x, x.grid).features.numpy(), want, rtol=1e-5, atol=1e-5)
    assert np.array_equal(sp.io.to_peer(net, "minkowski", names={"conv": ""})["conv.kernel"], w)
    with pytest.raises(ShapeError, match="conv.kernel: expected a weight of MinkowskiEngine"):
        sp.io.convert({"conv.kernel": np.ones((len(taps), C, C), np.float32)}, net, "minkowski")


ONE = np.arange(C * O, dtype=np.float32)
MATRIX = ONE.reshape(C, O)
SIZE_ONE = {  # source, array, one_by_one: what (c, o) is
    "spconv 2, its own layers": ("spconv2", "weight", ONE.reshape(O, 1, 1, 1, C), "raw", ONE.reshape(C, O)),
    "spconv 2, look-alikes": ("spconv2", "weight", ONE.reshape(O, 1, 1, 1, C), "krsc", ONE.reshape(O, C).T),
    "spconv 2, native": ("spconv2", "weight", ONE.reshape(1, 1, 1, O, C), "raw", ONE.reshape(C, O)),
    "spconv 1": ("spconv1", "weight", MATRIX.reshape(1, 1, 1, C, O), None, MATRIX),
    "torch's linear": ("spconv2", "weight", MATRIX.T, None, MATRIX),
    "minkowski": ("minkowski", "kernel", MATRIX, None, MATRIX),
    "minkowski, with a stride": ("minkowski", "kernel", MATRIX[None], None, MATRIX),
    "minkowski's linear": ("minkowski", "linear.weight", MATRIX.T, None, MATRIX),
    "torchsparse": ("torchsparse", "kernel", MATRIX, None, MATRIX),
    "sparseconvnet": ("sparseconvnet", "weight", MATRIX, None, MATRIX),
    "sparseconvnet, torch's linear": ("sparseconvnet", "weight", MATRIX.T, None, MATRIX),
    "sparseconvnet, old": ("sparseconvnet", "weight", MATRIX[None], None, MATRIX),
    "paddle's linear": ("paddle", "weight", MATRIX, None, MATRIX),
    "fvdb": ("fvdb", "weight", MATRIX.T, None, MATRIX),
}


@each("name", SIZE_ONE)
def test_a_weight_of_size_one(name):
    source, leaf, array, reading, want = SIZE_ONE[name]
    for layer in (sp.NetworkInNetwork(C, O, bias=False), sp.SubmanifoldConvolution(3, C, O, 1, bias=False)):
        net, _ = sp.io.convert({f"a.{leaf}": array}, layer, source, one_by_one=reading)
        assert np.array_equal(net.weight.numpy()[0], want)


def test_what_can_be_read_in_two_ways_is_refused_with_the_switch_that_decides():
    one, layer = {"a.weight": ONE.reshape(O, 1, 1, 1, C)}, sp.NetworkInNetwork(C, O, bias=False)
    before = layer.weight.numpy().copy()
    with pytest.raises(ShapeError, match=r"convert: a.weight: expected an array that can be read in one way .*, got "
                                         r"shape \(6, 1, 1, 1, 3\), .* 'krsc' or 'raw'; give one_by_one=: 'krsc' for "
                                         r"others, such as Custom1x1Subm3d, 'raw' for the layers of size 1 of spconv"):
        sp.io.convert(one, layer)
    assert np.array_equal(layer.weight.numpy(), before)
    assert np.array_equal(sp.io.convert(one, layer, one_by_one={"a": "raw"})[0].weight.numpy()[0], MATRIX)
    cube = {"a.weight": np.arange(243, dtype=np.float32).reshape(3, 3, 3, 3, 3)}
    with pytest.raises(ShapeError, match="'krsc' or 'rskc'; give layout=: 'krsc', 'rskc'"):
        sp.io.convert(cube, sp.SubmanifoldConvolution(3, 3, 3, bias=False))
    for layout, axes in (("krsc", (1, 2, 3, 4, 0)), ("rskc", (0, 1, 2, 4, 3))):
        net, _ = sp.io.convert(cube, sp.SubmanifoldConvolution(3, 3, 3, bias=False), layout=layout)
        assert np.array_equal(net.weight.numpy(), cube["a.weight"].transpose(axes).reshape(27, 3, 3))
    with pytest.raises(ShapeError, match="'matrix' for a NetworkInNetwork, 'linear' for a torch.nn.Linear"):
        square = {"a.weight": np.arange(9.0).reshape(3, 3)}
        sp.io.convert(square, sp.NetworkInNetwork(3, 3, bias=False), "sparseconvnet")
    with pytest.raises(ShapeError, match="to_peer: a: expected one way to write a weight of size 1, got two; give one"):
        sp.io.to_peer(sp.NetworkInNetwork(C, O, rng=0), names={"a": ""})


def test_a_strided_layer_of_size_one_has_no_second_reading():
    net, _ = sp.io.convert({"weight": ONE.reshape(O, 1, 1, 1, C)},
                           sp.Convolution(3, C, O, 1, 2, bias=False, size_rule="floor"))
    assert np.array_equal(net.weight.numpy()[0], ONE.reshape(O, C).T)


def test_groups_of_sparseconvnet_and_warpconvnet(rng):
    net = sp.SubmanifoldConvolution(2, 4, 6, groups=2, bias=False)
    for source in ("sparseconvnet", "warpconvnet"):
        w = rng.normal(size=(9, 2, 2, 3)).astype(np.float32)
        sp.io.convert({"conv.weight": w}, net, source)
        assert np.array_equal(net.weight.numpy(), w)
        assert np.array_equal(sp.io.to_peer(net, source, names={"conv": ""})["conv.weight"], w)
    for source in ("spconv2", "spconv1", "minkowski", "torchsparse", "fvdb", "paddle"):
        with pytest.raises(ShapeError, match="groups"):
            sp.io.to_peer(net, source)


def test_dense_convolutions_of_a_detectors_head(rng):
    """torch.nn.Conv2d and ConvTranspose2d by their definitions in loops, on a full grid."""
    image, w = rng.normal(size=(C, 5, 6)).astype(np.float32), rng.normal(size=(O, C, 3, 3)).astype(np.float32)
    sites = np.array(list(np.ndindex(1, 5, 6)))
    x = sp.SparseTensor.from_sites(sites, image.reshape(C, -1).T, (5, 6), ground=None)
    for layer, stride in ((sp.SubmanifoldConvolution(2, C, O, bias=False), 1),
                          (sp.Convolution(2, C, O, 3, 2, padding=1, size_rule="floor", bias=False), 2)):
        net, report = sp.io.convert({"a.weight": w}, layer, layout="kcrs")   # without it 3 x 3 x 3 is read as krsc
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        ends = range(0, 5, stride), range(0, 6, stride)
        want = [[np.einsum("cij,ocij->o", padded[:, i:i + 3, j:j + 3], w) for j in ends[1]] for i in ends[0]]
        np.testing.assert_allclose(net(x).to_dense()[0], np.moveaxis(want, -1, 0), rtol=1e-4, atol=1e-5)
        assert [match.how for match in report] == ["kcrs"]
    w = rng.normal(size=(C, O, 2, 2)).astype(np.float32)
    net, report = sp.io.convert({"a.weight": w}, sp.layers.TransposedConvolution(2, C, O, 2, 2, bias=False))
    want = np.einsum("cyx,coij->oyixj", image, w).reshape(O, 10, 12)
    np.testing.assert_allclose(net(x).to_dense()[0], want, rtol=1e-4, atol=1e-5)
    assert [match.how for match in report] == ["ckrs"]
    one, square = sp.NetworkInNetwork(C, O, bias=False), np.arange(9.0).reshape(3, 3, 1, 1)
    for shape, part in (((O, C, 1, 1), ONE.reshape(O, C).T), ((C, O, 1, 1), MATRIX)):
        assert np.array_equal(sp.io.convert({"a.weight": ONE.reshape(shape)}, one)[0].weight.numpy()[0], part)
    with pytest.raises(ShapeError, match="'kcrs' for a torch.nn.Conv2d, 'ckrs' for a torch.nn.ConvTranspose2d"):
        sp.io.convert({"a.weight": square}, sp.NetworkInNetwork(3, 3, bias=False))
    for source in ("spconv2", "fvdb"):
        net, _ = sp.io.convert({"a.weight": square}, sp.NetworkInNetwork(3, 3, bias=False), source, one_by_one="ckrs")
        assert np.array_equal(net.weight.numpy()[0], square[..., 0, 0])


def test_an_array_is_compared_with_its_view_tap_by_tap():
    array = np.random.default_rng(0).normal(size=(27, 64, 64)).astype(np.float32)
    box = array.reshape(3, 3, 3, 64, 64)
    assert is_same(array, array) and is_same(array, box) and is_same(array, box.copy())
    assert is_same(box[0, 0], array[:3]) and not is_same(array, array[::-1])
    tracemalloc.start()
    try:
        assert not is_same(array, reversed_axes(box))
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 20
    finally:
        tracemalloc.stop()
