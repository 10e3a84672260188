"""Networks of MinkowskiEngine, torchsparse, Pointcept and OpenPCDet: shapes of their weights, sites, values.

The lists here are written from the layer lists of the peers, level by level, and know nothing of how ours are made.
A published total: 8.8 million for MinkUNet42 at width 0.64, in torchsparse's model zoo (MinkUNet@46GMACs).
"""

from itertools import accumulate

import numpy as np
import pytest
from in_turn import each
from oracles import conv, window_pairs
from public import NAMES
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.errors import ShapeError
from spconv_cy.functional.initial import zero_weights

DRAWN = 10**9


def made(build, *arguments, **options):
    """Build a network whose weights are zeros, at once."""
    with zero_weights(DRAWN):
        return build(*arguments, **options)


def convolution(name, volume, a, b, *, bias=False):
    """List (name, shape) of a convolution with its batch normalisation."""
    return [(name, (volume, a, b)), *([(f"{name}.bias", (1, b))] if bias else []), (f"{name}.bn.weight", (1, b)),
            (f"{name}.bn.bias", (1, b))]


def block(name, a, b, *, bias=False):
    """List (name, shape) of a basic block in three dimensions."""
    listed = convolution(f"{name}.conv1", 27, a, b, bias=bias) + convolution(f"{name}.conv2", 27, b, b, bias=bias)
    return listed + (convolution(f"{name}.downsample", 1, a, b) if a != b else [])


def chain(name, a, b, n):
    """List (name, shape) of n basic blocks."""
    return [row for i in range(n) for row in block(f"{name}.{i}", a if i == 0 else b, b)]


def u_net(stem, planes, layers, classes, widens_first):
    """List (name, shape) of a residual U-Net in the order of the forward pass; `stem` is listed already."""
    p, n, listed, width = planes, layers, list(stem), stem[-1][1][1]
    skips = [width]
    for i in range(4):
        wide = p[i] if widens_first else width
        listed += convolution(f"down{i}", 8, width, wide) + chain(f"encoder{i}", wide, p[i], n[i])
        width = p[i]
        skips.append(width)
    for i in range(4, 8):
        listed += convolution(f"up{i}", 8, width, p[i]) + chain(f"decoder{i}", p[i] + skips[7 - i], p[i], n[i])
        width = p[i]
    return [*listed, ("final", (1, width, classes)), ("final.bias", (1, classes))]


UP = {"A14": (128, 128, 96, 96), "B": (128, 128, 128, 128), "C14": (192, 192, 128, 128), "D": (384,) * 4,
      "A34": (256, 128, 64, 64), "B34": (256, 128, 64, 32), "C34": (256, 128, 96, 96)}
DOWN = (32, 64, 128, 256)
TWO, DEEP = (2,) * 8, (2, 3, 4, 6, 2, 2, 2, 2)
MINK = {  # variant: blocks a level, channels up
    "14A": ((1,) * 8, UP["A14"]), "14B": ((1,) * 8, UP["B"]), "14C": ((1,) * 8, UP["C14"]), "14D": ((1,) * 8, UP["D"]),
    "18A": (TWO, UP["A14"]), "18B": (TWO, UP["B"]), "18D": (TWO, UP["D"]),
    "34A": (DEEP, UP["A34"]), "34B": (DEEP, UP["B34"]), "34C": (DEEP, UP["C34"]),
}


def check_weights(net, listed):
    """The weights of a network have the listed shapes, in this order, and their numbers add up."""
    found = [p.shape for p in net.parameters()]
    wrong = [(name, shape, mine) for (name, shape), mine in zip(listed, found, strict=False) if shape != mine]
    assert not wrong[:3] and len(found) == len(listed)
    assert net.n_parameters() == sum(int(np.prod(shape)) for _, shape in listed)


def check_normalisation(net, eps, momentum):
    """All batch normalisations of a network have these options."""
    layers = [net]
    for layer in layers:
        layers += layer.children()
    options = {(layer.eps, layer.momentum) for layer in layers if isinstance(layer, sp.BatchNormalization)}
    assert options == {(eps, momentum)}


@each("variant, width", [*((variant, 0.25) for variant in MINK), ("34C", 1)])
def test_a_minkunet_has_the_weights_of_the_peer(variant, width):
    repeats, up = MINK[variant]
    net, planes = made(sp.models.minkunet, variant, 3, 20, width=width), [int(n * width) for n in DOWN + up]
    check_weights(net, u_net(convolution("conv0p1s1", 125, 3, int(32 * width)), planes, repeats, 20, False))
    check_normalisation(net, 1e-5, 0.9)


@pytest.mark.parametrize("width, millions", [(1.0, None), (0.64, 8.8)])
def test_minkunet_42_has_the_weights_of_torchsparse(width, millions):
    net = made(sp.models.minkunet, 42, 4, 19, width=width)
    planes = [int(width * n) for n in (*DOWN, 256, 128, 96, 96)]
    first = int(width * 32)
    stem = convolution("stem.0", 27, 4, first) + convolution("stem.3", 27, first, first)
    check_weights(net, u_net(stem, planes, (2,) * 8, 19, False))
    assert millions is None or round(net.n_parameters() / 1e6, 1) == millions


def test_spunet_has_the_weights_of_pointcept():
    net = made(sp.models.spunet, 6, 20)
    repeats, up = MINK["34C"]
    check_weights(net, u_net(convolution("conv_input.0", 125, 6, 32), DOWN + up, repeats, 20, True))
    check_normalisation(net, 1e-3, 0.99)


SECOND = [*convolution("conv_input.0", 27, 4, 16), *convolution("conv1.0.0", 27, 16, 16),
          *convolution("conv2.0.0", 27, 16, 32), *convolution("conv2.1.0", 27, 32, 32),
          *convolution("conv2.2.0", 27, 32, 32), *convolution("conv3.0.0", 27, 32, 64),
          *convolution("conv3.1.0", 27, 64, 64), *convolution("conv3.2.0", 27, 64, 64),
          *convolution("conv4.0.0", 27, 64, 64), *convolution("conv4.1.0", 27, 64, 64),
          *convolution("conv4.2.0", 27, 64, 64), *convolution("conv_out.0", 3, 64, 128)]


def residual_levels(widths):
    """List (name, shape) of the levels of residual encoders with these channels, the first without a stride."""
    listed = convolution("conv_input.0", 27, 5, widths[0])
    for i, width in enumerate(widths):
        below = widths[max(0, i - 1)]
        listed += convolution(f"conv{i + 1}.0.0", 27, below, width) if i else []
        listed += [row for j in range(2) for row in block(f"conv{i + 1}.{j + bool(i)}", width, width, bias=True)]
    return listed


def test_the_encoders_of_detectors_have_the_weights_of_openpcdet():
    check_weights(made(sp.models.voxel_backbone_8x), SECOND)
    check_normalisation(made(sp.models.voxel_backbone_8x), 1e-3, 0.99)
    check_weights(made(sp.models.voxel_backbone_8x, 5, residual=True),
                  residual_levels((16, 32, 64, 128)) + convolution("conv_out.0", 3, 128, 128))
    check_weights(made(sp.models.voxelnext), residual_levels((16, 32, 64, 128, 128, 128))
                  + convolution("conv_out.0", 9, 128, 128) + convolution("shared_conv.0", 9, 128, 128, bias=True))


# Sites and sizes


def reached(sites, size, kernel, stride, padding):
    """Give the sites and the field of spconv's strided convolution: o * stride - padding + tap is active."""
    out = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
    return window_pairs(sites, kernel, stride, (1, 1, 1), padding, size_out=out)[0], out


def scene(rng, n, channels, size=(41, 64, 48), samples=2):
    """Draw voxels, of which some samples have none."""
    sites = np.stack([rng.integers(0, m, n) for m in (samples, *size)], 1)
    sites = np.unique(sites, axis=0)
    return bare(sites, rng.normal(size=(len(sites), channels)), size, samples + 1)


def bare(*arguments):
    """Make a tensor without a ground state."""
    return sp.SparseTensor.from_sites(*arguments, ground=None)


@pytest.mark.parametrize("residual", [False, True])
def test_each_level_of_seconds_encoder_has_the_sites_and_the_field_of_spconv(residual, rng):
    net = made(sp.models.voxel_backbone_8x, 5, residual=residual).eval()
    x = scene(rng, 80, 5)
    outputs = list(accumulate(net, lambda y, level: level(y), initial=x))[1:]
    sites, size = [tuple(site) for site in x.sites.tolist()], x.grid.size
    cube, halved = (3, 3, 3), (2, 2, 2)
    windows = [(cube, halved, (1, 1, 1))] * 2 + [(cube, halved, (0, 1, 1)), ((3, 1, 1), (2, 1, 1), (0, 0, 0))]
    assert outputs[0].grid is x.grid
    for y, window in zip(outputs[1:], windows, strict=True):
        sites, size = reached(sites, size, *window)
        assert [tuple(site) for site in y.sites.tolist()] == sites and y.grid.size == size
    assert [y.channels for y in outputs] == [16, 32, 64, 128 if residual else 64, 128]


def test_the_field_of_kitti_becomes_two_layers_of_200_by_176():
    sites, field = [[0, 20, 800, 700], [0, 40, 1599, 1407]], (41, 1600, 1408)
    x = sp.SparseTensor.from_sites(sites, np.ones((2, 4)), field, ground=None)
    outputs = list(accumulate(made(sp.models.voxel_backbone_8x).eval(), lambda y, level: level(y), initial=x))
    assert [y.grid.size for y in outputs[1:]] == [field, (21, 800, 704), (11, 400, 352), (5, 200, 176), (2, 200, 176)]


def test_seconds_dense_output_is_the_sparse_one_painted(rng):
    net, x = sp.models.voxel_backbone_8x(5, dense=True, rng=0).eval(), scene(rng, 60, 5)
    dense, sparse = net(x).numpy(), sp.Sequential(*net[:-1])(x)
    assert dense.shape == (3, 128, 2, 8, 6) and np.array_equal(dense, sparse.to_dense()) and dense.any()


def test_voxelnext_merges_three_scales_in_the_plane(rng):
    net, x = sp.models.voxelnext(2, widths=(2, 3, 4, 5, 5), channels_out=4, rng=0).eval(), scene(rng, 90, 2)
    fourth = sp.Sequential(*net[:4])(x)
    fifth = net[4].levels[0](fourth)
    sixth = net[4].levels[1](fifth)
    expected = {}
    for y, factor in ((fourth, 1), (fifth, 2), (sixth, 4)):
        for (b, _, *yx), row in zip(y.sites.tolist(), y.features.numpy(), strict=True):
            key = (b, *(factor * v for v in yx))
            expected[key] = expected.get(key, 0) + row
    plane = net[5](net[4](fourth))
    assert [tuple(site) for site in plane.sites.tolist()] == sorted(expected)
    np.testing.assert_allclose(plane.features.numpy(), [expected[site] for site in sorted(expected)], atol=1e-5)
    spread, _ = window_pairs(plane.sites, (3, 3), (1, 1), (1, 1), (1, 1), size_out=plane.grid.size)
    assert [tuple(site) for site in net(x).sites.tolist()] == spread


# Values: a residual U by loops over pairs


def brute_force(net, x, stem, repeats, planes, eps):
    """Compute a residual U-Net by loops, taking the weights in the order of net.parameters()."""
    weights, d = iter(np.asarray(p.numpy(), float) for p in net.parameters()), x.grid.d

    def normalised(rows):
        rows = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + eps)
        return rows * next(weights) + next(weights)

    def convolved(rows, sites, size, stride=1):
        window = (size,) * d, (stride,) * d, (1,) * d, (size // 2 if stride == 1 else 0,) * d
        outs, pairs = window_pairs(sites, *window, keeps_sites=stride == 1)
        at, to = {s: i for i, s in enumerate(sites)}, {s: i for i, s in enumerate(outs)}
        found = [(k, at[a], to[b]) for k, a, b in pairs]
        return conv(rows, next(weights), found, len(outs)), outs, found

    def block(rows, sites, widens):
        y = np.maximum(normalised(convolved(rows, sites, 3)[0]), 0)
        y = normalised(convolved(y, sites, 3)[0])
        return np.maximum(y + (normalised(rows @ next(weights)[0]) if widens else rows), 0)

    def level(rows, sites, depth):
        if depth == len(repeats) // 2:
            return rows
        y, coarse, pairs = convolved(rows, sites, 2, 2)
        y = np.maximum(normalised(y), 0)
        for _ in range(repeats[depth]):
            y = block(y, coarse, y.shape[1] != planes[depth])
        y = level(y, coarse, depth + 1)
        y = np.maximum(normalised(conv(y, next(weights), [(k, b, a) for k, a, b in pairs], len(sites))), 0)
        y = np.hstack([y, rows])
        for _ in range(repeats[-1 - depth]):
            y = block(y, sites, y.shape[1] != planes[-1 - depth])
        return y

    rows, sites = np.asarray(x.features.numpy(), float), [tuple(site) for site in x.sites.tolist()]
    for size in stem:
        rows = np.maximum(normalised(convolved(rows, sites, size)[0]), 0)
    return level(rows, sites, 0) @ next(weights)[0] + next(weights)


@pytest.fixture
def x(rng, ops):
    """Two samples of 40 sites in an unbounded plane, negative ones among them."""
    sites = random_sites(rng, 40, 2, -9, 9, samples=2)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(40, 3)), ground=None, samples=2)


SMALL = {  # what makes it; sizes of the stem, blocks, planes, eps
    "14A": (lambda: sp.models.minkunet("14A", 3, 5, d=2, width=1 / 16, rng=0), (5,),
            (1,) * 8, (2, 4, 8, 16, 8, 8, 6, 6), 1e-5),
    "42": (lambda: sp.models.minkunet(42, 3, 5, d=2, width=1 / 16, rng=0), (3, 3),
           (2,) * 8, (2, 4, 8, 16, 16, 8, 6, 6), 1e-5),
    "spunet": (lambda: sp.models.spunet(3, 5, base=3, channels=(4, 5, 6, 3), repeats=(2, 1, 1, 2), d=2, rng=0), (5,),
               (2, 1, 1, 2), (4, 5, 6, 3), 1e-3),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_residual_u_equals_loops_over_pairs(name, x, rng, ops):
    make, *rest = SMALL[name]
    net = make()
    for p in net.parameters():
        p.data += 0.1 * rng.standard_normal(p.shape).astype(p.dtype)
    y, expected = net(x), brute_force(net, x, *rest)
    assert y.grid is x.grid and y.features.shape == (40, 5)
    tolerance = 1e-8 if ops == "reference" else 1e-3
    np.testing.assert_allclose(y.features.numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max())


SCENES = {
    "voxel_backbone_8x": (lambda: sp.models.voxel_backbone_8x(2, rng=0), 2),
    "voxel_backbone_8x, residual": (lambda: sp.models.voxel_backbone_8x(2, residual=True, rng=0), 2),
    "voxelnext": (lambda: sp.models.voxelnext(2, widths=(2, 3, 4, 5, 5), channels_out=4, rng=0), 2),
    "spunet": (lambda: sp.models.spunet(2, 3, base=2, channels=(3, 4, 4, 3), repeats=(1, 1, 1, 1), rng=0), 2),
    "minkunet": (lambda: sp.models.minkunet("14A", 2, 3, width=1 / 16, rng=0), 2),
}


@pytest.mark.parametrize("name", SCENES)
def test_every_weight_learns_and_a_file_and_the_repr_bring_the_net_back(name, rng, tmp_path):
    make, channels = SCENES[name]
    net, x = make(), scene(rng, 200, channels)
    y = net(x)
    y.features.backward(rng.normal(size=y.features.shape))
    # But for the biases that batch normalisation takes away again.
    assert all(np.abs(p.grad).max() > 1e-6 for p in net.parameters() if p.data.ndim == 3)
    sp.save(tmp_path / "net.safetensors", net)
    again = sp.load(tmp_path / "net.safetensors").eval()
    assert repr(again) == repr(net) == repr(eval(repr(net), dict(NAMES)))
    assert np.array_equal(again(x).features.numpy(), net.eval()(x).features.numpy())
    summary = net.summary(x)
    assert summary.parameters == net.n_parameters()
    assert 0 < summary.pair_multiply_adds <= summary.multiply_adds < summary.dense_multiply_adds


@pytest.mark.parametrize("name", SCENES)
def test_a_batch_gives_each_scene_what_it_gets_alone_and_an_empty_one_nothing(name, rng):
    make, channels = SCENES[name]
    net, x = make().eval(), scene(rng, 60, channels)
    y = net(x)
    assert y.grid.samples == 3 and y.grid.batch_starts[2] == y.grid.n
    for i in range(2):
        mine = x.sites[:, 0] == i
        alone = net(bare(x.sites[mine] * [0, 1, 1, 1], x.features.data[mine], x.grid.size, 1))
        rows = slice(*y.grid.batch_starts[i:i + 2])
        assert np.array_equal(alone.sites[:, 1:], y.sites[rows, 1:])
        np.testing.assert_allclose(alone.features.data, y.features.data[rows], rtol=1e-4, atol=1e-5)
    nothing = net(bare(np.zeros((0, 4), np.int32), np.zeros((0, channels)), x.grid.size, 2))
    assert nothing.grid.n == 0 and nothing.grid.samples == 2


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"minkunet: expected variant to be one of 14A, .*42, got 34"):
        sp.models.minkunet(34, 3, 20)
    with pytest.raises(ShapeError, match=r"minkunet: expected width to be a factor from 1/32 to .*, got 0.01"):
        sp.models.minkunet(42, 3, 20, width=0.01)
    with pytest.raises(ShapeError, match=r"spunet: expected as many .*, got 8 channels and 2 repeats"):
        sp.models.spunet(3, 20, repeats=(1, 1))
    with pytest.raises(ShapeError, match=r"spunet: .*repeats\[0\] to be a whole number from 1"):
        sp.models.spunet(3, 20, channels=(4, 4), repeats=(0, 1))
    with pytest.raises(ShapeError, match=r"voxelnext: expected widths to be five numbers.*, got \(16, 32\)"):
        sp.models.voxelnext(widths=(16, 32))
    with pytest.raises(ShapeError, match=r"voxel_backbone_8x: expected channels_in to be a whole number from 1"):
        sp.models.voxel_backbone_8x(0)
    x = sp.SparseTensor.from_sites([[0, 1, 1, 1]], [[1.0]])
    with pytest.raises(ShapeError, match=r"Deconvolution: .*ground=None"):
        sp.models.spunet(1, 2, base=2, channels=(2, 2), repeats=(1, 1), rng=0)(x)
