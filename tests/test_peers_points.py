"""SPVCNN, the sparse parts of Point Transformer V3 and PCGCv2, against loops by their code."""

import itertools
import math

import numpy as np
import pytest
from naive_peers import State, add, cat, relu, same_values
from test_peers_mmdet3d import Forward, Names
from test_peers_networks import seeded
from test_peers_places import scan

import spconv_cy as sp
from spconv_cy.errors import ShapeError


def spvnas(base, encoder, decoder, classes):
    """List {name: shape} of SPVCNN in the order of its registration."""
    names = Names("torchsparse")

    def pair(name, k, a, b):
        return names.conv(f"{name}.0", k, a, b) | names.norm(f"{name}.1", b)

    listed = pair("stem", 3, 4, base) | names.conv("stem.3", 3, base, base) | names.norm("stem.4", base)
    widths, ups = [base, *encoder], [encoder[-1], *decoder]
    for i in range(4):
        listed |= pair(f"stage{i + 1}.0.net", 2, widths[i], widths[i])
        for j in (1, 2):
            listed |= names.basic(f"stage{i + 1}.{j}", widths[i + (j > 1)], widths[i + 1])
    for i in range(4):
        listed |= pair(f"up{i + 1}.0.net", 2, ups[i], ups[i + 1])
        listed |= names.basic(f"up{i + 1}.1.0", ups[i + 1] + widths[3 - i], ups[i + 1])
        listed |= names.basic(f"up{i + 1}.1.1", ups[i + 1], ups[i + 1])
    listed |= {"classifier.0.weight": (classes, decoder[-1]), "classifier.0.bias": (classes,)}
    for i, (a, b) in enumerate(((base, encoder[3]), (encoder[3], decoder[1]), (decoder[1], decoder[3]))):
        listed |= {f"point_transforms.{i}.0.weight": (b, a), f"point_transforms.{i}.0.bias": (b,)}
        listed |= names.norm(f"point_transforms.{i}.1", b)
    return listed


def at_points(x, points, s):
    """Interpolate {voxel: row} at points by the eight voxels around them; missing ones are left out."""
    y = {}
    for b, *p in points:
        weights = {}
        for corner in itertools.product((0, 1), repeat=3):
            voxel = (b, *(v // s + c for v, c in zip(p, corner, strict=True)))
            if voxel in x:
                weights[voxel] = math.prod(1 - abs(v / s - v // s - c) for v, c in zip(p, corner, strict=True))
        total = sum(weights.values()) + 1e-8
        y[(b, *p)] = sum(x[voxel] * (w / total) for voxel, w in weights.items())
    return y


def averaged(z, voxels, s):
    """Average the rows of the points in each voxel."""
    rows = {voxel: [] for voxel in voxels}
    for (b, *p), row in z.items():
        rows[(b, *(v // s for v in p))].append(row)
    return {voxel: np.mean(found, axis=0) for voxel, found in rows.items()}


def spvcnn_forward(forward, x):
    """Return what SPVCNN's forward pass gives for voxels whose points are their sites."""
    net = forward.net

    def point(z, i):
        return relu(net.norm(net.linear(z, f"point_transforms.{i}.0"), f"point_transforms.{i}.1"))

    for i in (0, 3):
        x = relu(net.norm(net.same(x, f"stem.{i}"), f"stem.{i + 1}"))
    z0 = at_points(x, list(x), 1)
    scales = [averaged(z0, list(x), 1)]
    for i in range(1, 5):
        y = relu(net.norm(net.down(scales[-1], f"stage{i}.0.net.0"), f"stage{i}.0.net.1"))
        for j in (1, 2):
            y = forward.basic(y, f"stage{i}.{j}")
        scales.append(y)
    z = add(at_points(y, list(z0), 16), point(z0, 0))
    y = averaged(z, list(y), 16)
    for i in range(1, 5):
        fine = scales[4 - i]
        y = cat(relu(net.norm(net.up(y, f"up{i}.0.net.0", list(fine)), f"up{i}.0.net.1")), fine)
        y = forward.basic(forward.basic(y, f"up{i}.1.0"), f"up{i}.1.1")
        if i == 2:
            z = add(at_points(y, list(z), 4), point(z, 1))
            y = averaged(z, list(y), 4)
    return net.linear(add(at_points(y, list(z), 1), point(z, 2)), "classifier.0")


def test_spvcnn_gives_what_its_code_computes(rng):
    state = seeded(spvnas(4, (4, 8, 16, 32), (32, 16, 12, 12), 5))
    net, report = sp.io.convert(state, "spvcnn", "torchsparse")
    assert not report.missing and not report.left_over and not report.outside
    x, at = scan(rng, 4, n=30, side=24, low=-5)
    forward = Forward("torchsparse", state)
    same_values(net.eval()(x), spvcnn_forward(forward, at), 1e-5)
    assert forward.net.used == {key for key in state if not key.endswith("num_batches_tracked")}
    again = sp.io.to_peer(net, "torchsparse", names="spvcnn")
    assert again.keys() == state.keys() and all(np.array_equal(again[key], state[key]) for key in state)


def test_spvcnn_of_mmdetection3d_is_the_same_network(rng):
    net = sp.models.SPVCNN(4, 5, width=1 / 8, rng=0).eval()
    state = sp.io.to_peer(net, "torchsparse", names="spvcnn_mmdet3d")
    assert {"backbone.conv_input.1.net.0.kernel", "backbone.encoder.3.2.net.4.weight",
            "backbone.decoder.0.1.0.downsample.0.kernel", "backbone.point_transforms.2.1.running_var",
            "decode_head.conv_seg.bias"} <= state.keys()
    again, _ = sp.io.convert(state, "spvcnn_mmdet3d", "torchsparse")
    x, _ = scan(rng, 4)
    assert np.array_equal(again.eval()(x).features.numpy(), net(x).features.numpy())


def test_spvcnn_learns_and_refuses_a_ground_state(rng):
    net = sp.models.SPVCNN(2, 3, width=1 / 16, dropout=0.0, rng=0)
    x, _ = scan(rng, 2, n=20)
    y = net(x)
    assert y.grid is x.grid and y.channels == 3
    (y.features * y.features).sum().backward()
    assert all(np.abs(p.grad).max() > 0 for p in net.points[0].parameters())
    with pytest.raises(ShapeError, match="SPVCNN: expected a tensor with ground=None"):
        net(sp.SparseTensor.from_sites([[0, 1, 2, 3]], [[1.0, 2.0]]))
    with pytest.raises(ShapeError, match="SPVCNN: expected classes"):
        sp.models.SPVCNN(4, 0)
    with pytest.raises(ShapeError, match="SPVCNN with two blocks in each level"):
        state = seeded(spvnas(4, (4, 8, 16, 32), (32, 16, 12, 13), 5))
        sp.io.convert(state, "spvcnn", "torchsparse")


def transformer(enc, depths, dec, depths_up, linear, source):
    """List {name: shape} of the sparse parts of Point Transformer V3, and two arrays of the rest."""
    shape = {"spconv2": lambda k, a, b: (b, k, k, k, a), "spconv1": lambda k, a, b: (k, k, k, a, b)}[source]
    listed = {"embedding.stem.linear.weight": (enc[0], 6), "embedding.stem.linear.bias": (enc[0],)} if linear else {
        "embedding.stem.conv.weight": shape(5, 6, enc[0])}
    leaves = ("weight", "bias") if linear else ("weight", "bias", "running_mean", "running_var")
    listed |= {f"embedding.stem.norm.{leaf}": (enc[0],) for leaf in leaves}
    for way, widths, counts in (("enc", enc, depths), ("dec", dec, depths_up)):
        for s, (c, n) in enumerate(zip(widths, counts, strict=True)):
            for i in range(n):
                name = f"{way}.{way}{s}.block{i}"
                listed |= {f"{name}.cpe.0.weight": shape(3, c, c), f"{name}.cpe.0.bias": (c,),
                           f"{name}.cpe.1.weight": (c, c), f"{name}.cpe.1.bias": (c,), f"{name}.cpe.2.weight": (c,),
                           f"{name}.cpe.2.bias": (c,), f"{name}.attn.qkv.weight": (3 * c, c)}
    return listed


@pytest.mark.parametrize("source, linear, dec", [("spconv2", False, (4, 6)), ("spconv2", True, ()),
                                                 ("spconv1", False, ())])
def test_the_sparse_parts_of_a_point_transformer(source, linear, dec, rng):
    enc, depths, depths_up = (4, 6, 5), (2, 1, 2), (1, 2)[:len(dec)]
    state = seeded({f"backbone.{name}": shape
                    for name, shape in transformer(enc, depths, dec, depths_up, linear, source).items()})
    net, report = sp.io.convert(state, "ptv3", source)
    assert set(report.left_over) == {name for name in state if ".attn." in name} and not report.missing
    theirs = State(source, {name.removeprefix("backbone."): array for name, array in state.items()})
    x, at = scan(rng, 6)
    if linear:
        y = layer_norm(theirs, theirs.linear(at, "embedding.stem.linear"), "embedding.stem.norm")
    else:
        y = theirs.norm(theirs.same(at, "embedding.stem.conv", 5), "embedding.stem.norm", 1e-3)
    erf = np.vectorize(math.erf)
    same_values(net.eval().stem(x), {site: row * (1 + erf(row / 2**0.5)) / 2 for site, row in y.items()})
    for way, stages, widths in (("enc", net.encoder, enc), ("dec", net.decoder, dec)):
        for s, c in enumerate(widths):
            x, at = scan(rng, c)
            for i, block in enumerate(stages[s]):
                name = f"{way}.{way}{s}.block{i}.cpe"
                y = layer_norm(theirs, theirs.linear(theirs.same(at, f"{name}.0"), f"{name}.1"), f"{name}.2")
                same_values(block(x), add(at, y), 5e-6)
    with pytest.raises(TypeError, match="PointTransformerParts: expected a call of one of its layers"):
        net(x)


def layer_norm(net, x, name):
    """Apply a LayerNorm."""
    w, b = net.get(f"{name}.weight"), net.get(f"{name}.bias")
    return {site: (row - row.mean()) / np.sqrt(row.var() + 1e-5) * w + b for site, row in x.items()}


def inception(name, c):
    """List {name: shape} of an InceptionResNet."""
    sizes = {"conv0_0": (3, c, c // 4), "conv0_1": (3, c // 4, c // 2), "conv1_0": (1, c, c // 4),
             "conv1_1": (3, c // 4, c // 4), "conv1_2": (1, c // 4, c // 2)}
    return {f"{name}.{conv}.{leaf}": shape for conv, (k, a, b) in sizes.items() for leaf, shape in
            (("kernel", (k**3, a, b) if k > 1 else (a, b)), ("bias", (1, b)))}


def pcgc(channels, up):
    """List {name: shape} of PCCModel with three levels, in the order of its registration."""
    def conv(name, taps, a, b):
        return {f"{name}.kernel": (taps, a, b), f"{name}.bias": (1, b)}

    listed = {}
    for i in range(3):
        a = channels[0] if i == 0 else channels[i + 1]
        listed |= conv(f"encoder.conv{i}", 27, a, channels[i + 1])
        listed |= conv(f"encoder.down{i}", 8, channels[i + 1], channels[i + 2])
        for j in range(3):
            listed |= inception(f"encoder.block{i}.{j}", channels[i + 2])
    listed |= conv("encoder.conv3", 27, channels[4], channels[5])
    for i in range(3):
        listed |= conv(f"decoder.up{i}", 8, up[i], up[i + 1]) | conv(f"decoder.conv{i}", 27, up[i + 1], up[i + 1])
        for j in range(3):
            listed |= inception(f"decoder.block{i}.{j}", up[i + 1])
        listed |= conv(f"decoder.conv{i}_cls", 27, up[i + 1], 1)
    return listed | {"entropy_bottleneck._matrices.0": (8, 3, 1)}


def blocks_of(net, x, name):
    """Apply the three InceptionResNets of a level."""
    for j in range(3):
        at = f"{name}.{j}"
        left = net.same(relu(net.same(x, f"{at}.conv0_0")), f"{at}.conv0_1")
        right = net.same(relu(net.same(relu(net.same(x, f"{at}.conv1_0", 1)), f"{at}.conv1_1")), f"{at}.conv1_2", 1)
        x = add(cat(left, right), x)
    return x


def best(x, scores, counts):
    """Keep the sites with the highest scores of each sample."""
    kept = {}
    for b, k in enumerate(counts):
        sites = sorted((site for site in x if site[0] == b), key=lambda site: -scores[site][0])
        kept |= {site: x[site] for site in sites[:k]}
    return kept


def test_pcgc_gives_what_its_code_computes(rng):
    state = seeded(pcgc((1, 4, 4, 8, 4, 8), (8, 8, 4, 4)))
    encoder, report = sp.io.convert(state, "pcgc_encoder", "minkowski")
    assert not report.missing and not report.left_over and "entropy_bottleneck._matrices.0" in report.outside
    decoder, report = sp.io.convert({"model." + name: array for name, array in state.items()}, "pcgc_decoder",
                                    "minkowski")
    assert not report.missing and not report.left_over
    x, at = scan(rng, 1, n=30, side=12)
    theirs = State("minkowski", state)
    y, want, counts = x, at, []
    for i, level in enumerate(encoder):
        counts.append(np.diff(y.grid.batch_starts).tolist())
        y = level(y)
        if i < 3:
            want = relu(theirs.down(relu(theirs.same(want, f"encoder.conv{i}")), f"encoder.down{i}"))
            want = blocks_of(theirs, want, f"encoder.block{i}")
        else:
            want = theirs.same(want, "encoder.conv3")
        same_values(y, want, 5e-6)
    counts = counts[2::-1]
    got = decoder(y, counts)
    for i in range(3):
        want = relu(theirs.same(relu(theirs.created(want, f"decoder.up{i}")), f"decoder.conv{i}"))
        want = blocks_of(theirs, want, f"decoder.block{i}")
        want = best(want, theirs.same(want, f"decoder.conv{i}_cls"), counts[i])
    same_values(got, want, 2e-6)
    assert theirs.used == {key for key in state if "entropy" not in key}
    open_ended = decoder(y)                                              # by scores above 0
    assert open_ended.grid.n <= 512 * y.grid.n
    again = sp.io.to_peer(decoder, "minkowski", names="pcgc_decoder")
    assert all(np.array_equal(again[name], state[f"decoder.{name}"]) for name in again)


def test_pcgcs_builders_refuse_what_does_not_fit():
    for wrong in ((1, 4), (1, 4, 6, 8, 2), 3, (1, 4, 0, 8)):
        with pytest.raises(ShapeError, match="pcgc_encoder: expected"):
            sp.models.pcgc_encoder(wrong)
    for wrong in ((8,), (8, 6), "ab"):
        with pytest.raises(ShapeError, match="PCGCDecoder: expected"):
            sp.models.PCGCDecoder(wrong)
    net = sp.models.PCGCDecoder((2, 4, 4), rng=0)
    x = sp.SparseTensor.from_sites([[0, 1, 2, 3]], [[1.0, 1.0]], ground=None)
    with pytest.raises(ShapeError, match="PCGCDecoder: expected counts to be a list of 2, one for each level"):
        net(x, [3])
    assert net(x, [3, 7]).grid.n == 7
