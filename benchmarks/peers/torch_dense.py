"""torch's dense convolutions (oneDNN) over the whole field, where it fits into memory: what sparsity saves."""

import networks
import numpy as np
import torch
import workloads
from torch import nn
from torch.nn import functional

SCAN_SIZE = (208, 192, 96)


def versions():
    """Name the packages."""
    return {"torch": torch.__version__}


def set_threads(n_threads):
    torch.set_num_threads(n_threads)


class Scan:
    gflop = {}
    without = ("forward_backward",)

    def setup(self, channels):
        if channels > 32:
            return "the dense field takes gigabytes"
        self.sites = workloads.indoor_scan()
        self.at = tuple(torch.from_numpy(column.astype(np.int64)) for column in self.sites[:, 1:].T)
        self.dense = torch.zeros((1, channels, *SCAN_SIZE))
        self.dense[0][(slice(None), *self.at)] = torch.from_numpy(workloads.features(self.sites, channels)).T
        self.layer = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        w = torch.from_numpy(workloads.weights(27, channels, channels))
        self.layer.weight.data.copy_(w.reshape(3, 3, 3, channels, channels).permute(4, 3, 0, 1, 2))
        self.results = {"forward": self.result}

    def result(self):
        with torch.no_grad():
            return self.sites, self.layer(self.dense)[0][(slice(None), *self.at)].T.numpy()

    def time_forward(self, *_):
        with torch.no_grad():
            self.layer(self.dense)


class Glyphs:
    """The same DeepCNet(5, 30) on the dense field of 96 x 96."""

    def setup(self):
        self.sites = workloads.glyphs().astype(np.int64)
        self.rows = torch.from_numpy(workloads.features(self.sites, 3))
        self.labels = torch.from_numpy(np.random.default_rng(3).integers(0, 10, 100))
        layers, channels = [], 3
        for level in range(6):
            width = 30 * (level + 1)
            layers += [nn.Conv2d(channels, width, 2 if level else 3), nn.LeakyReLU(1 / 3)]
            layers += [nn.MaxPool2d(2)] * (level < 5)
            channels = width
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, 10))
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.01, 0.9)

    def time_training_step(self):
        dense = torch.zeros((100, 3, 96, 96))
        sample, x, y = self.sites.T
        dense[sample, :, x, y] = self.rows
        functional.cross_entropy(self.net(dense), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class Converted:
    """The convolutions of the same DeepCNet(5, 30) on the dense field of one glyph; weights are drawn."""

    gflop = {}

    def setup(self, name):
        if name != "deepcnet":
            return "the dense field takes gigabytes"
        self.sites, rows, _ = networks.scene(name)
        self.rows, layers, channels = torch.from_numpy(rows), [], rows.shape[1]
        for level in range(6):
            width = 30 * (level + 1)
            layers += [nn.Conv2d(channels, width, 2 if level else 3, bias=False), nn.LeakyReLU(1 / 3)]
            layers += [nn.MaxPool2d(2)] * (level < 5)
            channels = width
        self.net = nn.Sequential(*layers)

    def time_cold(self, *_):
        dense = torch.zeros((1, self.rows.shape[1], 96, 96))
        dense[0, :, self.sites[:, 1], self.sites[:, 2]] = self.rows.T
        with torch.no_grad():
            self.net(dense)


class Peak(Converted):
    """Megabytes at the peak of a process that has run some frames."""

    def track_peak_MB(self, _):
        for _ in range(3):
            self.time_cold()
        return networks.peak_MB()
