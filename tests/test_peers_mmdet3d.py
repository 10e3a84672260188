"""Networks of mmdetection3d 1: MinkUNet on three libraries and CenterPoint's encoder, against loops by its code."""

import numpy as np
import pytest
from naive_peers import State, add, cat, relu, same_values
from test_peers_networks import seeded
from test_peers_places import scan

import spconv_cy as sp
from spconv_cy.errors import ShapeError

WEIGHT = {  # source: (leaf, shape of a convolution)
    "torchsparse": ("kernel", lambda k, a, b: (k**3, a, b) if k > 1 else (a, b)),
    "minkowski": ("kernel", lambda k, a, b: (k**3, a, b) if k > 1 else (a, b)),
    "spconv2": ("weight", lambda k, a, b: (b, k, k, k, a)),
    "spconv1": ("weight", lambda k, a, b: (k, k, k, a, b)),
}


class Names:
    """How mmdetection3d names the modules with one library."""

    def __init__(self, source):
        self.source = source
        self.inner = "" if "spconv" in source else ".net"
        self.bn = ".bn" if source == "minkowski" else ""
        self.block = ("net.0", "net.1", "net.3", "net.4") if source == "torchsparse" else (
            "conv1", "norm1" if source == "minkowski" else "bn1", "conv2",
            "norm2" if source == "minkowski" else "bn2")
        self.shortcut = "downsample.net" if source == "minkowski" else "downsample"

    def conv(self, name, k, a, b):
        leaf, shape = WEIGHT[self.source]
        return {f"{name}.{leaf}": shape(k, a, b)}

    def norm(self, name, c):
        return {f"{name}{self.bn}.{leaf}": (c,) for leaf in ("weight", "bias", "running_mean", "running_var")} | {
            f"{name}{self.bn}.num_batches_tracked": ()}

    def module(self, name, k, a, b):
        """List the arrays of a block of convolution, normalisation and ReLU."""
        return self.conv(f"{name}{self.inner}.0", k, a, b) | self.norm(f"{name}{self.inner}.1", b)

    def basic(self, name, a, b):
        """List the arrays of a basic block."""
        conv1, norm1, conv2, norm2 = (f"{name}.{part}" for part in self.block)
        listed = self.conv(conv1, 3, a, b) | self.norm(norm1, b) | self.conv(conv2, 3, b, b) | self.norm(norm2, b)
        if a != b:
            listed |= self.conv(f"{name}.{self.shortcut}.0", 1, a, b) | self.norm(f"{name}.{self.shortcut}.1", b)
        return listed

    def minkunet(self, base, encoder, decoder, counts_down, counts_up, classes):
        """List {name: shape} of MinkUNetBackbone with MinkUNetHead."""
        listed = self.module("backbone.conv_input.0", 3, 4, base) | self.module("backbone.conv_input.1", 3, base, base)
        widths, ups = [base, *encoder], [encoder[-1], *decoder]
        for i, n in enumerate(counts_down):
            listed |= self.module(f"backbone.encoder.{i}.0", 2, widths[i], widths[i])
            for j in range(n):
                listed |= self.basic(f"backbone.encoder.{i}.{j + 1}", widths[i + (j > 0)], widths[i + 1])
        for i, n in enumerate(counts_up):
            listed |= self.module(f"backbone.decoder.{i}.0", 2, ups[i], ups[i + 1])
            for j in range(n):
                a = ups[i + 1] + (widths[-2 - i] if j == 0 else 0)
                listed |= self.basic(f"backbone.decoder.{i}.1.{j}", a, ups[i + 1])
        return listed | {"decode_head.conv_seg.weight": (classes, decoder[-1]), "decode_head.conv_seg.bias": (classes,)}


class Forward:
    """The forward passes, on the arrays of a State."""

    def __init__(self, source, state):
        self.names, self.net = Names(source), State(source, state)

    def norm(self, x, name, eps=1e-5):
        return self.net.norm(x, f"{name}{self.names.bn}", eps)

    def module(self, y, name):
        """Apply the normalisation and the ReLU of a block to the result of its convolution."""
        return relu(self.norm(y, f"{name}{self.names.inner}.1"))

    def basic(self, x, name, eps=1e-5):
        conv1, norm1, conv2, norm2 = (f"{name}.{part}" for part in self.names.block)
        y = relu(self.norm(self.net.same(x, conv1), norm1, eps))
        y = self.norm(self.net.same(y, conv2), norm2, eps)
        side = f"{name}.{self.names.shortcut}"
        if f"{side}.0.{WEIGHT[self.names.source][0]}" in self.net.arrays:
            x = self.norm(self.net.same(x, f"{side}.0", 1), f"{side}.1", eps)
        return relu(add(y, x))

    def minkunet(self, x, counts_down, counts_up):
        inner = self.names.inner
        for i in range(2):
            name = f"backbone.conv_input.{i}"
            x = self.module(self.net.same(x, f"{name}{inner}.0"), name)
        laterals = [x]
        for i, n in enumerate(counts_down):
            name = f"backbone.encoder.{i}"
            x = self.module(self.net.down(x, f"{name}.0{inner}.0"), f"{name}.0")
            for j in range(n):
                x = self.basic(x, f"{name}.{j + 1}")
            laterals.append(x)
        for i, n in enumerate(counts_up):
            name, lateral = f"backbone.decoder.{i}", laterals[-2 - i]
            x = self.module(self.net.up(x, f"{name}.0{inner}.0", list(lateral)), f"{name}.0")
            x = cat(x, lateral)
            for j in range(n):
                x = self.basic(x, f"{name}.1.{j}")
        return self.net.linear(x, "decode_head.conv_seg")


SIZES = {"18": ((4, 4, 8, 16, 32), (32, 16, 12, 12), (2, 2, 2, 2)),
         "34": ((4, 4, 8, 16, 32), (32, 16, 12, 12), (2, 3, 4, 6))}


@pytest.mark.parametrize("source, size", [("torchsparse", "18"), ("torchsparse", "34"), ("minkowski", "34"),
                                          ("spconv2", "18"), ("spconv1", "18")])
def test_minkunet_gives_what_its_code_computes(source, size, rng):
    (base, *encoder), decoder, down = SIZES[size]
    up = (2, 2, 2, 2)
    state = seeded(Names(source).minkunet(base, encoder, decoder, down, up, 5))
    net, report = sp.io.convert(state, "minkunet_mmdet3d", source)
    assert not report.missing and not report.left_over and not report.outside
    x, at = scan(rng, 4, n=30, side=8, low=0)
    theirs = Forward(source, state)
    same_values(net.eval()(x), theirs.minkunet(at, down, up))
    assert theirs.net.used == {key for key in state if not key.endswith("num_batches_tracked")}


def test_minkunet_of_version_2_and_with_bottlenecks_are_refused():
    (base, *encoder), decoder, down = SIZES["18"]
    state = seeded(Names("torchsparse").minkunet(base, encoder, decoder, down, (2, 2, 2, 2), 5))
    state["decode_head.conv_seg.weight"] = np.ones((5, 60), np.float32)                  # of several scales, joined
    with pytest.raises(ShapeError, match=r"convert: decode_head.conv_seg.weight: expected a weight of torchsparse"):
        sp.io.convert(state, "minkunet_mmdet3d", "torchsparse")
    state = seeded(Names("torchsparse").minkunet(base, encoder, decoder, down, (2, 2, 2, 2), 5))
    state["backbone.encoder.0.1.net.6.kernel"] = np.ones((4, 4), np.float32)
    with pytest.raises(ShapeError, match="1 left over .*encoder.0.1.net.6.kernel"):
        sp.io.convert(state, "minkunet_mmdet3d", "torchsparse")


def encoder_state(source, channels_in):
    """List {name: shape} of SparseEncoder with block_type='basicblock', as in mmdetection3d's CenterPoint."""
    names = Names(source)
    listed = names.conv("conv_input.0", 3, channels_in, 16) | names.norm("conv_input.1", 16)
    for i, width in enumerate((16, 32, 64, 128)):
        layer = f"encoder_layers.encoder_layer{i + 1}"
        listed |= names.basic(f"{layer}.0", width, width) | names.basic(f"{layer}.1", width, width)
        if width < 128:
            listed |= names.conv(f"{layer}.2.0", 3, width, 2 * width) | names.norm(f"{layer}.2.1", 2 * width)
    tall = (128, 3, 1, 1, 128) if source == "spconv2" else (3, 1, 1, 128, 128)
    return listed | {"conv_out.0.weight": tall} | names.norm("conv_out.1", 128)


@pytest.mark.parametrize("source", ["spconv2", "spconv1"])
def test_centerpoints_encoder_gives_what_its_code_computes(source, rng):
    state = seeded({f"pts_middle_encoder.{name}": shape for name, shape in encoder_state(source, 5).items()})
    net, report = sp.io.convert(state | {"pts_bbox_head.weight": np.ones(3)}, "centerpoint_mmdet3d", source)
    assert not report.missing and not report.left_over and report.outside == ("pts_bbox_head.weight",)
    size = (25, 16, 16)
    sites = np.unique(np.column_stack([rng.integers(0, 2, 12), *(rng.integers(0, n, 12) for n in size)]), axis=0)
    rows = rng.normal(size=(len(sites), 5)).astype(np.float32)
    theirs = Forward(source, {key.removeprefix("pts_middle_encoder."): array for key, array in state.items()})
    inside, eps = theirs.net, 1e-3
    x = {tuple(site): row.astype(float) for site, row in zip(sites.tolist(), rows, strict=True)}
    x, field = relu(inside.norm(inside.same(x, "conv_input.0"), "conv_input.1", eps)), size
    for i in range(4):
        layer = f"encoder_layers.encoder_layer{i + 1}"
        x = theirs.basic(theirs.basic(x, f"{layer}.0", eps), f"{layer}.1", eps)
        if i < 3:
            x, field = inside.strided(x, f"{layer}.2.0", 3, 2, (0 if i == 2 else 1, 1, 1), field)
            x = relu(inside.norm(x, f"{layer}.2.1", eps))
    w = inside.get("conv_out.0.weight")
    w = [w[:, t, 0, 0].T if source == "spconv2" else w[t, 0, 0] for t in range(3)]
    out = {}
    for (b, z, *place), row in x.items():                                # size (3, 1, 1), stride (2, 1, 1)
        for t in range(3):
            if (z - t) % 2 == 0 and 0 <= (z - t) // 2 < (field[0] - 3) // 2 + 1:
                site = (b, (z - t) // 2, *place)
                out[site] = out.get(site, 0) + row @ w[t]
    same_values(net.eval()(sp.SparseTensor.from_sites(sites, rows, size, 2, ground=None)),
                relu(inside.norm(out, "conv_out.1", eps)))
    assert inside.used == {key for key in inside.arrays if not key.endswith("num_batches_tracked")}


def test_the_encoders_of_mmdetection3d_are_told_apart():
    with pytest.raises(ShapeError, match="it fits network='second_mmdet3d' with source='spconv1'"):
        state = sp.io.to_peer(sp.models.voxel_backbone_8x(3, rng=0), "spconv1", names="second_mmdet3d")
        sp.io.convert(state, "centerpoint_mmdet3d", "spconv1")
    with pytest.raises(ShapeError, match="it fits network='centerpoint_mmdet3d' with source='spconv1'"):
        sp.io.convert(seeded(encoder_state("spconv1", 3)), "second_mmdet3d", "spconv1")
