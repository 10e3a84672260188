"""SparseConvNet, its CPU part, a build of your own: SPARSECONVNET names the folder that holds its package.

It is in no registry; tests/golden/make_sparseconvnet.py says where it is from, and what newer versions of torch need.
"""

import importlib.metadata
import os
import sys

import numpy as np
import torch
import workloads
from torch import nn
from torch.nn import functional

sys.path.append(os.environ.get("SPARSECONVNET", ""))
import sparseconvnet as scn  # noqa: E402

SCAN_SIZE = (208, 192, 96)
CONVOLUTIONS = scn.SubmanifoldConvolution, scn.Convolution, scn.Deconvolution, scn.NetworkInNetwork


def versions():
    """Name the packages; SparseConvNet has no version."""
    return {"SparseConvNet": "from source", "torch": importlib.metadata.version("torch")}


def set_threads(n_threads):
    torch.set_num_threads(n_threads)


def coordinates(sites):
    """Return sites as its input layer takes them, the sample last."""
    return torch.from_numpy(np.roll(sites, -1, 1).astype(np.int64))


def tensor(sites, rows, size):
    """Make a fresh tensor, without rules; its sites are distinct."""
    places = sites if isinstance(sites, torch.Tensor) else coordinates(sites)
    rows = rows if isinstance(rows, torch.Tensor) else torch.from_numpy(rows)
    return scn.InputLayer(len(size), size, mode=0)((places, rows))


def found(y):
    """Return the sites and the rows of a result."""
    return np.roll(y.get_spatial_locations().numpy(), 1, 1), y.features.detach().numpy()


def weigh(layer, w):
    """Put (k, c, o) into a weight (k, 1, c, o), or (c, o) of a network in network."""
    layer.weight.data.copy_(torch.from_numpy(w).reshape(layer.weight.shape))


class _Layer:
    gflop = {}

    def begin(self, sites, size, layer):
        weigh(layer, workloads.weights(layer.filter_volume, layer.nIn, layer.nOut))
        self.rows = torch.from_numpy(workloads.features(sites, layer.nIn))
        self.begin_at(tensor(sites, self.rows, size), layer)

    def begin_at(self, x, layer):
        self.layer, self.x = layer, x
        x.features.requires_grad_()
        y = layer(x)                                    # the rules stay in its metadata
        self.dy = torch.randn(y.features.shape)
        self.results = {"forward": self.result}

    def result(self):
        with torch.no_grad():
            return found(self.layer(self.x))

    def time_forward(self, *_):
        with torch.no_grad():
            self.layer(self.x)

    def time_forward_backward(self, *_):
        self.layer.weight.grad = self.x.features.grad = None
        self.layer(self.x).features.backward(self.dy)


class Scan(_Layer):
    def setup(self, channels):
        layer = scn.SubmanifoldConvolution(3, channels, channels, 3, False)
        self.begin(workloads.indoor_scan(), SCAN_SIZE, layer)


class Wide(_Layer):
    without = ("forward",)

    def setup(self, channels):
        layer = scn.SubmanifoldConvolution(3, channels, channels, 3, False)
        self.begin(workloads.part(20_000), SCAN_SIZE, layer)


class Part(_Layer):
    def setup(self, channels):
        self.sites = workloads.part()
        self.begin(self.sites, SCAN_SIZE, scn.SubmanifoldConvolution(3, channels, channels, 3, False))
        self.places, self.results["cold"] = coordinates(self.sites), self.result

    def time_cold(self, *_):
        with torch.no_grad():
            self.layer(tensor(self.places, self.rows, SCAN_SIZE))


class Lidar(_Layer):
    def setup(self):
        self.begin(workloads.lidar(), workloads.LIDAR_SIZE, scn.SubmanifoldConvolution(3, 64, 64, 3, False))


class SpaceTime(_Layer):
    def setup(self):
        self.begin(workloads.space_time(), workloads.SPACE_TIME_SIZE, scn.SubmanifoldConvolution(4, 32, 32, 3, False))


class Down(_Layer):
    def setup(self):
        self.begin(workloads.indoor_scan(), SCAN_SIZE, scn.Convolution(3, 32, 64, 2, 2, False))


class Up(_Layer):
    without = ("forward_backward",)

    def setup(self):
        sites = workloads.indoor_scan()
        coarse = scn.Convolution(3, 1, 1, 2, 2, False)(tensor(sites, np.zeros((len(sites), 1), np.float32), SCAN_SIZE))
        order = np.lexsort(found(coarse)[0].T[::-1])
        rows = np.empty((len(order), 64), np.float32)
        rows[order] = workloads.features(order, 64)     # the same row at the same site as on the other sides
        coarse.features = torch.from_numpy(rows)
        layer = scn.Deconvolution(3, 64, 32, 2, 2, False)
        weigh(layer, workloads.weights(8, 64, 32))
        self.begin_at(coarse, layer)


class Rules:
    """The sites, their hash table, the rules, and the product with a matrix (1, 1): it gives no rules alone."""

    def setup(self):
        sites = workloads.indoor_scan()
        self.sites = coordinates(sites)
        self.shuffled = coordinates(sites[np.random.default_rng(0).permutation(len(sites))])
        self.rows, self.layer = torch.zeros((len(sites), 1)), scn.SubmanifoldConvolution(3, 1, 1, 3, False)

    def time_sorted(self):
        self.pairs(self.sites)

    def time_unsorted(self):
        self.pairs(self.shuffled)

    def pairs(self, sites):
        with torch.no_grad():
            self.layer(tensor(sites, self.rows, SCAN_SIZE))


class Cold(Scan):
    without = ("forward_backward",)

    def setup(self):
        super().setup(32)
        self.places = coordinates(workloads.indoor_scan())

    def time_forward(self):
        with torch.no_grad():
            self.layer(tensor(self.places, self.rows, SCAN_SIZE))


class UNet:
    """The same network: blocks of normalisation, ReLU and convolution, 4 levels, 16 n channels."""

    def setup(self):
        self.places = coordinates(workloads.indoor_scan())
        self.rows = torch.from_numpy(workloads.features(self.places, 3))
        self.labels = torch.from_numpy(np.random.default_rng(3).integers(0, 20, len(self.places)))
        self.net = nn.Sequential(scn.SubmanifoldConvolution(3, 3, 16, 3, False), scn.UNet(3, 1, [16, 32, 48, 64]),
                                 scn.BatchNormReLU(16), scn.NetworkInNetwork(16, 20, False))
        layers = [layer for layer in self.net.modules() if isinstance(layer, CONVOLUTIONS)]
        for i, layer in enumerate(layers):
            volume = getattr(layer, "filter_volume", 1)
            weigh(layer, workloads.weights(volume, layer.nIn, layer.nOut, 100 + i))
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.01, 0.9)
        self.results = {"forward": self.result}

    def made(self):
        return self.net(tensor(self.places, self.rows, SCAN_SIZE))

    def result(self):
        self.net.eval()
        with torch.no_grad():
            return found(self.made())

    def time_forward(self):
        self.net.eval()
        with torch.no_grad():
            self.made()

    def time_training_step(self):
        self.net.train()
        functional.cross_entropy(self.made().features, self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class Glyphs:
    """The same DeepCNet(5, 30) on a field of 96 x 96."""

    def setup(self):
        sites = workloads.glyphs()
        self.places, self.rows = coordinates(sites), torch.from_numpy(workloads.features(sites, 3))
        self.labels = torch.from_numpy(np.random.default_rng(3).integers(0, 10, 100))
        layers, channels = [], 3
        for level in range(6):
            width = 30 * (level + 1)
            layers += [scn.Convolution(2, channels, width, 2 if level else 3, 1, True), scn.LeakyReLU(1 / 3)]
            layers += [scn.MaxPooling(2, 2, 2)] * (level < 5)
            channels = width
        self.net = nn.Sequential(*layers, scn.SparseToDense(2, channels), nn.Flatten(), nn.Linear(channels, 10))
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.01, 0.9)

    def time_training_step(self):
        functional.cross_entropy(self.net(tensor(self.places, self.rows, (96, 96))), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
