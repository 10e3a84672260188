"""spconv's networks as they were published, with rules shared by key, on a CPU; its scatter races on two threads."""

import importlib.metadata
import json
import sys
from pathlib import Path

import networks
import numpy as np
import spconv.pytorch as spconv
import torch
from torch import nn

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))
import make_spconv_networks as published  # noqa: E402  after torch, since it asks for one thread
from seeded import seeded  # noqa: E402


def versions():
    """Name the packages."""
    return {"spconv": importlib.metadata.version("spconv"), "torch": torch.__version__}


def set_threads(n_threads):
    torch.set_num_threads(n_threads)
    torch.set_grad_enabled(False)


def make(name):
    """Return the network of a name, its weights not set."""
    c = networks.NETWORKS[name].channels
    made = {
        "second": lambda: published.Encoder(c, False),
        "centerpoint": lambda: published.Encoder(c, True),
        "voxelnext": lambda: published.VoxelNext(c, networks.VOXELNEXT, 128),
        "spunet": lambda: published.SpUNet(c, 20, 32, networks.MINK34, (2, 3, 4, 6, 2, 2, 2, 2)),
        "spunet14": lambda: published.SpUNet(c, 20, 32, networks.MINK14, (1,) * 8),
        "pointgroup": lambda: published.Instances(c, 20, networks.POINTGROUP, 2),
        "deepcnet": lambda: deepcnet(c),
    }
    return made[name.partition("-")[0]]().eval()


def deepcnet(channels, levels=5, k=30):
    """Return the convolutions of a DeepCNet(5, 30); no biases, which spconv refuses on a CPU."""
    layers = []
    for level in range(levels + 1):
        width = k * (level + 1)
        layers += [spconv.SparseConv2d(channels, width, 2 if level else 3, bias=False), nn.LeakyReLU(1 / 3)]
        layers += [spconv.SparseMaxPool2d(2, 2)] * (level < levels)
        channels = width
    return spconv.SparseSequential(*layers)


def tensor(sites, rows, size):
    """Return a fresh tensor, without rules."""
    return spconv.SparseConvTensor(torch.from_numpy(rows), torch.from_numpy(sites), list(size), 1)


def keys_of(net, x):
    """Return {layer: key}: one key for submanifold convolutions of one size on the same sites, as is usual.

    The sites are told by the size of the field and the number of rows.
    """
    def keyed(layer, given):
        shape = *given[0].spatial_shape, len(given[0].indices), *layer.kernel_size
        layer.indice_key = "submanifold " + " ".join(map(str, shape))

    layers = {name: layer for name, layer in net.named_modules() if getattr(layer, "subm", False)}
    hooks = [layer.register_forward_pre_hook(keyed) for layer in layers.values()]
    net(x)
    for hook in hooks:
        hook.remove()
    return {name: layer.indice_key for name, layer in layers.items()}


def load(name):
    """Return the network with the weights and the keys of its files."""
    net = make(name)
    net.load_state_dict(torch.load(networks.checkpoint(name), mmap=True))
    keys = json.loads(Path(networks.keys(name)).read_text())
    for place, key in keys.items():
        net.get_submodule(place).indice_key = key
    return net


def kept_rules(net, x):
    """Return {key: rules} of the submanifold convolutions; spconv makes those of others anew in each pass."""
    return {key: rules for key, rules in net(x).indice_dict.items() if key.startswith("submanifold")}


class Checkpoint:
    """Writes the checkpoint of a network, its weights drawn by name, and its keys."""

    def setup(self, name):
        keys = keys_of(make(name), tensor(*networks.scene(name)))
        Path(networks.keys(name)).write_text(json.dumps(keys))
        state = seeded({key: array.shape for key, array in make(name).state_dict().items()})
        torch.save({key: torch.from_numpy(np.asarray(array)) for key, array in state.items()},
                   networks.checkpoint(name))


class Converted:
    """A network of a checkpoint: frame by frame with new sites, and with rules kept."""

    gflop = {}

    def setup(self, name):
        self.sites, self.rows, self.size = networks.scene(name)
        self.net = load(name)
        self.kept = tensor(self.sites, self.rows, self.size)
        self.kept.indice_dict.update(kept_rules(self.net, self.kept))
        self.results = {"cold": self.result}

    def result(self):
        y = self.net(tensor(self.sites, self.rows, self.size))
        return y.indices.numpy(), y.features.numpy()

    def time_cold(self, *_):
        self.net(tensor(self.sites, self.rows, self.size))

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
    return load(name)(tensor(*networks.scene(name))).features.numpy()
