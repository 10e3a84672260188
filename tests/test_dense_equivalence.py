"""The central claim: a sparse network equals the dense one, layer by layer, in values and in every gradient."""

import dense_net as dense
import dense_regions
import numpy as np
import pytest
from in_turn import each
from oracles import grouped, shape_taps, slope_by_differences, ungrouped
from scipy import signal
from strategies import random_sites

import spconv_cy as sp

TRIANGULAR, TETRAHEDRAL = sp.Lattice.simplex(2), sp.Lattice.simplex(3)
MARGIN = 1e-3  # pool winners and signs of units are at least this far apart
SAMPLES = 3  # the one in the middle is empty
NETWORKS = {
    "1-D, strides and both pools": lambda: [
        sp.Convolution(1, 2, 4, 3),
        sp.LeakyReLU(0.1),
        sp.MaxPooling(1, 2),
        sp.Convolution(1, 4, 3, 2, 2),
        sp.VeryLeakyReLU(),
        sp.AveragePooling(1, 3, 1),
        sp.Convolution(1, 3, 2, 3, bias=False),
    ],
    "2-D, a DeepCNiN": lambda: [
        sp.Convolution(2, 2, 3, 3),
        sp.VeryLeakyReLU(),
        sp.MaxPooling(2, 2),
        sp.NetworkInNetwork(3, 4),
        sp.VeryLeakyReLU(),
        sp.Convolution(2, 4, 4, 2),
        sp.VeryLeakyReLU(),
        sp.MaxPooling(2, 2),
        sp.Convolution(2, 4, 5, 2),
        sp.LeakyReLU(0.2),
    ],
    "2-D, ReLU and overlapping pools": lambda: [
        sp.Convolution(2, 2, 4, 2),
        sp.MaxPooling(2, 3, 2),
        sp.ReLU(),
        sp.Convolution(2, 4, 4, 3, 2, size_rule="floor"),
        sp.ReLU(),
    ],
    "2-D, padding, dilation, groups": lambda: [
        sp.Convolution(2, 2, 4, 3, dilation=2, padding=2),
        sp.LeakyReLU(0.3),
        sp.MaxPooling(2, 3, 2, padding=1, size_rule="floor"),
        sp.Convolution(2, 4, 6, 2, padding=1, groups=2),
        sp.AveragePooling(2, 2, padding=1, size_rule="floor"),
    ],
    "2-D, dilated pools": lambda: [
        sp.Convolution(2, 2, 4, 2),
        sp.LeakyReLU(0.3),
        sp.MaxPooling(2, 2, 1, dilation=(2, 3), padding=1),
        sp.AveragePooling(2, 3, 2, dilation=2, size_rule="floor"),
    ],
    "2-D, unequal axes": lambda: [
        sp.Convolution(2, 2, 3, (3, 2), (3, 1), padding=(0, 1)),
        sp.LeakyReLU(0.3),
        sp.MaxPooling(2, (1, 3), (1, 2), size_rule="floor"),
        sp.AveragePooling(2, (2, 1), 1),
    ],
    "2-D, submanifold with branches": lambda: [
        sp.SubmanifoldConvolution(2, 2, 4, bias=False),  # before a normalisation its gradient is zero
        sp.BatchNormalization(4),
        sp.LeakyReLU(0.1),
        sp.Residual(
            sp.SubmanifoldConvolution(2, 4, 4, 2), sp.VeryLeakyReLU(), sp.SubmanifoldConvolution(2, 4, 4, 3, dilation=2)
        ),
        sp.Residual(sp.SubmanifoldConvolution(2, 4, 3, bias=False), shortcut=sp.NetworkInNetwork(4, 3)),
        sp.Concatenate(sp.NetworkInNetwork(3, 2), sp.Sequential(sp.SubmanifoldConvolution(2, 3, 3), sp.LeakyReLU(0.1))),
        sp.MaxPooling(2, 2, size_rule="floor"),
    ],
    "3-D, strides": lambda: [
        sp.Convolution(3, 2, 3, 2),
        sp.VeryLeakyReLU(),
        sp.Convolution(3, 3, 4, 2, 2),
        sp.MaxPooling(3, 3),
        sp.NetworkInNetwork(4, 2),
    ],
    "3-D, average pooling and normalisation": lambda: [
        sp.SubmanifoldConvolution(3, 2, 3, bias=False),
        sp.BatchNormalization(3),
        sp.VeryLeakyReLU(),
        sp.AveragePooling(3, 3, 2),
        sp.Convolution(3, 3, 3, 2),
    ],
    "2-D, triangles": lambda: [
        sp.Convolution(TRIANGULAR, 2, 4, 3),
        sp.VeryLeakyReLU(),
        sp.MaxPooling(TRIANGULAR, 3, 2, size_rule="floor"),
        sp.Convolution(TRIANGULAR, 4, 4, 2, groups=2),
        sp.LeakyReLU(0.2),
        sp.AveragePooling(TRIANGULAR, 2, 1),
        sp.NetworkInNetwork(4, 2),
    ],
    "2-D, triangles with padding": lambda: [
        sp.Convolution(TRIANGULAR, 2, 4, 3, 2, padding=1, size_rule="floor"),
        sp.LeakyReLU(0.3),
        sp.MaxPooling(TRIANGULAR, 2, 1, padding=1),
        sp.Convolution(TRIANGULAR, 4, 3, 2, dilation=2, padding=1),
    ],
    "2-D, triangles, submanifold": lambda: [
        sp.SubmanifoldConvolution(TRIANGULAR, 2, 4, 3, shape="nearest"),
        sp.VeryLeakyReLU(),
        sp.SubmanifoldConvolution(TRIANGULAR, 4, 3, 2),
        sp.Convolution(TRIANGULAR, 3, 2, taps=[(0, 0), (0, 2), (2, 0)]),
    ],
    "2-D, cross, ball and taps": lambda: [
        sp.Convolution(2, 2, 4, 3, shape="cross"),
        sp.LeakyReLU(0.3),
        sp.MaxPooling(2, 4, 2, shape="ball"),
        sp.Convolution(2, 4, 4, taps=[(1, 0), (0, 1), (2, 2)], padding=1, groups=2),
        sp.AveragePooling(2, 3, 1, shape="cross"),
    ],
    "3-D, tetrahedra": lambda: [
        sp.Convolution(TETRAHEDRAL, 2, 3, 2),
        sp.VeryLeakyReLU(),
        sp.MaxPooling(TETRAHEDRAL, 3, 2, size_rule="floor"),
        sp.Convolution(TETRAHEDRAL, 3, 4, 2),
    ],
    "4-D": lambda: [
        sp.Convolution(4, 2, 3, 2),
        sp.VeryLeakyReLU(),
        sp.MaxPooling(4, 3),
        sp.Convolution(4, 3, 2, 2),
    ],
}
FIELDS = {1: 22, 2: 12, 3: 7, 4: 7}
HEADS = {
    f"{kind} over {over}": lambda kind=kind, over=over: [
        sp.Convolution(2, 2, 3, 3),
        sp.LeakyReLU(0.3),
        sp.GlobalPooling(kind, over=over),
        sp.NetworkInNetwork(3, 4),
    ]
    for kind in ("average", "sum", "max")
    for over in ("active", "field")
}


def mirror(layer, of_rows=False):
    """Build the dense counterpart of a layer of ours, with float64 copies of its weights; of_rows: for (b, c)."""
    window = getattr(layer, "window", None)
    truth = mirrored(layer, of_rows)
    return truth if window is None or window.lattice.is_cubic else dense.MaskedCorners(truth)


def chosen_taps(window):
    """Find the taps of a window by the definition of its shape; None: those of a cube."""
    simplex = not window.lattice.is_cubic
    if window.taps:
        return list(window.taps)
    return shape_taps(window.shape, window.size, simplex) if simplex or window.shape != "full" else None


def mirrored(layer, of_rows):
    """Build the dense counterpart of a layer on the cube around its field."""
    weights = [
        None if w is None else np.array(w.data, float)
        for w in (getattr(layer, name, None) for name in ("weight", "bias"))
    ]
    drawn = dense_regions.mirror(layer, weights)
    if drawn is not None:
        return drawn
    if isinstance(layer, sp.Convolution):
        window = layer.window
        keeps = isinstance(layer, sp.SubmanifoldConvolution)
        span = [g * (f - 1) for f, g in zip(window.size, window.dilation, strict=True)]
        high = tuple(s - o for s, o in zip(span, window.origin, strict=True)) if keeps else sloped(window)
        chosen = chosen_taps(window)
        shape = dict(stride=window.stride, dilation=window.dilation, low=window.origin, high=high, keeps_sites=keeps)
        return dense.Convolution(*weights, window.size, groups=layer.groups, chosen=chosen, **shape)
    if isinstance(layer, sp.NetworkInNetwork):
        return dense.Linear(*weights) if of_rows else dense.Convolution(*weights, 1)
    if isinstance(layer, sp.MaxPooling):
        w = layer.window
        zero = layer.background == "zero"
        return dense.MaxPooling(w.size, w.stride, low=w.origin, zero=zero, dilation=w.dilation, high=sloped(w),
                                chosen=chosen_taps(w))
    if isinstance(layer, sp.AveragePooling):
        w = layer.window
        return dense.AveragePooling(w.size, w.stride, low=w.origin, dilation=w.dilation, high=sloped(w),
                                    chosen=chosen_taps(w))
    if isinstance(layer, sp.LeakyReLU):
        return dense.LeakyReLU(layer.slope)
    if isinstance(layer, sp.BatchNormalization):
        return dense.BatchNormalization(*weights, layer.eps)
    if isinstance(layer, sp.GlobalPooling):
        return dense.GlobalPooling(layer.kind, layer.over == "field")
    if isinstance(layer, sp.Residual):
        shortcut = dense.Sequential() if layer.shortcut is None else mirror(layer.shortcut)
        return dense.Branches(mirror_all(layer.layers), shortcut, joined=False)
    if isinstance(layer, sp.Concatenate):
        return dense.Branches(*map(mirror, layer.branches), joined=True)
    return mirror_all(layer.layers)


def sloped(window):
    """Find the padding on the high side: on the simplex lattice what moves the slope away by the padding."""
    return tuple(pad * (1 if window.lattice.is_cubic else window.lattice.d) for pad in window.origin)


def mirror_all(layers):
    """Build the dense counterpart of layers one after another."""
    pooled = [any(isinstance(before, sp.GlobalPooling) for before in layers[:i]) for i in range(len(layers))]
    return dense.Sequential(*map(mirror, layers, pooled))


def leaves(layer):
    """List the layers of ours that are no containers, in the order of dense_net.leaves."""
    if isinstance(layer, sp.Residual):
        inner = [*layer.layers, *([layer.shortcut] if layer.shortcut else [])]
    else:
        inner = getattr(layer, "layers", None) or getattr(layer, "branches", None)
    return [layer] if inner is None else [leaf for part in inner for leaf in leaves(part)]


def lattice_of(layers, d):
    """Find the lattice that the layers are made for."""
    return next((layer.window.lattice for layer in layers if hasattr(layer, "window")), sp.Lattice.cubic(d))


def draw(rng, layers, d, family, share):
    """Draw weights and an input until pool winners and signs of units are apart; return the dense network and input."""
    size, lattice = (FIELDS[d],) * d, lattice_of(layers, d)
    for _ in range(300):
        for parameter in (p for layer in layers for p in layer.parameters()):
            scale = np.sqrt(1.5 / np.prod(parameter.data.shape[:-1]))
            parameter.data[...] = rng.normal(0, scale, parameter.data.shape).astype(np.float32)
        sites = random_sites(rng, max(2, int(share * np.prod(size))), d, 0, size[0], samples=2)
        sites[:, 0] *= 2
        if not lattice.is_cubic:
            sites = sites[sites[:, 1:].sum(axis=1) < size[0]]
        features = rng.normal(size=(len(sites), 2)).astype(np.float32).astype(float)
        ground = {"drawn": rng.normal(size=2).astype(np.float32).astype(float), "zero": np.zeros(2)}.get(family)
        mask = np.zeros((SAMPLES, *size), bool)
        mask[tuple(sites.T)] = True
        field = np.zeros((SAMPLES, 2, *size)) + dense.over(ground, 2, d)
        np.moveaxis(field, 1, -1)[tuple(sites.T)] = features
        network = mirror_all(layers)
        network.input = field
        network.forward(field, mask, ground)
        if network.margin >= MARGIN:
            return network, (sites, features, ground, mask, size)
    raise AssertionError("no draw kept its margin: make the network or the field smaller")


def close(found, expected, ops, what):
    """Compare one array: to 1e-10 on the reference, to 1e-5 of its largest on the cpu."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    largest = np.abs(expected).max(initial=0)
    limit = 1e-10 * (1 + largest) if ops == "reference" else 1e-5 * largest
    worst = np.abs(found - expected).max(initial=0)
    assert worst <= limit, f"{what}: {worst:.2e} apart, {limit:.2e} allowed"


def held(y):
    """Tell which places of a tensor's dense form are sites."""
    return True if y.grid.lattice.is_cubic else dense.in_simplex(y.grid.size)


def check_network(rng, ops, make, d, family, share=0.12):
    """Compare a network with its dense counterpart: sites, values and ground after each layer, then all gradients."""
    layers = make()
    network, (sites, features, ground, mask, size) = draw(rng, layers, d, family, share)
    given = sp.SparseTensor.from_sites(sites, features, size, SAMPLES, ground=None if family is None else "zero",
                                       lattice=lattice_of(layers, d))
    order = np.argsort(given.point_rows)
    leaf = sp.Tensor(features[order], requires_grad=True)
    ground_leaf = sp.Tensor(ground[None], requires_grad=True) if family == "drawn" else given.ground
    y = sp.SparseTensor(leaf, given.grid, ground_leaf)
    for number, (layer, (field, active, state)) in enumerate(zip(layers, network.outputs, strict=True)):
        y, what = layer(y), f"layer {number}, {layer}"
        if isinstance(y, sp.Tensor):
            close(y.data, field, ops, what)
            continue
        assert np.array_equal(y.sites, np.argwhere(active)), f"{what}: other active sites"
        close(y.to_dense(), np.where(held(y), field, 0), ops, what)
        assert (y.ground is None) == (state is None)
        if state is not None:
            close(y.ground.data, state[None], ops, f"{what}, ground")
    loss = y if isinstance(y, sp.Tensor) else sp.SparseToDense(y.grid.lattice)(y)
    dy = rng.normal(size=loss.shape).astype(np.float32).astype(float)
    dy = dy if isinstance(y, sp.Tensor) else np.where(held(y), dy, 0)
    loss.backward(dy)
    dfield, dground = network.backward(dy, np.zeros(field.shape[1] if state is None else len(state)))
    close(leaf.grad, np.moveaxis(dfield, 1, -1)[tuple(given.sites.T)], ops, "gradient of the features")
    if family == "drawn":
        inactive = dense.total(np.where(mask[:, None], 0, dfield))
        close(ground_leaf.grad, (dground + inactive)[None], ops, "gradient of the ground")
    ours = [leaf for layer in layers for leaf in leaves(layer)]
    for layer, truth in zip(ours, dense.leaves(network), strict=True):
        for name, expected in truth.gradients.items():
            found = getattr(layer, name).grad
            close(found.reshape(expected.shape), expected, ops, f"gradient of {layer}.{name}")


@pytest.mark.parametrize("family", ["drawn", "zero", None])
@each("name", NETWORKS)
def test_a_sparse_network_equals_the_dense_one_in_values_and_gradients(name, family, rng, ops):
    check_network(rng, ops, NETWORKS[name], int(name[0]), family)


@pytest.mark.parametrize("share", [0.02, 0.5, 2.0], ids=["almost empty", "half", "full"])
def test_equality_does_not_depend_on_how_many_sites_are_active(share, rng, ops):
    check_network(rng, ops, NETWORKS["2-D, a DeepCNiN"], 2, "drawn", share)


@each("family", ["drawn", None])
@each("name", HEADS)
def test_global_pooling_equals_the_dense_reduction(name, family, rng, ops):
    check_network(rng, ops, HEADS[name], 2, family)


def test_pooling_over_a_zero_background_equals_the_dense_maximum_with_zero(rng, ops):
    check_network(rng, ops, lambda: [sp.NetworkInNetwork(2, 3), sp.MaxPooling(2, 2, background="zero")], 2, None)


def test_every_network_is_as_exact_on_every_instruction_set(isa, rng):
    for name in ("2-D, a DeepCNiN", "2-D, padding, dilation, groups", "3-D, strides"):
        with sp.use("cpu"):
            check_network(rng, "cpu", NETWORKS[name], int(name[0]), "drawn")


# The truth itself


@pytest.mark.parametrize("d, size, stride, dilation", [(1, 3, 2, 1), (2, 3, 1, 1), (2, 2, 1, 3), (3, 2, 2, 2)])
def test_the_dense_convolution_is_scipys_correlation(d, size, stride, dilation, rng):
    w, bias = rng.normal(size=(size**d, 2, 3)), rng.normal(size=(1, 3))
    field, ground = rng.normal(size=(2, 2) + (8,) * d), rng.normal(size=2)
    y, _, _ = dense.Convolution(w, bias, size, stride=stride, dilation=dilation).forward(field, field[:, 0] > 0, ground)
    spread = np.zeros((dilation * (size - 1) + 1,) * d + (2, 3))
    spread[(slice(None, None, dilation),) * d] = w.reshape(*[size] * d, 2, 3)
    for b, o in np.ndindex(2, 3):
        full = sum(signal.correlate(field[b, c], spread[..., c, o], "valid", "direct") for c in range(2)) + bias[0, o]
        assert np.allclose(y[b, o], full[(slice(None, None, stride),) * d], rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", ["drawn", None])
@each("name", [*NETWORKS, *HEADS])
def test_the_dense_gradients_are_those_of_finite_differences(name, family, rng):
    make = {**NETWORKS, **HEADS}[name]
    d = int(name[0]) if name in NETWORKS else 2
    with sp.use("reference"):
        network, (_, _, ground, mask, _) = draw(rng, make(), d, family, 0.12)
    active, weights = mask[:, None], {}

    def loss(values, row):
        field, _, state = network.forward(np.where(active, values, dense.over(row, 2, d)), mask, row)
        if not weights:
            weights.update(field=rng.normal(size=field.shape), ground=rng.normal(size=field.shape[1]))
        return (field * weights["field"]).sum() + (0 if state is None else (state * weights["ground"]).sum())

    features = network.input
    loss(features, ground)
    dfield, dground = network.backward(weights["field"], weights["ground"] * (name in NETWORKS))
    checks = [(features, np.where(active, dfield, 0), lambda values: loss(values, ground))]
    if ground is not None:
        checks.append((ground, dground + dense.total(np.where(active, 0, dfield)), lambda row: loss(features, row)))
    for leaf, key in [(one, key) for one in dense.leaves(network) for key in one.gradients]:
        kept, gradient = getattr(leaf, key), leaf.gradients[key]
        start = grouped(kept, getattr(leaf, "groups", 1)) if kept.ndim == 3 else kept

        def moved(array, leaf=leaf, key=key, kept=kept):
            setattr(leaf, key, ungrouped(array) if array.ndim > 2 else array)
            value = loss(features, ground)
            setattr(leaf, key, kept)
            return value

        checks.append((start, gradient.reshape(start.shape), moved))
    for array, gradient, function in checks:
        direction = rng.normal(size=array.shape)
        slope = slope_by_differences(function, array, direction)
        assert np.isclose((gradient * direction).sum(), slope, rtol=1e-6, atol=1e-6)
