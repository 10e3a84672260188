"""spconv's CPU wheel: forward only, and its scatter races on two or more threads, so its results are not to be trusted.

Its convolution cannot run backward without a CUDA driver (a RuntimeError even for CPU tensors), so it has no training
rows.
"""

import importlib.metadata

import numpy as np
import spconv.pytorch as spconv
import torch
import workloads
from spconv.core import ConvAlgo
from spconv.pytorch import ops
from torch import nn

SCAN_SIZE = [208, 192, 96]
EPS = 1e-4                                              # of our batch normalisation


def versions():
    """Name the packages."""
    return {"spconv": importlib.metadata.version("spconv"), "torch": torch.__version__}


def set_threads(n_threads):
    torch.set_num_threads(n_threads)
    torch.set_grad_enabled(False)


def tensor(sites, rows, size):
    """Make a fresh tensor, without rules."""
    samples = int(sites[:, 0].max()) + 1
    return spconv.SparseConvTensor(torch.from_numpy(rows), torch.from_numpy(sites), list(size), samples)


def weigh(layer, w):
    """Put (k, c, o) into its (o, *size, c); of size 1 it reads the memory of (o, 1, 1, 1, c) as (c, o)."""
    if len(w) == 1:
        return layer.weight.data.copy_(torch.from_numpy(w).reshape(layer.weight.shape))
    layer.weight.data.copy_(torch.from_numpy(w).permute(2, 0, 1).reshape(layer.weight.shape))


class _Layer:
    gflop = {}

    def begin(self, sites, size, layer, channels_in, channels_out, volume):
        weigh(layer, workloads.weights(volume, channels_in, channels_out))
        self.layer, self.x = layer.eval(), tensor(sites, workloads.features(sites, channels_in), size)
        self.keep_rules()
        self.results = {"forward": self.result}

    def keep_rules(self):
        """Put the layer's rules into the tensor: spconv gives them to the result alone."""
        self.x.indice_dict = self.layer(self.x).indice_dict

    def result(self):
        y = self.layer(self.x)
        return y.indices.numpy(), y.features.numpy()

    def time_forward(self, *_):
        self.layer(self.x)


class Scan(_Layer):
    def setup(self, channels):
        layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="a")
        self.begin(workloads.indoor_scan(), SCAN_SIZE, layer, channels, channels, 27)


class Wide(_Layer):
    def setup(self, channels):
        layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="a")
        self.begin(workloads.part(20_000), SCAN_SIZE, layer, channels, channels, 27)


class Part(_Layer):
    def setup(self, channels):
        layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="a")
        self.sites, self.rows = workloads.part(), workloads.features(workloads.part(), channels)
        self.begin(self.sites, SCAN_SIZE, layer, channels, channels, 27)
        self.results["cold"] = self.results["forward"]

    def time_cold(self, *_):
        self.layer(tensor(self.sites, self.rows, SCAN_SIZE))


class Lidar(_Layer):
    def setup(self):
        layer = spconv.SubMConv3d(64, 64, 3, bias=False, indice_key="a")
        self.begin(workloads.lidar(), workloads.LIDAR_SIZE, layer, 64, 64, 27)


class SpaceTime(_Layer):
    def setup(self):
        layer = spconv.SubMConv4d(32, 32, 3, bias=False, indice_key="a")
        self.begin(workloads.space_time(), workloads.SPACE_TIME_SIZE, layer, 32, 32, 81)


class Down(_Layer):
    """Its rules are made in each pass: spconv refuses kept ones of a strided convolution."""

    def keep_rules(self):
        """Nothing."""

    def setup(self):
        layer = spconv.SparseConv3d(32, 64, 2, 2, bias=False, indice_key="a")
        self.begin(workloads.indoor_scan(), SCAN_SIZE, layer, 32, 64, 8)


class Up(_Layer):
    def setup(self):
        sites = workloads.indoor_scan()
        coarse = spconv.SparseConv3d(1, 1, 2, 2, bias=False, indice_key="a")(
            tensor(sites, np.zeros((len(sites), 1), np.float32), SCAN_SIZE))
        order = np.lexsort(coarse.indices.numpy().T[::-1])
        rows = np.empty((len(order), 64), np.float32)
        rows[order] = workloads.features(order, 64)     # the same row at the same site as on the other sides
        self.x = coarse.replace_feature(torch.from_numpy(rows))
        self.layer = spconv.SparseInverseConv3d(64, 32, 2, indice_key="a", bias=False).eval()
        weigh(self.layer, workloads.weights(8, 64, 32))
        self.results = {"forward": self.result}


class Rules:
    def setup(self):
        self.sites = torch.from_numpy(workloads.indoor_scan())
        self.shuffled = self.sites[torch.from_numpy(np.random.default_rng(0).permutation(len(self.sites)))]

    def time_sorted(self):
        self.pairs(self.sites)

    def time_unsorted(self):
        self.pairs(self.shuffled)

    @staticmethod
    def pairs(sites):
        ops.get_indice_pairs(sites, 1, SCAN_SIZE, ConvAlgo.Native, [3] * 3, [1] * 3, [1] * 3, [1] * 3, [0] * 3, True)


class Cold(Scan):
    def setup(self):
        super().setup(32)
        self.sites, self.rows = workloads.indoor_scan(), workloads.features(self.x.indices, 32)

    def time_forward(self):
        self.layer(tensor(self.sites, self.rows, SCAN_SIZE))


class UNet:
    """The same network: blocks of normalisation, ReLU and convolution, 4 levels, 16 n channels."""

    def setup(self):
        self.sites = workloads.indoor_scan()
        self.rows = workloads.features(self.sites, 3)
        stem = spconv.SubMConv3d(3, 16, 3, bias=False, indice_key="s0")
        self.net = spconv.SparseSequential(
            stem, _Level([16, 32, 48, 64], 0), nn.BatchNorm1d(16, eps=EPS), nn.ReLU(),
            spconv.SubMConv3d(16, 20, 1, bias=False, indice_key="s0")).eval()
        layers = [layer for layer in self.net.modules() if hasattr(layer, "kernel_size")]
        for i, layer in enumerate(layers):
            volume = int(np.prod(layer.kernel_size))
            weigh(layer, workloads.weights(volume, layer.in_channels, layer.out_channels, 100 + i))
        self.results = {"forward": self.result}

    def result(self):
        y = self.net(tensor(self.sites, self.rows, SCAN_SIZE))
        return y.indices.numpy(), y.features.numpy()

    def time_forward(self):
        self.net(tensor(self.sites, self.rows, SCAN_SIZE))


class _Level(spconv.SparseModule):
    def __init__(self, widths, depth):
        super().__init__()
        width, *deeper = widths
        self.block = _block(width, width, depth)
        self.below = None
        if deeper:
            self.below = spconv.SparseSequential(
                nn.BatchNorm1d(width, eps=EPS), nn.ReLU(),
                spconv.SparseConv3d(width, deeper[0], 2, 2, bias=False, indice_key=f"d{depth}"),
                _Level(deeper, depth + 1),
                nn.BatchNorm1d(deeper[0], eps=EPS), nn.ReLU(),
                spconv.SparseInverseConv3d(deeper[0], width, 2, indice_key=f"d{depth}", bias=False))
            self.after = _block(2 * width, width, depth)

    def forward(self, x):
        x = self.block(x)
        if self.below is None:
            return x
        y = self.below(x)
        return self.after(y.replace_feature(torch.cat([x.features, y.features], 1)))


def _block(channels_in, channels_out, depth):
    return spconv.SparseSequential(nn.BatchNorm1d(channels_in, eps=EPS), nn.ReLU(),
                                   spconv.SubMConv3d(channels_in, channels_out, 3, bias=False, indice_key=f"s{depth}"))
