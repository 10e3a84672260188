"""MinkowskiEngine 0.5.4, its CPU part, built from its sdist.

Its convolution keeps the coordinates of its own grid, so the DeepCNet's sites differ from everyone else's.
"""

import collections
import collections.abc
import warnings

collections.Sequence = collections.abc.Sequence         # where Python had it before 3.10, and 0.5.4 still looks for it
warnings.filterwarnings("ignore")

import MinkowskiEngine as me  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import workloads  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

CONVOLUTIONS = me.MinkowskiConvolution, me.MinkowskiConvolutionTranspose
EPS = 1e-4                                              # of our batch normalisation


def versions():
    """Name the packages."""
    return {"MinkowskiEngine": me.__version__, "torch": torch.__version__}


def set_threads(n_threads):
    torch.set_num_threads(n_threads)


def tensor(sites, rows):
    """Make a fresh tensor with a coordinate manager of its own."""
    return me.SparseTensor(torch.from_numpy(rows), torch.from_numpy(sites))


def like(x, rows):
    """Make a tensor of the same sites, its features a leaf."""
    return me.SparseTensor(rows.requires_grad_(), coordinate_map_key=x.coordinate_map_key,
                           coordinate_manager=x.coordinate_manager)


def weigh(layer, w, size, d=3):
    """Put (k, c, o), the last axis fastest, into its kernel, whose first axis is fastest."""
    turned = w.reshape(*[size] * d, *w.shape[1:]).transpose(*range(d)[::-1], d, d + 1)
    layer.kernel.data.copy_(torch.from_numpy(np.ascontiguousarray(turned)).reshape(layer.kernel.shape))


class _Layer:
    gflop = {}

    def begin(self, sites, layer, size, d=3):
        channels_in, channels_out = layer.in_channels, layer.out_channels
        weigh(layer, workloads.weights(size**d, channels_in, channels_out), size, d)
        x = tensor(sites, workloads.features(sites, channels_in))
        self.layer, self.x = layer, like(x, x.F.detach().clone())
        y = layer(self.x)
        self.dy = torch.randn(y.F.shape)
        self.results = {"forward": self.result}

    def result(self):
        with torch.no_grad():
            y = self.layer(self.x)
        sites = y.C.numpy().copy()
        sites[:, 1:] //= np.array(y.tensor_stride)
        return sites, y.F.numpy()

    def time_forward(self, *_):
        with torch.no_grad():
            self.layer(self.x)

    def time_forward_backward(self, *_):
        self.layer.kernel.grad = self.x.F.grad = None
        self.layer(self.x).F.backward(self.dy)


class Scan(_Layer):
    def setup(self, channels):
        self.begin(workloads.indoor_scan(), me.MinkowskiConvolution(channels, channels, 3, dimension=3), 3)


class Wide(_Layer):
    without = ("forward",)

    def setup(self, channels):
        sites = workloads.part(20_000)
        self.begin(sites, me.MinkowskiConvolution(channels, channels, 3, dimension=3), 3)


class Part(_Layer):
    def setup(self, channels):
        self.sites, self.rows = workloads.part(), workloads.features(workloads.part(), channels)
        self.begin(self.sites, me.MinkowskiConvolution(channels, channels, 3, dimension=3), 3)
        self.results["cold"] = self.result

    def time_cold(self, *_):
        with torch.no_grad():
            self.layer(tensor(self.sites, self.rows))


class Lidar(_Layer):
    def setup(self):
        self.begin(workloads.lidar(), me.MinkowskiConvolution(64, 64, 3, dimension=3), 3)


class SpaceTime(_Layer):
    def setup(self):
        self.begin(workloads.space_time(), me.MinkowskiConvolution(32, 32, 3, dimension=4), 3, 4)


class Down(_Layer):
    def setup(self):
        self.begin(workloads.indoor_scan(), me.MinkowskiConvolution(32, 64, 2, 2, dimension=3), 2)


class Up(_Layer):
    without = ("forward_backward",)

    def setup(self):
        sites = workloads.indoor_scan()
        x = tensor(sites, np.zeros((len(sites), 1), np.float32))
        coarse = me.MinkowskiConvolution(1, 1, 2, 2, dimension=3)(x)
        order = np.lexsort(coarse.C.numpy().T[::-1])
        rows = np.empty((len(order), 64), np.float32)
        rows[order] = workloads.features(order, 64)     # the same row at the same site as on the other sides
        self.x = like(coarse, torch.from_numpy(rows))
        self.layer = me.MinkowskiConvolutionTranspose(64, 32, 2, 2, dimension=3)
        weigh(self.layer, workloads.weights(8, 64, 32), 2)
        self.results = {"forward": self.result}


class Rules:
    def setup(self):
        self.sites = torch.from_numpy(workloads.indoor_scan())
        self.shuffled = self.sites[torch.from_numpy(np.random.default_rng(0).permutation(len(self.sites)))].contiguous()
        self.rows = torch.zeros((len(self.sites), 1))

    def time_sorted(self):
        self.pairs(self.sites)

    def time_unsorted(self):
        self.pairs(self.shuffled)

    def pairs(self, sites):
        x = me.SparseTensor(self.rows, sites)
        return x.coordinate_manager.kernel_map(x.coordinate_map_key, x.coordinate_map_key, 1, 3)


class Cold(Scan):
    without = ("forward_backward",)

    def setup(self):
        super().setup(32)
        self.sites, self.rows = workloads.indoor_scan(), workloads.features(self.x.F, 32)

    def time_forward(self):
        with torch.no_grad():
            self.layer(tensor(self.sites, self.rows))


class UNet:
    """The same network: blocks of normalisation, ReLU and convolution, 4 levels, 16 n channels."""

    def setup(self):
        self.sites = workloads.indoor_scan()
        self.rows = workloads.features(self.sites, 3)
        self.labels = torch.from_numpy(np.random.default_rng(3).integers(0, 20, len(self.sites)))
        self.net = nn.Sequential(_convolution(3, 16), _Level([16, 32, 48, 64]), *_activated(16),
                                 me.MinkowskiConvolution(16, 20, 1, dimension=3))
        layers = [layer for layer in self.net.modules() if isinstance(layer, CONVOLUTIONS)]
        for i, layer in enumerate(layers):
            size = layer.kernel_generator.kernel_size[0]
            weigh(layer, workloads.weights(size**3, layer.in_channels, layer.out_channels, 100 + i), size)
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.01, 0.9)
        self.results = {"forward": self.result}

    def result(self):
        self.net.eval()
        with torch.no_grad():
            y = self.net(tensor(self.sites, self.rows))
        return y.C.numpy(), y.F.numpy()

    def time_forward(self):
        self.net.eval()
        with torch.no_grad():
            self.net(tensor(self.sites, self.rows))

    def time_training_step(self):
        self.net.train()
        functional.cross_entropy(self.net(tensor(self.sites, self.rows)).F, self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class _Level(nn.Module):
    def __init__(self, widths):
        super().__init__()
        width, *deeper = widths
        self.block, self.below = nn.Sequential(*_activated(width), _convolution(width, width)), None
        if deeper:
            self.below = nn.Sequential(
                *_activated(width), me.MinkowskiConvolution(width, deeper[0], 2, 2, dimension=3), _Level(deeper),
                *_activated(deeper[0]), me.MinkowskiConvolutionTranspose(deeper[0], width, 2, 2, dimension=3))
            self.after = nn.Sequential(*_activated(2 * width), _convolution(2 * width, width))

    def forward(self, x):
        x = self.block(x)
        return x if self.below is None else self.after(me.cat(x, self.below(x)))


class Glyphs:
    """A DeepCNet(5, 30), its sites those of MinkowskiEngine."""

    def setup(self):
        self.sites = workloads.glyphs()
        self.rows = workloads.features(self.sites, 3)
        self.labels = torch.from_numpy(np.random.default_rng(3).integers(0, 10, 100))
        layers, channels = [], 3
        for level in range(6):
            width = 30 * (level + 1)
            layers += [me.MinkowskiConvolution(channels, width, 2 if level else 3, dimension=2, bias=True,
                                               expand_coordinates=True), me.MinkowskiLeakyReLU(1 / 3)]
            layers += [me.MinkowskiMaxPooling(2, 2, dimension=2)] * (level < 5)
            channels = width
        self.net = nn.Sequential(*layers, me.MinkowskiGlobalAvgPooling(), me.MinkowskiLinear(channels, 10))
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.01, 0.9)

    def time_training_step(self):
        functional.cross_entropy(self.net(tensor(self.sites, self.rows)).F, self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def _convolution(channels_in, channels_out):
    return me.MinkowskiConvolution(channels_in, channels_out, 3, dimension=3)


def _activated(channels):
    return [me.MinkowskiBatchNorm(channels, eps=EPS), me.MinkowskiReLU()]
