"""Make spconv_networks.npz and spunet.pth: whole networks run by spconv's CPU wheel on one thread.

Needs spconv 2.3.8 and torch: `python make_spconv_networks.py`. The modules have the names of OpenPCDet's encoders and
of Pointcept's SpUNet, and their weights come from `seeded`. The wheel has no bias in convolutions of more than one tap,
so that is added here.
"""

import hashlib
import json
import os
from collections import OrderedDict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import spconv.pytorch as spconv
import torch
from seeded import seeded
from torch import nn

HERE = Path(__file__).resolve().parent


class Biased:
    """A convolution whose bias is added after it."""

    def forward(self, x):
        """Convolve without the bias, and add it."""
        bias, self._parameters["bias"] = self._parameters["bias"], None
        y = super().forward(x)
        self._parameters["bias"] = bias
        return y.replace_feature(y.features + bias)


class Biased3d(Biased, spconv.SubMConv3d):
    """In three dimensions."""


class Biased2d(Biased, spconv.SubMConv2d):
    """In two dimensions."""


def norm(channels):
    """Return the batch normalisation of the detectors."""
    return nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01)


def activated(conv, channels=None):
    """Return convolution, normalisation and ReLU."""
    return spconv.SparseSequential(conv, norm(channels or conv.out_channels), nn.ReLU())


class Block(spconv.SparseModule):
    """A basic block; with a projection, and with biases in the manner of OpenPCDet or without."""

    def __init__(self, c, o, *, bias, projects):
        super().__init__()
        kind = Biased3d if bias else spconv.SubMConv3d
        self.proj = spconv.SparseSequential(spconv.SubMConv3d(c, o, 1, bias=False), norm(o)) if c != o else None
        if projects and c == o:
            self.proj = spconv.SparseSequential(nn.Identity())
        self.conv1, self.bn1 = kind(c, o, 3, bias=bias), norm(o)
        self.conv2, self.bn2 = kind(o, o, 3, bias=bias), norm(o)

    def forward(self, x):
        """Add the block's result to the input."""
        y = self.conv1(x)
        y = self.conv2(y.replace_feature(torch.relu(self.bn1(y.features))))
        start = x if self.proj is None else self.proj(x)
        return y.replace_feature(torch.relu(self.bn2(y.features) + start.features))


class Encoder(nn.Module):
    """VoxelBackBone8x, or VoxelResBackBone8x."""

    def __init__(self, c, residual):
        super().__init__()
        same = self.residual if residual else self.plain
        last = 128 if residual else 64
        self.conv_input = activated(spconv.SubMConv3d(c, 16, 3, bias=False))
        self.conv1 = spconv.SparseSequential(*same(16, 2 if residual else 1))
        widths = [(16, 32, 1), (32, 64, 1), (64, last, (0, 1, 1))]
        for i, (below, width, padding) in enumerate(widths, 2):
            down = activated(spconv.SparseConv3d(below, width, 3, 2, padding=padding, bias=False))
            setattr(self, f"conv{i}", spconv.SparseSequential(down, *same(width, 2)))
        self.conv_out = activated(spconv.SparseConv3d(last, 128, (3, 1, 1), (2, 1, 1), bias=False))

    @staticmethod
    def plain(width, n):
        """Return n submanifold convolutions."""
        return [activated(spconv.SubMConv3d(width, width, 3, bias=False)) for _ in range(n)]

    @staticmethod
    def residual(width, n):
        """Return n basic blocks."""
        return [Block(width, width, bias=True, projects=False) for _ in range(n)]

    def forward(self, x):
        """Encode."""
        for level in (self.conv_input, self.conv1, self.conv2, self.conv3, self.conv4, self.conv_out):
            x = level(x)
        return x


class VoxelNext(Encoder):
    """VoxelNeXt's encoder, in small widths."""

    def __init__(self, c, widths, out):
        nn.Module.__init__(self)
        self.conv_input = activated(spconv.SubMConv3d(c, widths[0], 3, bias=False))
        self.conv1 = spconv.SparseSequential(*self.residual(widths[0], 2))
        for i in range(2, 7):
            below, width = widths[i - 2], widths[min(i - 1, 4)]
            down = activated(spconv.SparseConv3d(below, width, 3, 2, padding=1, bias=False))
            setattr(self, f"conv{i}", spconv.SparseSequential(down, *self.residual(width, 2)))
        self.conv_out = activated(spconv.SparseConv2d(widths[3], out, 3, 1, padding=1, bias=False))
        self.shared_conv = spconv.SparseSequential(Biased2d(out, out, 3, bias=True), nn.BatchNorm1d(out), nn.ReLU())

    def forward(self, x):
        """Encode, sum the last three scales at the sites of the first of them, and sum along z."""
        x = self.conv_input(x)
        scales = []
        for i in range(1, 7):
            x = getattr(self, f"conv{i}")(x)
            scales.append(x)
        fine = scales[3]
        sites = torch.cat([y.indices[:, [0, 2, 3]] * torch.tensor([1, 2**i, 2**i], dtype=torch.int32)
                           for i, y in enumerate(scales[3:])])
        sites, rows = torch.unique(sites, dim=0, return_inverse=True)
        features = torch.zeros(len(sites), fine.features.shape[1])
        features.index_add_(0, rows, torch.cat([y.features for y in scales[3:]]))
        plane = spconv.SparseConvTensor(features, sites, fine.spatial_shape[1:], fine.batch_size)
        return self.shared_conv(self.conv_out(plane))


class SpUNet(nn.Module):
    """SpUNet-v1m1."""

    def __init__(self, c, classes, base, channels, layers):
        super().__init__()
        n, widths = len(layers) // 2, [base, *channels]
        self.conv_input = activated(spconv.SubMConv3d(c, base, 5, bias=False))
        self.down, self.up, self.enc, self.dec = (nn.ModuleList() for _ in range(4))
        for s in range(n):
            key, fine, below, above = f"down{s}", widths[s], widths[s + 1], channels[-1 - s]
            self.down.append(activated(spconv.SparseConv3d(fine, below, 2, 2, bias=False, indice_key=key)))
            self.enc.append(self.blocks([below] * (layers[s] + 1)))
            self.up.append(activated(spconv.SparseInverseConv3d(channels[-2 - s], above, 2, bias=False,
                                                                indice_key=key)))
            self.dec.append(self.blocks([above + fine] + [above] * layers[-1 - s]))
        self.final = spconv.SubMConv3d(channels[-1], classes, 1, bias=True)

    @staticmethod
    def blocks(widths):
        """Return basic blocks from each width to the next."""
        return spconv.SparseSequential(OrderedDict(
            (f"block{i}", Block(c, o, bias=False, projects=True)) for i, (c, o) in enumerate(
                zip(widths[:-1], widths[1:], strict=True))))

    def forward(self, x):
        """Label every site."""
        x = self.conv_input(x)
        skips = []
        for down, enc in zip(self.down, self.enc, strict=True):
            skips.append(x)
            x = enc(down(x))
        for up, dec in reversed(list(zip(self.up, self.dec, strict=True))):
            x = up(x)
            x = dec(x.replace_feature(torch.cat([x.features, skips.pop().features], 1)))
        return self.final(x)


class InstanceBlock(spconv.SparseModule):
    """A residual block that begins with its normalisation."""

    def __init__(self, c, o):
        super().__init__()
        shortcut = nn.Identity() if c == o else spconv.SubMConv3d(c, o, 1, bias=False)
        self.i_branch = spconv.SparseSequential(shortcut)
        self.conv_branch = spconv.SparseSequential(
            nn.BatchNorm1d(c, eps=1e-4), nn.ReLU(), spconv.SubMConv3d(c, o, 3, bias=False),
            nn.BatchNorm1d(o, eps=1e-4), nn.ReLU(), spconv.SubMConv3d(o, o, 3, bias=False))

    def forward(self, x):
        """Add the block's result to the shortcut."""
        y = self.conv_branch(x)
        return y.replace_feature(y.features + self.i_branch(x).features)


class InstanceU(nn.Module):
    """A level of PointGroup's U-Net and all below."""

    def __init__(self, widths, reps, depth=0):
        super().__init__()
        width, *rest = widths
        self.blocks = self.named([(width, width)] * reps)
        if rest:
            key = f"down{depth}"
            self.conv = spconv.SparseSequential(
                nn.BatchNorm1d(width, eps=1e-4), nn.ReLU(),
                spconv.SparseConv3d(width, rest[0], 2, 2, bias=False, indice_key=key))
            self.u = InstanceU(rest, reps, depth + 1)
            self.deconv = spconv.SparseSequential(
                nn.BatchNorm1d(rest[0], eps=1e-4), nn.ReLU(),
                spconv.SparseInverseConv3d(rest[0], width, 2, bias=False, indice_key=key))
            self.blocks_tail = self.named([(2 * width, width)] + [(width, width)] * (reps - 1))

    @staticmethod
    def named(pairs):
        """Return blocks by name."""
        return spconv.SparseSequential(OrderedDict((f"block{i}", InstanceBlock(*pair)) for i, pair in enumerate(pairs)))

    def forward(self, x):
        """Run the level."""
        x = self.blocks(x)
        if not hasattr(self, "u"):
            return x
        y = self.deconv(self.u(self.conv(x)))
        return self.blocks_tail(x.replace_feature(torch.cat([x.features, y.features], 1)))


class Instances(nn.Module):
    """PointGroup's labels of sites."""

    def __init__(self, c, classes, widths, reps):
        super().__init__()
        self.input_conv = spconv.SparseSequential(spconv.SubMConv3d(c, widths[0], 3, bias=False))
        self.unet = InstanceU(widths, reps)
        self.output_layer = spconv.SparseSequential(nn.BatchNorm1d(widths[0], eps=1e-4), nn.ReLU())
        self.linear = nn.Linear(widths[0], classes)
        self.offset_linear = nn.Linear(widths[0], 3)

    def forward(self, x):
        """Label every site."""
        x = self.output_layer(self.unet(self.input_conv(x)))
        return x.replace_feature(self.linear(x.features))


NETWORKS = {
    "pointgroup": (lambda: Instances(6, 5, (4, 5, 6), 2), 6, (16, 16, 24), 200),
    "pointgroup-odd": (lambda: Instances(6, 5, (4, 5, 6), 2), 6, (25, 18, 31), 300),    # 12, 9, 15; then 6, 4, 7
    "second": (lambda: Encoder(4, False), 4, (25, 24, 32), 300),
    "centerpoint": (lambda: Encoder(5, True), 5, (25, 24, 32), 200),
    "voxelnext": (lambda: VoxelNext(5, (3, 4, 5, 6, 6), 7), 5, (33, 32, 40), 300),
    "spunet": (lambda: SpUNet(4, 5, 3, (4, 5, 6, 5, 4, 3), (1, 2, 1, 2, 1, 1)), 4, (16, 16, 24), 200),
}


def run(make, channels, size, n):
    """Return (network, arrays) of one network on one scene of two samples."""
    net = make().eval()
    state = seeded({name: array.shape for name, array in net.state_dict().items()})
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    rng = np.random.default_rng(n)
    sites = np.unique(np.stack([rng.integers(0, m, n) for m in (2, *size)], 1), axis=0).astype(np.int32)
    rows = rng.normal(size=(len(sites), channels)).astype(np.float32)
    y = net(spconv.SparseConvTensor(torch.from_numpy(rows), torch.from_numpy(sites), list(size), 2))
    order = np.lexsort(y.indices.numpy().T[::-1])
    shapes = {name: array.shape for name, array in state.items()}
    return net, {"sites": sites, "rows": rows, "size": np.array(size), "shapes": np.array(json.dumps(shapes)),
                 "out_sites": y.indices.numpy()[order], "out_rows": y.features.numpy()[order],
                 "out_size": np.array(list(y.spatial_shape))}


def main():
    """Write the files and their checksums."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    arrays = {}
    for name, arguments in NETWORKS.items():
        net, found = run(*arguments)
        arrays |= {f"{name}/{key}": array for key, array in found.items()}
        if name == "spunet":
            state = {f"module.backbone.{key}": array for key, array in net.state_dict().items()}
            torch.save({"state_dict": state, "epoch": 3}, HERE / "spunet.pth")
    np.savez_compressed(HERE / "spconv_networks.npz", **arrays)
    lines = [f"{hashlib.sha256((HERE / name).read_bytes()).hexdigest()}  {name}"
             for name in ("spconv_networks.npz", "spunet.pth")]
    (HERE / "spconv_networks_sha256.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
