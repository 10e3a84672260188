"""Networks that describe places: from MinkowskiEngine's names and arrays, against loops by the published code."""

import numpy as np
import pytest
from naive_peers import State, add, cat, relu, same_values, table
from test_peers_networks import seeded

import spconv_cy as sp
from spconv_cy.errors import ShapeError


def scan(rng, channels, n=60, side=9, d=3, low=-3):
    """Return (SparseTensor, {site: row}) of two random scans."""
    sites = np.unique(np.insert(rng.integers(low, low + side, (n, d)), 0, rng.integers(0, 2, n), axis=1), axis=0)
    rows = rng.normal(size=(len(sites), channels)).astype(np.float32)
    return sp.SparseTensor.from_sites(sites, rows, samples=2, ground=None), table(sites, rows)


def norm(name, c):
    """List the arrays of a MinkowskiBatchNorm."""
    return {f"{name}.bn.{leaf}": (c,) for leaf in ("weight", "bias", "running_mean", "running_var")} | {
        f"{name}.bn.num_batches_tracked": ()}


def block(name, a, b, eca=0):
    """List the arrays of a BasicBlock, of an ECABasicBlock if `eca` is the size of its filter."""
    listed = {f"{name}.conv1.kernel": (27, a, b)} | norm(f"{name}.norm1", b)
    listed |= {f"{name}.conv2.kernel": (27, b, b)} | norm(f"{name}.norm2", b)
    if a != b:
        listed |= {f"{name}.downsample.0.kernel": (a, b)} | norm(f"{name}.downsample.1", b)
    return listed | ({f"{name}.eca.conv.weight": (1, 1, eca)} if eca else {})


def basic_block(net, x, name):
    """Apply a BasicBlock or an ECABasicBlock."""
    y = relu(net.norm(net.same(x, f"{name}.conv1"), f"{name}.norm1.bn"))
    y = net.norm(net.same(y, f"{name}.conv2"), f"{name}.norm2.bn")
    if f"{name}.eca.conv.weight" in net.arrays:
        y = channel_attention(y, net.get(f"{name}.eca.conv.weight").ravel())
    if f"{name}.downsample.0.kernel" in net.arrays:
        x = net.norm(net.same(x, f"{name}.downsample.0", 1), f"{name}.downsample.1.bn")
    return relu(add(y, x))


def channel_attention(x, w):
    """Multiply the rows of each sample by the sigmoid of a convolution of their average along the channels."""
    factors = {}
    for b in {site[0] for site in x}:
        mean = np.mean([row for site, row in x.items() if site[0] == b], axis=0)
        padded = np.pad(mean, len(w) // 2)
        factors[b] = 1 / (1 + np.exp(-np.array([padded[i:i + len(w)] @ w for i in range(len(mean))])))
    return {site: row * factors[site[0]] for site, row in x.items()}


def minkfpn_state(channels_in, channels_out, planes, layers, top_down, stem, eca, pooling):
    """List {name: shape} of MinkLoc in the order of its registration."""
    head, width = "backbone", planes[0]
    listed = {f"{head}.conv0.kernel": (stem**3, channels_in, width)} | norm(f"{head}.bn0", width)
    convs, norms, blocks = {}, {}, {}
    for i, (plane, n) in enumerate(zip(planes, layers, strict=True)):
        convs |= {f"{head}.convs.{i}.kernel": (8, width, width)}
        norms |= norm(f"{head}.bn.{i}", width)
        for j in range(n):
            blocks |= block(f"{head}.blocks.{i}.{j}", width, plane, eca[i] if eca else 0)
            width = plane
    listed |= convs | norms | blocks
    listed |= {f"{head}.tconvs.{i}.kernel": (8, channels_out, channels_out) for i in range(top_down)}
    sides = [planes[0], *planes][::-1][:top_down + 1]
    listed |= {f"{head}.conv1x1.{i}.kernel": (side, channels_out) for i, side in enumerate(sides)}
    return listed | ({f"{pooling}.p": (1,)} if pooling else {})


def minkfpn_forward(net, x, levels, top_down, stem, layers):
    """Return what MinkFPN's forward pass gives."""
    head, maps = "backbone", []
    x = relu(net.norm(net.same(x, f"{head}.conv0", stem), f"{head}.bn0.bn"))
    if top_down == levels:
        maps.append(x)
    for i in range(levels):
        x = relu(net.norm(net.down(x, f"{head}.convs.{i}"), f"{head}.bn.{i}.bn"))
        for j in range(layers[i]):
            x = basic_block(net, x, f"{head}.blocks.{i}.{j}")
        if levels - 1 - top_down <= i < levels - 1:
            maps.append(x)
    x = net.same(x, f"{head}.conv1x1.0", 1)
    for i in range(top_down):
        fine = maps[-i - 1]
        x = add(net.up(x, f"{head}.tconvs.{i}", list(fine)), net.same(fine, f"{head}.conv1x1.{i + 1}", 1))
    return x


def gem(x, p, eps=1e-6):
    """Return the generalised mean of each sample."""
    powers = {b: [np.maximum(row, eps)**p for site, row in x.items() if site[0] == b] for b in (0, 1)}
    return np.array([np.mean(powers[b], axis=0)**(1 / p) for b in (0, 1)])


CASES = {  # channels_in, channels_out, planes, layers, top_down, stem, eca, pooling
    "version 1": (1, 6, (4, 5, 5), (1, 1, 1), 1, 5, None, "pooling"),
    "version 2": (1, 5, (8, 16, 8, 4), (1, 1, 1, 1), 2, 5, (3, 3, 3, 1), "pooling.pooling"),
    "all levels": (2, 4, (4, 3), (2, 1), 2, 3, None, "pooling"),
    "none back": (1, 4, (4, 3), (1, 2), 0, 3, None, "pooling.pooling"),
    "no pooling": (1, 4, (3, 4), (1, 1), 1, 5, None, None),
}


@pytest.mark.parametrize("name", CASES)
def test_minkloc3d_gives_what_its_code_computes(name, rng):
    channels_in, channels_out, planes, layers, top_down, stem, eca, pooling = CASES[name]
    state = seeded(minkfpn_state(*CASES[name]))
    if pooling:
        state[f"{pooling}.p"] = np.array([2.5], np.float32)
    net, report = sp.io.convert(state, "minkfpn", "minkowski")
    assert not report.missing and not report.left_over and not report.outside
    x, at = scan(rng, channels_in)
    theirs = State("minkowski", state)
    want = minkfpn_forward(theirs, at, len(planes), top_down, stem, layers)
    if pooling is None:
        same_values(net.eval()(x), want)
    else:
        rows = gem(want, theirs.get(f"{pooling}.p"))
        assert np.abs(net.eval()(x).numpy() - rows).max() <= 2e-6 * np.abs(rows).max()
    assert theirs.used == {key for key in state if not key.endswith("num_batches_tracked")}
    again = sp.io.to_peer(net, "minkowski", names="minkfpn")
    if name != "none back":                                              # whose version the network does not tell
        assert again.keys() == state.keys() and all(np.array_equal(again[key], state[key]) for key in state)


def test_the_size_of_minkloc3d_is_that_of_the_paper():
    assert round(sp.models.minkfpn(rng=0).n_parameters() / 1e6, 1) == 1.1


def fcgf_state(channels_in, channels_out, channels, up, stem, d=3):
    """List {name: shape} of ResUNetBN2 in the order of its registration."""
    n, volume = len(channels), 3**d
    listed = {"conv1.kernel": (stem**d, channels_in, channels[0])}

    def rest(number, width):
        block = {f"block{number}.conv{i}.kernel": (volume, width, width) for i in (1, 2)}
        return norm(f"norm{number}", width) | block | norm(f"block{number}.norm1", width) | norm(
            f"block{number}.norm2", width)

    listed |= rest("1", channels[0])
    for i in range(2, n + 1):
        listed |= {f"conv{i}.kernel": (volume, channels[i - 2], channels[i - 1])} | rest(i, channels[i - 1])
    for i in range(n, 1, -1):
        wide = channels[i - 1] + (up[i] if i < n else 0)
        listed |= {f"conv{i}_tr.kernel": (volume, wide, up[i - 1])} | rest(f"{i}_tr", up[i - 1])
    return listed | {"conv1_tr.kernel": (channels[0] + up[1], up[0]), "final.kernel": (up[0], channels_out),
                     "final.bias": (1, channels_out)}


def fcgf_forward(net, x, n, stem):
    """Return what ResUNet2's forward pass gives, before the features are normalised."""
    skips = []
    for i in range(1, n + 1):
        x = net.same(x, "conv1", stem) if i == 1 else net.down(x, f"conv{i}", 3)
        skips.append(basic_block(net, net.norm(x, f"norm{i}.bn"), f"block{i}"))
        x = relu(skips[-1])
    for i in range(n, 1, -1):
        x = net.norm(net.up(x, f"conv{i}_tr", list(skips[i - 2]), 3), f"norm{i}_tr.bn")
        x = cat(relu(basic_block(net, x, f"block{i}_tr")), skips[i - 2])
    return net.same(relu(net.same(x, "conv1_tr", 1)), "final", 1)


@pytest.mark.parametrize("channels, up, stem, d", [((3, 4, 5, 6), (4, 5, 6, 7), 5, 3), ((4, 3), (2, 3), 7, 2)])
def test_fcgf_gives_what_its_code_computes(channels, up, stem, d, rng):
    state = seeded(fcgf_state(1, 6, channels, up, stem, d))
    net, report = sp.io.convert(state, "fcgf", "minkowski")
    assert not report.missing and not report.left_over and not report.outside
    x, at = scan(rng, 1, side=14 if d == 2 else 9, d=d)
    theirs = State("minkowski", state, d)
    same_values(net.eval()(x), fcgf_forward(theirs, at, len(channels), stem))
    assert theirs.used == {key for key in state if not key.endswith("num_batches_tracked")}


def test_what_is_not_converted_is_named():
    state = seeded(fcgf_state(1, 6, (3, 4), (4, 5), 3))
    for key in [key for key in state if ".norm1.bn." in key]:
        array = state.pop(key)
        if key.endswith(("weight", "bias")):
            state[key.replace(".bn.", ".")] = array[None]
    with pytest.raises(ShapeError, match="convert: expected blocks of fcgf with batch normalisation, .*, got others, "
                                         "such as ResUNetIN2's instance normalisation; it is not converted"):
        sp.io.convert(state, "fcgf", "minkowski")
    for wrong in ({"channels": (3, 4)}, {"channels": (3,), "up": (4,)}, {"up": 4}):
        with pytest.raises(ShapeError, match="fcgf: expected"):
            sp.models.fcgf(**wrong)
    for wrong in ({"channels": (3, 4)}, {"top_down": 4}, {"top_down": -1}, {"pooling": "gem"}, {"channels": ()},
                  {"repeats": (1, 0, 1)}, {"stem": 0}):
        with pytest.raises(ShapeError, match="minkfpn: expected"):
            sp.models.minkfpn(**wrong)
