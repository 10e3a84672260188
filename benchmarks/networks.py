"""Which networks are converted and timed, on which inputs; for all sides, so nothing but numpy is needed.

Scenes and checkpoints lie in build/converted: NAME.npz has the sites, the features and the size of the field, NAME.pth
what the library saved. It imports little, since processes whose start is timed import it.
"""

import os
from dataclasses import dataclass

import numpy as np

FRAMES = 3                                              # before the peak of memory is read
FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "build", "converted")
MINK14 = (32, 64, 128, 256, 128, 128, 96, 96)           # channels of MinkUNet14A, four levels down and four up
MINK34 = (32, 64, 128, 256, 256, 128, 96, 96)           # of SpUNet as Pointcept has it
POINTGROUP = tuple(16 * n for n in range(1, 8))
VOXELNEXT = (16, 32, 64, 128, 128)


@dataclass(frozen=True)
class Network:
    """A network, the library that it was written with, and what it is run on.

    Attributes:
        library: "spconv" or "MinkowskiEngine".
        family: for `sp.io.convert`.
        channels: of the input.
        scene: name of a function of scenes.py.
    """

    library: str
    family: str
    channels: int
    scene: str


NETWORKS = {
    "second": Network("spconv", "second", 4, "lidar"),
    "centerpoint": Network("spconv", "centerpoint", 5, "lidar"),
    "voxelnext": Network("spconv", "voxelnext", 5, "lidar"),
    "spunet": Network("spconv", "spunet", 6, "room"),
    "spunet14": Network("spconv", "spunet", 3, "street"),
    "spunet14-room": Network("spconv", "spunet", 3, "room"),
    "pointgroup": Network("spconv", "pointgroup", 6, "scan"),
    "pointgroup-event": Network("spconv", "pointgroup", 1, "event"),
    "minkunet14": Network("MinkowskiEngine", "minkunet", 3, "room"),
    "deepcnet": Network("spconv", "deepcnet", 3, "glyph"),
}


def scene(name):
    """Return (sites, rows, size) of NAME.npz."""
    with np.load(os.path.join(FOLDER, f"{name}.npz")) as file:
        return file["sites"], file["rows"], tuple(file["size"].tolist())


def checkpoint(name):
    """Return the path of NAME.pth, which the library wrote."""
    return os.path.join(FOLDER, f"{name}.pth")


def saved(name):
    """Return the path of NAME.safetensors, which `sp.save` wrote."""
    return os.path.join(FOLDER, f"{name}.safetensors")


def keys(name):
    """Return the path of NAME.json: the keys of spconv's layers."""
    return os.path.join(FOLDER, f"{name}.json")


def peak_MB():
    """Return megabytes of resident memory at the peak of this process; NaN where /proc does not tell."""
    try:
        with open("/proc/self/status") as file:
            lines = file.read().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


class Peak:
    """Megabytes at the peak of a process that has run some frames, for a class with `load` and `time_cold`."""

    def setup(self, name):
        """Nothing but the name: the network is made by the figure."""

    def track_peak_MB(self, name):
        self.sites, self.rows, self.size = scene(name)
        self.net = self.load(name)
        for _ in range(FRAMES):
            self.time_cold()
        return peak_MB()
