"""spconv_cy, frozen: the same network as in converted.py, by sp.freeze."""

import os

import networks
import numpy as np
from converted import load, set_threads, tensor, versions  # noqa: F401  a worker asks for them

import spconv_cy as sp


def frozen(name):
    """Return the frozen network of a file, which is written at first."""
    path = f"{os.path.splitext(networks.saved(name))[0]}.frozen"
    if not os.path.exists(path):
        sp.save(path, sp.freeze(load(name)))
    return sp.load(path)


class Converted:
    """A frozen network: frame by frame with new sites, and with rules kept."""

    gflop = {}

    def setup(self, name):
        self.sites, self.rows, self.size = networks.scene(name)
        self.net = frozen(name)
        self.kept = tensor(self.sites, self.rows, self.size)
        self.results = {"cold": self.result}

    def result(self):
        y = self.net(tensor(self.sites, self.rows, self.size))
        return y.grid.sites, y.features.data

    def time_cold(self, *_):
        self.net.forget()                               # the sites are equal
        self.net(tensor(self.sites, self.rows, self.size))

    def time_kept(self, *_):
        self.net(self.kept)


class Peak(networks.Peak, Converted):
    """Megabytes at the peak of a process that has run some frames, and what was told of one."""

    load = staticmethod(frozen)

    def track_told_MB(self, name):
        try:
            return self.net.memory(tensor(self.sites, self.rows, self.size)) / 2**20
        except TypeError:                               # a layer whose sites are not known before it runs
            return float("nan")


def ready(name):
    """Return a number after the frozen network is loaded."""
    return np.float32(bool(frozen(name)))


def first_frame(name):
    """Return the features of the first frame, from the file that `sp.save` wrote."""
    return frozen(name)(tensor(*networks.scene(name))).features.data
