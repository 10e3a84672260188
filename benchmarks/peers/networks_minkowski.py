"""A MinkUNet of MinkowskiEngine 0.5.4 on a CPU, built from its sdist."""

import sys
from pathlib import Path

import networks
import numpy as np
import torch
from peers.minkowski import like, tensor, versions  # noqa: F401  a worker asks for versions

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))
import make_minkowski as published  # noqa: E402  after torch, since it asks for one thread
from seeded import seeded  # noqa: E402


def set_threads(n_threads):
    torch.set_num_threads(n_threads)
    torch.set_grad_enabled(False)


def make(name):
    """Return the network of a name, its weights not set."""
    return published.MinkUNet(networks.NETWORKS[name].channels, 20).eval()


def load(name):
    """Return the network with the weights of its file."""
    net = make(name)
    net.load_state_dict(torch.load(networks.checkpoint(name), mmap=True))
    return net


class Checkpoint:
    """Writes the checkpoint of a network, its weights drawn by name."""

    def setup(self, name):
        state = seeded({key: array.shape for key, array in make(name).state_dict().items()})
        torch.save({key: torch.from_numpy(np.asarray(array)) for key, array in state.items()},
                   networks.checkpoint(name))


class Converted:
    """A network of a checkpoint: frame by frame with new sites, and with rules kept."""

    gflop = {}

    def setup(self, name):
        self.sites, self.rows, _ = networks.scene(name)
        self.net = load(name)
        self.kept = tensor(self.sites, self.rows)
        self.kept = like(self.kept, self.kept.F.detach().clone())
        self.results = {"cold": self.result}

    def result(self):
        y = self.net(tensor(self.sites, self.rows))
        return y.C.numpy(), y.F.numpy()

    def time_cold(self, *_):
        self.net(tensor(self.sites, self.rows))

    def time_kept(self, *_):
        self.net(self.kept)


class Peak(networks.Peak, Converted):
    """Megabytes at the peak of a process that has run some frames."""

    load = staticmethod(load)


def ready(name):
    """Return a number after the network is loaded."""
    return np.float32(bool(load(name)))


def first_frame(name):
    """Return the features of the first frame."""
    sites, rows, _ = networks.scene(name)
    return load(name)(tensor(sites, rows)).F.numpy()
