"""spconv_cy, with the weights of another library's checkpoint."""

import networks
import numpy as np

import spconv_cy as sp

OPTIONS = {"spconv": {"source": "spconv2", "layout": "krsc", "one_by_one": "raw"},
           "MinkowskiEngine": {"source": "minkowski"}}


def versions():
    """Name the library and its instruction set."""
    from spconv_cy import _core

    return {"spconv_cy": sp.__version__, "isa": _core.isa()}


def set_threads(n_threads):
    sp.set_threads(n_threads)


def load(name, path=None):
    """Return the network of a checkpoint, or of a file that `sp.save` wrote."""
    if path is not None:
        return sp.load(path).eval()
    network = networks.NETWORKS[name]
    made = deepcnet(network.channels) if network.family == "deepcnet" else network.family
    return sp.io.convert(networks.checkpoint(name), made, **OPTIONS[network.library])[0].eval()


def deepcnet(channels, levels=5, k=30):
    """Return the convolutions of a DeepCNet(5, 30) in spconv's rules for sites and maxima; no biases."""
    layers = []
    for level in range(levels + 1):
        width = k * (level + 1)
        layers += [sp.Convolution(2, channels, width, 2 if level else 3, size_rule="floor", bias=False),
                   sp.LeakyReLU(1 / 3)]
        layers += [sp.MaxPooling(2, 2, 2, background="zero", size_rule="floor")] * (level < levels)
        channels = width
    return sp.Sequential(*layers)


def tensor(sites, rows, size):
    """Return a fresh tensor, without rules."""
    return sp.SparseTensor.from_sites(sites, rows, size, ground=None)


def keep_rules(grid, kept):
    """Put every grid that is made from this one into a list, so that all rules stay."""
    def heard(window, made, rulebook):
        if made is not grid and all(made is not other for other in kept):
            kept.append(made)
            keep_rules(made, kept)

    grid.listener = heard


class Checkpoint:
    """Writes what `sp.save` makes of the checkpoint."""

    def setup(self, name):
        sp.save(networks.saved(name), load(name))


class Converted:
    """A network of a checkpoint: frame by frame with new sites, and with rules kept."""

    def setup(self, name):
        self.sites, self.rows, self.size = networks.scene(name)
        self.net = load(name)
        self.kept, self.grids = tensor(self.sites, self.rows, self.size), []
        keep_rules(self.kept.grid, self.grids)
        self.time_kept()
        once = 2e-9 * self.net.summary(self.kept).pair_multiply_adds
        self.gflop = {"cold": once, "kept": once}
        self.results = {"cold": self.result}

    def result(self):
        y = self.net(tensor(self.sites, self.rows, self.size))
        return y.grid.sites, y.features.data

    def time_cold(self, *_):
        with sp.no_grad():
            self.net(tensor(self.sites, self.rows, self.size))

    def time_kept(self, *_):
        with sp.no_grad():
            self.net(self.kept)


class Peak(networks.Peak, Converted):
    """Megabytes at the peak of a process that has run some frames."""

    load = staticmethod(load)


def ready(name):
    """Return a number after the network of the checkpoint is loaded."""
    return np.float32(load(name).n_parameters())


def first_frame(name):
    """Return the features of the first frame, from the checkpoint."""
    with sp.no_grad():
        return load(name)(tensor(*networks.scene(name))).features.data


def first_frame_saved(name):
    """Return the features of the first frame, from the file that `sp.save` wrote."""
    with sp.no_grad():
        return load(name, networks.saved(name))(tensor(*networks.scene(name))).features.data
